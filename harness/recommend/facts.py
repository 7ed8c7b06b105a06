"""What a search finds out beside the answer, as facts: memory, what it left out, goals, and notes above everything.

What is said of them: `harness.wording.recommendations` and `harness.wording.searches`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from harness.analysis.facts import MeasurementEnd
from harness.core.context import HowSure, enough_tokens
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = [
    "BudgetTooShort",
    "CallTooLong",
    "CouldNotMeasure",
    "DoNotFit",
    "Excluded",
    "FixedSlots",
    "GoalFigure",
    "LateInAnswer",
    "LateInQueue",
    "LessContext",
    "LimitSource",
    "LongestCall",
    "MemoryNeed",
    "MemorySource",
    "MoreMachines",
    "NearestToGoals",
    "NoTwoServers",
    "NotInProfile",
    "NotPredicted",
    "NotTried",
    "NothingToCompare",
    "OneEach",
    "OneServerForBoth",
    "OtherMachine",
    "OtherModel",
    "RecommendationNote",
    "Relief",
    "Room",
    "SameMachines",
    "SearchInterrupted",
    "SearchRound",
    "SearchSummary",
    "ShortContext",
    "TooFewRepeats",
    "TooMuch",
    "TwoSchedulings",
]

SPARE = 1.1  # compute buffers and the process itself, beside weights and cache


# --- memory and context -----------------------------------------------------------------------------------------------


class MemorySource(NamedTuple):
    """Where it is known from what a model takes; `unknown`: neither a file nor the profile says it."""

    kind: Literal["header", "profile", "unknown"]
    profile: str = ""
    model: str = ""


class LimitSource(NamedTuple):
    """Where it is known from how much memory there is."""

    kind: Literal["given", "free", "unknown", "file"]
    profile: str = ""  # `unknown`: of another machine
    machine: str = ""  # `file`: whose `memory` the workload says
    accelerator: str = ""  # whose memory it is; "": main memory


class Room(NamedTuple):
    """What memory there is on a machine, and where that is known from."""

    limit_bytes: int | None  # None = not known
    source: LimitSource


class TooMuch(NamedTuple):
    """Servers on one machine need more memory than there is."""

    limit_bytes: int
    source: LimitSource


class MemoryNeed(NamedTuple):
    """What the servers of a workload take, and what there is. Bytes; None = not known.

    A server takes its weights once and for each slot the KV cache of a whole context; a second server takes its own.
    """

    weights_bytes: int | None
    token_bytes: float | None  # of KV cache, for each token of context
    limit_bytes: int | None
    source: MemorySource
    limit_source: LimitSource
    others: Mapping[str, MemoryNeed] = {}  # of servers with another model, by its name
    rooms: Mapping[str, Room] = {}  # of machines that the workload names; what is above is of those that it does not
    prompt_cache_bytes: int = 0  # of main memory that an engine may fill with prompts beside all this; 0: none

    @property
    def known(self) -> bool:
        """Whether a candidate's memory can be told."""
        return self.weights_bytes is not None and self.token_bytes is not None

    def needed(self, servers: Sequence[ServerSpec]) -> int | None:
        """Return what these servers take together: weights and KV cache, a tenth more for buffers."""
        needed = 0.0
        for spec in servers:
            mine = self.others.get(spec.model, self)
            if mine.weights_bytes is None or mine.token_bytes is None:
                return None
            needed += mine.weights_bytes + spec.slots * spec.context_tokens * mine.token_bytes
        return round(needed * SPARE)

    def too_much(self, servers: Sequence[ServerSpec]) -> TooMuch | None:
        """Return what those on one machine do not fit into together; None where they fit, or where it is not known."""
        for machine, numbers in by_machine(dict(enumerate(servers))).items():
            limit, source = self.room(machine)
            needed = self.needed([servers[number] for number in numbers])
            if needed is not None and limit is not None and needed > limit:
                return TooMuch(limit, source)
        return None

    def left_beside(self, servers: int) -> int | None:
        """Return what so many servers of one model leave for the context of their slots; None where it is not known."""
        if self.limit_bytes is None or self.weights_bytes is None:
            return None
        return max(0, self.limit_bytes - round(servers * self.weights_bytes * SPARE))

    def room(self, machine: str | None) -> Room:
        """Return what there is on a machine."""
        return self.rooms.get(machine or "") or Room(self.limit_bytes, self.limit_source)


class LongestCall(NamedTuple):
    """The call that needs most of a slot's context, as far as it can be predicted."""

    pipeline: str
    node: str
    prompt_tokens: int
    output_tokens: int
    context_tokens: int
    trained_tokens: int | None = None  # the most that the model was made for; None = not known
    how_sure: HowSure = "fixed"  # see `harness.core.context.CallNeed`

    @property
    def needed(self) -> int:
        """Tokens of prompt and answer."""
        return self.prompt_tokens + self.output_tokens

    @property
    def fits(self) -> bool:
        """Whether prompt and answer fit into the context of a slot."""
        return self.needed <= self.context_tokens

    @property
    def enough(self) -> int:
        """The context that it needs, a tenth more for its prompt, in steps of 256 tokens; no more than there can be."""
        return min(enough_tokens(self.prompt_tokens, self.output_tokens), self.trained_tokens or sys.maxsize)


