"""What a recommendation knows: a frozen tree of facts. `harness.wording.recommendations` says them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.analysis.facts import MeasurementEnd
from harness.analysis.model import Analysis
from harness.core.records import Origin, Path
from harness.recommend.facts import (
    Excluded,
    LongestCall,
    MemoryNeed,
    NearestToGoals,
    OwnPolicy,
    RecommendationNote,
    Relief,
    SearchSummary,
)

__all__ = [
    "RECOMMENDATION_VERSION",
    "AtMost",
    "BoundRow",
    "Change",
    "Confirmation",
    "Difference",
    "LoadRow",
    "PathUse",
    "Point",
    "Recommendation",
    "UsefulConcurrency",
    "Users",
    "UsersRow",
]

RECOMMENDATION_VERSION = 2


class PathUse(NamedTuple):
    """What to do on one path."""

    path: Path
    pipelines: tuple[str, ...]
    candidate: str
    servers: tuple[str, ...]  # several take whatever comes; slots and calls are then of each
    slots: int
    concurrency: str
    scheduling: str
    limit: int | None  # None: no limit
    threads: str  # "half" of the cores, a number, or "" = every core
    choice: str = ""  # of one of several servers for each call: "least-loaded" or "affinity"
    context_tokens: int | None = None  # of a slot
    machines: tuple[str | None, ...] = ()  # on which each of the servers stands, where the workload names any
    levers: tuple[tuple[str, str], ...] = ()  # settings of its engine that are not Ollama's usual ones: (name, value)


class Point(NamedTuple):
    """A candidate on the Pareto front of times and memory, over the seeds of the search."""

    candidate: str
    times_s: tuple[float, ...]  # by path, in the order of `Recommendation.paths`
    memory_bytes: int | None
    meets_goals: bool
    chosen: bool
    on_front: bool  # the chosen one may lie beside it: within 5 % and simpler


class AtMost(NamedTuple):
    """So many calls in flight at most."""

    in_flight: int | None  # None: no limit
    candidate: str
    tokens_per_s: float
    times_s: tuple[float, ...]


class UsefulConcurrency(NamedTuple):
    """How many calls at once are worth it: the first row within 5 % of the best throughput."""

    servers: tuple[str, ...]  # several take whatever comes
    slots: int  # of all of them
    rows: tuple[AtMost, ...]
    in_flight: int | None


class UsersRow(NamedTuple):
    """So many people at once on each interactive pipeline whose users wait for their reply before they go on."""

    users: int
    tokens_per_s: float
    times_s: tuple[float, ...]
    meets_goals: bool


class Users(NamedTuple):
    """How many people the answer carries: with goals the most up to which every tried number meets them, else where
    throughput stops rising."""

    candidate: str
    rows: tuple[UsersRow, ...]
    most: int | None  # None: one is too many already
    with_goals: bool


class Change(NamedTuple):
    """What the answer would be were something else.

    Where one candidate stands in for one other, `ratios` says by path what the answer would take, over what the better
    one takes; with fewer slots it is what these would take over what the answer takes.
    """

    what: str
    stays: bool
    candidates: tuple[str, ...]  # that would be chosen
    fewer_slots: bool = False
    ratios: tuple[float, ...] = ()
    answer: str = ""  # whose times `ratios` are about
    fails: bool = False  # jobs of the answer would fail, and not those of the better one
    misses_goal: bool = False  # the same of goals


class LoadRow(NamedTuple):
    """How much the choice matters at another rate of arrivals; ratios by path."""

    rate: float
    spread: tuple[float, ...]  # the slowest of the finalists against the fastest
    answer: tuple[float, ...]  # the answer against the fastest
    failing: int  # finalists whose jobs fail or cannot end
    times_s: tuple[float, ...] = ()  # of the answer


class BoundRow(NamedTuple):
    """A figure of the answer beside its lower bound for any routing. Seconds."""

    pipeline: str
    figure: Literal["a job", "a reply", "all jobs"]
    found_s: float
    bound_s: float


class Difference(NamedTuple):
    """A figure of a candidate that was measured, and what had been predicted."""

    candidate: str
    pipeline: str
    predicted_s: float
    measured_s: float
    error: float


class Confirmation(NamedTuple):
    """What the measurement found."""

    origin: Origin
    folder: str
    candidates: tuple[str, ...]
    repeats: int
    analysis: Analysis
    differences: tuple[Difference, ...]
    separated: bool
    contradicts: bool
    predicted: tuple[str, ...]  # the answer before it
    end: MeasurementEnd
    looks: int  # at what had been measured until then


class Recommendation(NamedTuple):
    """The answer for one workload on one machine."""

    version: int
    workload: str
    description: str
    profile: str
    machine: str
    paths: tuple[Path, ...]
    origin: Origin  # of the answer: predicted, or measured where it was confirmed
    notes: tuple[RecommendationNote, ...]  # what belongs above everything
    answer: tuple[str, ...]  # names of the candidates to run: one, or one for each path
    uses: tuple[PathUse, ...]
    analysis: Analysis  # of the finalists, predicted
    goals: tuple[NearestToGoals | Relief, ...]  # where none meets all
    candidates: int
    left_out: tuple[Excluded, ...]
    search: SearchSummary
    front: tuple[Point, ...]
    useful_concurrency: UsefulConcurrency | None
    changes: tuple[Change, ...]
    load: tuple[LoadRow, ...]
    bounds: tuple[BoundRow, ...]
    memory: MemoryNeed
    longest_call: LongestCall | None
    users: Users | None = None
    confirmation: Confirmation | None = None
    interrupted: bool = False
    own: tuple[OwnPolicy, ...] = ()  # what became of the user's own policies
