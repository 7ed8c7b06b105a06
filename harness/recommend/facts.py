"""What a search finds out beside the answer, as facts: memory, what it left out, goals, and notes above everything.

What is said of them: `harness.wording.recommendations` and `harness.wording.searches`.
"""

from __future__ import annotations

import sys
from typing import Literal, NamedTuple

from harness.analysis.facts import BesideWork, MeasurementEnd
from harness.core.context import HowSure, enough_tokens
from harness.recommend.memory import LimitSource, MemoryNeed, MemorySource, Room, TooMuch

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
    "NotTriedWhy",
    "NothingToCompare",
    "OneEach",
    "OneServerForBoth",
    "OpenInFile",
    "OtherMachine",
    "OtherModel",
    "OwnPolicy",
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

# --- memory and context -----------------------------------------------------------------------------------------------


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

    why: Literal["contention", "threads", "embedding", "loads"]
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


# --- a user's own policies -------------------------------------------------------------------------------------------

# Why no candidate has it: it needs both paths on one server, would leave slots idle, does the same as a simpler one;
# there is no choice of servers, or no prompt that a server may have kept.
NotTriedWhy = Literal["", "one path", "idle slots", "the same", "no choice", "no prefixes", "left out"]


class OwnPolicy(NamedTuple):
    """What became of a policy that does not come with Slotwise."""

    kind: str  # concurrency, scheduling or placement
    name: str
    candidates: int = 0  # that have it; 0: it was not tried
    why_not: NotTriedWhy = ""  # tried: ""
    best: str = ""  # of these candidates
    chosen: bool = False  # that is the answer of the search, or a part of it
    ratios: tuple[float, ...] = ()  # by path: what it takes over what the answer takes, on the same draws
    fails: bool = False  # jobs fail under it
    misses_goal: bool = False  # and the answer does not


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


class OpenInFile(NamedTuple):
    """Questions in the workload's file that nobody has answered."""

    file: str
    lines: tuple[int, ...]


RecommendationNote = (
    OpenInFile
    | BesideWork
    | SearchInterrupted
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
