"""What belongs above every number, as facts: each kind of notice with the numbers and names that it is about.

`kind` is for programs. What is said of each: `harness.wording.notices`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.core.records import Origin
from harness.runs.model import Note

__all__ = [
    "NUMBERS_WRONG",
    "BesideWork",
    "BusyMachine",
    "ClientShare",
    "Failures",
    "FilledSlots",
    "GivenUp",
    "Implausible",
    "InterruptedTrials",
    "LateClient",
    "LayersOnCpu",
    "LoadedMidRun",
    "LostRecords",
    "MeasuredUntil",
    "MeasurementEnd",
    "ModelsNotLoaded",
    "NotMeasured",
    "Notice",
    "OneRepeat",
    "OpenQuestion",
    "OtherCalls",
    "Overload",
    "Partial",
    "Recorded",
    "ShortAnswers",
    "SlotsDiffer",
    "TouchedTrial",
    "UnknownQueue",
    "WaitedForModels",
]

# Kinds of what makes figures wrong, however many there are of them: something else was computed or served meanwhile, or
# not all was computed where it should be.
NUMBERS_WRONG = frozenset(
    (
        *("layers", "other calls", "others at start", "others working", "busy machine", "busy at start", "client"),
        "filled slots",
    )
)


class LayersOnCpu(NamedTuple):
    """A model did not fit onto the accelerator, so that some of its layers are computed on the CPU."""

    server: str
    size_bytes: int  # of the model, with the cache of all its slots
    vram_bytes: int  # of these, on the accelerator
    candidates: tuple[str, ...]  # that use this server
    passed_over: bool  # there are candidates without; these are not recommended
    kind: Literal["layers"] = "layers"

    @property
    def share(self) -> float:
        """The share that is on the CPU."""
        return 1 - self.vram_bytes / self.size_bytes


class Partial(NamedTuple):
    """Repeats are missing."""

    complete: tuple[tuple[str, int], ...]  # candidate, its complete repeats
    repeats: int  # asked for
    resume: str | None  # the run's folder, where what is missing can be measured
    kind: Literal["partial"] = "partial"


class MeasurementEnd(NamedTuple):
    """Why a measurement ended. Seconds; `budget`: what comes next would have taken `expected_s`."""

    reason: Literal["all repeats", "resolved", "budget", "interrupted"]
    repeats: int = 1  # `budget`: that would have been needed at least
    expected_s: float = 0.0
    left_s: float = 0.0
    budget_s: float = 0.0


class OpenQuestion(NamedTuple):
    """Something that the answer depends on and that is not settled: a comparison, or a goal."""

    candidate: str
    pipelines: tuple[str, ...]  # that it is about
    repeats: int  # from which it is not settled
    needed: int | None  # repeats that would settle it, about; None: not known, or no number up to 1000 would
    against: str = ""  # the other candidate; "": a goal
    goal: str = ""  # first_token_s or p50_s; "": a comparison


class MeasuredUntil(NamedTuple):
    """A run that was to go on until every question is settled."""

    repeats: int  # of every candidate
    looks: int  # how often it was checked whether that is enough; intervals are widened accordingly
    open: tuple[OpenQuestion, ...]
    more_s: float | None  # that more repeats would take, about; None: not known, or they would settle nothing
    interrupted: bool  # before they were settled, or the time was out
    at_most: str  # time, as it was given; "": not known
    resume: str | None  # the run's folder, where it can go on
    kind: Literal["until"] = "until"


class InterruptedTrials(NamedTuple):
    """Trials that were begun and not finished; they are in no number."""

    trials: int
    kind: Literal["interrupted"] = "interrupted"


class LostRecords(NamedTuple):
    """Jobs that made more calls than are recorded."""

    jobs: int
    resume: str | None  # as above; None also where repeats are missing, which says it already
    kind: Literal["lost"] = "lost"


class NotMeasured(NamedTuple):
    """The numbers are of no real engine."""

    origin: Origin
    kind: Literal["origin"] = "origin"


class Failures(NamedTuple):
    """Calls that failed under a candidate, and jobs that did not end well."""

    candidate: str
    failed: int  # calls, without those that were given up because others were enough
    calls: int
    outcomes: tuple[tuple[str, int], ...]  # of the failed calls, the most frequent first
    error: str | None  # of the first of them that has one, as the server said it
    tried_again: int  # of the failed calls
    jobs_failed: int
    jobs: int
    rules: tuple[tuple[str, str], ...]  # pipeline, and what fitted no rule in the first such job of it
    kind: Literal["failures"] = "failures"


class Implausible(NamedTuple):
    """Calls that went well, of which their server said what cannot be: it was left out."""

    calls: int
    candidate: str  # of the first of them, which is named
    node: str
    job: int
    said: str
    kind: Literal["implausible"] = "implausible"


class SlotsDiffer(NamedTuple):
    """A server has other slots than were asked for, perhaps more than were found, or they were not probed.

    `asked` is None where nothing was asked for, `found` where they were not probed.
    """

    server: str
    asked: int | None
    found: int | None
    at_least: bool = False  # there may be more than were found
    kind: Literal["slots"] = "slots"


class Overload(NamedTuple):
    """Jobs came faster than they went, so their times depend on how many there were."""

    candidate: str
    pipeline: str
    came_per_s: float
    went_per_s: float
    under_way: float  # share of the jobs that had not ended when the last one came
    kind: Literal["overload"] = "overload"


class ModelsNotLoaded(NamedTuple):
    """There is no memory for all models of a server at the same time."""

    server: str
    loaded: int
    wanted: int
    kind: Literal["models"] = "models"


class LateClient(NamedTuple):
    """The client's event loop was late."""

    lags_s: tuple[tuple[str, float], ...]  # candidate, worst 99th percentile of a trial
    limit_s: float
    kind: Literal["client"] = "client"