# --- what is not looked at --------------------------------------------------------------------------------------------


class ShortContext(NamedTuple):
    """Slots of the file's context, which is too short for the longest call."""

    context_tokens: int
    enough: int  # that all have instead
    model: str = ""  # where there are two


class LessContext(NamedTuple):
    """Slots of the file's context in candidates that only fit into memory with less."""

    context_tokens: int
    enough: int  # that they have instead
    candidates: int
    why: TooMuch


class DoNotFit(NamedTuple):
    """Candidates that do not fit into memory, or pairs of servers and with them all their candidates."""

    number: int
    what: Literal["candidate", "pair of servers"]
    why: TooMuch


class NoTwoServers(NamedTuple):
    """Two servers side by side, of which the profile does not know enough."""

    why: Literal["contention", "threads", "embedding"]
    profile: str


class FixedSlots(NamedTuple):
    """Other numbers of slots than those of a running server."""

    slots: int


class NotInProfile(NamedTuple):
    """Numbers of slots that the profile lacks."""

    slots: tuple[int, ...]
    profile: str


class OneServerForBoth(NamedTuple):
    """Both models of a workload on one server."""


class TwoSchedulings(NamedTuple):
    """Two servers, each with a scheduling policy of its own."""


class OneEach(NamedTuple):
    """Two servers on one machine, where there are several machines."""

    machines: tuple[str, ...]


class SameMachines(NamedTuple):
    """Candidates on one machine alone that is like another one, on which they are looked at."""

    machines: tuple[str, ...]
    like: str


class MoreMachines(NamedTuple):
    """Machines beyond those on which two models have their servers."""

    machines: tuple[str, ...]


class OtherModel(NamedTuple):
    """Machines whose servers have another model than the one that is asked for."""

    machines: tuple[str, ...]
    model: str


class NotTried(NamedTuple):
    """Levers whose effect the profile does not know."""

    levers: tuple[str, ...]
    profile: str


Excluded = (
    ShortContext | LessContext | DoNotFit | NoTwoServers | FixedSlots | NotInProfile | OneServerForBoth
    | TwoSchedulings | OneEach | SameMachines | MoreMachines | OtherModel | NotTried
)  # fmt: skip


# --- the search -------------------------------------------------------------------------------------------------------


class SearchRound(NamedTuple):
    """One step of the search."""

    candidates: int
    seeds: int


class SearchSummary(NamedTuple):
    """How it was searched."""

    candidates: int  # that were looked at
    kept: int  # of these, tried on every seed
    rounds: tuple[SearchRound, ...]
    merged: int  # did the same on the draws as a simpler one, which stands for them
    again: int  # candidates that were given more seeds after they had been dropped
    evaluations: int
    interrupted: bool
    doubt: float | None  # chance, at most, that a dropped one is over 5 % better than what was kept; None = not known

    @property
    def exhaustive(self) -> bool:
        """Whether every candidate was tried on every seed, itself or the one that stands for it."""
        return self.kept + self.merged == self.candidates and not self.interrupted


# --- goals ------------------------------------------------------------------------------------------------------------


class GoalFigure(NamedTuple):
    """A goal, and what a candidate reaches."""

    pipeline: str
    goal: str
    wanted_s: float
    found_s: float


class NearestToGoals(NamedTuple):
    """No candidate meets every goal; this one misses them by least."""

    candidate: str
    missed: tuple[GoalFigure, ...]
    out_of_reach: tuple[tuple[str, float], ...]  # pipelines whose median reply alone takes longer than wanted, seconds


class Relief(NamedTuple):
    """Less work, and the candidates that would meet the goals then: one, one for each path, or none."""

    what: str
    candidates: tuple[str, ...]


# --- notes ------------------------------------------------------------------------------------------------------------


class SearchInterrupted(NamedTuple):
    """The answer is the best of what had been looked at."""


class NotPredicted(NamedTuple):
    """A candidate of the file cannot be predicted, and so not be compared with what was searched."""

    candidate: str
    reason: str


class CallTooLong(NamedTuple):
    """A call does not fit into a slot."""

    call: LongestCall


class LateInAnswer(NamedTuple):
    """Calls are given up at the workload's timeout in the answer itself."""

    share: float


class LateInQueue(NamedTuple):
    """Candidates that would lose calls to the timeout while these wait in the server's queue."""

    candidates: int
    share: float  # at worst


class NothingToCompare(NamedTuple):
    """Not confirmed: there is one candidate."""


class BudgetTooShort(NamedTuple):
    """Not confirmed: it would take longer than the budget."""

    budget_s: float
    needed_s: float


class TooFewRepeats(NamedTuple):
    """Not confirmed: the measurement ended too early."""

    repeats: int
    end: MeasurementEnd


class CouldNotMeasure(NamedTuple):
    """Not confirmed: nothing was measured, or not to the end."""

    error: str
    begun: bool


class OtherMachine(NamedTuple):
    """The profile is of another machine than the one that is measured."""

    profile: str
    here: str


RecommendationNote = (
    SearchInterrupted
    | NotPredicted
    | CallTooLong
    | LateInAnswer
    | LateInQueue
    | NothingToCompare
    | BudgetTooShort
    | TooFewRepeats
    | CouldNotMeasure
    | OtherMachine
)