class BusyMachine(NamedTuple):
    """Other programs kept the machine busy during trials."""

    disturbed: tuple[tuple[str, int], ...]  # candidate, its trials
    trials: int  # of all candidates
    cores: float  # the most that were busy
    kind: Literal["busy machine"] = "busy machine"


class TouchedTrial(NamedTuple):
    """A trial in which calls of ours waited while others had the server."""

    candidate: str
    repeat: int  # from 0
    server: str
    calls: int  # of ours that waited so
    others_s: float  # at least, all of them together


class OtherCalls(NamedTuple):
    """Others used a server that was measured. Touched trials stay in all figures.

    without: what the recommendation is if they are left out. "same" or "other" than with them; "none": what is left
    gives no recommendation.
    """

    touched: tuple[TouchedTrial, ...]  # one for each server of a trial, in the run's order
    trials: int  # of all candidates
    without: Literal["same", "other", "none"]
    candidate: str | None  # that is recommended without them
    repeats: tuple[tuple[str, int], ...]  # candidate, its repeats that are untouched
    kind: Literal["other calls"] = "other calls"


class ClientShare(NamedTuple):
    """The client's own share of calls is high."""

    shares: tuple[tuple[str, str, float], ...]  # pipeline, candidate, share
    kind: Literal["client"] = "client"


class GivenUp(NamedTuple):
    """Calls that were given up because others were enough: no failures, but a server may have worked on them."""

    candidates: tuple[tuple[str, int, int, int], ...]  # name, calls given up, of these sent to a server, all calls
    kind: Literal["losers"] = "losers"


class ShortAnswers(NamedTuple):
    """Answers that stopped before the pinned length."""

    short: int
    answers: int
    kind: Literal["short answers"] = "short answers"


class FilledSlots(NamedTuple):
    """Answers that filled the context of their slot, so that they ended there or lost the beginning of the prompt."""

    server: str
    filled: int
    answers: int
    context_tokens: int  # of a slot
    enough_tokens: int  # that the longest call needs
    kind: Literal["filled slots"] = "filled slots"


class BesideWork(NamedTuple):
    """Replies that came while batch jobs ran: few of all, and much slower. Seconds, medians."""

    candidate: str
    pipeline: str
    others: tuple[str, ...]  # the batch pipelines
    beside: int  # replies while jobs of these were under way
    replies: int  # all of them
    beside_s: float
    all_s: float
    hidden: bool  # the pipeline's goal is met by the median of all, and not by that of these
    best: str  # the candidate under which replies beside batch jobs are fastest; it may be this one
    best_s: float
    kind: Literal["beside work"] = "beside work"


class WaitedForModels(NamedTuple):
    """Calls that waited for their model to be loaded."""

    candidate: str
    server: str | None  # None: the candidate has no other
    waited: int
    calls: int
    median_s: float
    total_s: float
    kind: Literal["swaps"] = "swaps"


class LoadedMidRun(NamedTuple):
    """Calls that had to load the model in the middle of the run, where there is only one."""

    calls: int
    kind: Literal["load"] = "load"


class UnknownQueue(NamedTuple):
    """Some waits in the server's queue are not known."""

    kind: Literal["queue"] = "queue"


class OneRepeat(NamedTuple):
    """One repeat has no interval."""

    kind: Literal["one repeat"] = "one repeat"


class Recorded(NamedTuple):
    """A notice as it stands in a summary.json: of what it was made is not known any more."""

    kind: str
    text: str


Notice = (
    BesideWork
    | LayersOnCpu
    | Partial
    | MeasuredUntil
    | InterruptedTrials
    | LostRecords
    | Note
    | NotMeasured
    | Failures
    | Implausible
    | SlotsDiffer
    | Overload
    | ModelsNotLoaded
    | LateClient
    | BusyMachine
    | OtherCalls
    | ClientShare
    | GivenUp
    | FilledSlots
    | ShortAnswers
    | WaitedForModels
    | LoadedMidRun
    | UnknownQueue
    | OneRepeat
    | Recorded
)
