"""What a recommendation says: a frozen tree that the terminal, Markdown and JSON render. Sentences are plain text."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.model import Analysis
from harness.core.records import Origin, Path

__all__ = [
    "RECOMMENDATION_VERSION",
    "BoundRow",
    "Change",
    "Confirmation",
    "Difference",
    "Knee",
    "KneeRow",
    "LoadRow",
    "PathUse",
    "Point",
    "Recommendation",
    "Users",
    "UsersRow",
]

RECOMMENDATION_VERSION = 1


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


class Point(NamedTuple):
    """A candidate on the Pareto front of times and memory, over the seeds of the search."""

    candidate: str
    times_s: tuple[float, ...]  # by path, in the order of `Recommendation.paths`
    memory_bytes: int | None
    meets_goals: bool
    chosen: bool
    on_front: bool  # the chosen one may lie beside it: within 5 % and simpler


class KneeRow(NamedTuple):
    """So many calls in flight at most."""

    in_flight: int | None  # None: no limit
    candidate: str
    tokens_per_s: float
    times_s: tuple[float, ...]


class Knee(NamedTuple):
    """How many agents are worth attaching at once: the first row within 5 % of the best throughput."""

    servers: tuple[str, ...]  # several take whatever comes
    slots: int  # of all of them
    rows: tuple[KneeRow, ...]
    in_flight: int | None
    sentence: str


class UsersRow(NamedTuple):
    """So many people at once on each interactive pipeline whose users wait for their reply before they go on."""

    users: int
    tokens_per_s: float
    times_s: tuple[float, ...]
    meets_goals: bool


class Users(NamedTuple):
    """How many people the answer carries: with goals the most that meet them, else where throughput stops rising."""

    rows: tuple[UsersRow, ...]
    most: int | None  # None: one is too many
    sentence: str


class Change(NamedTuple):
    """What the answer would be were something else."""

    what: str
    stays: bool
    candidates: tuple[str, ...]  # that would be chosen
    sentence: str


class LoadRow(NamedTuple):
    """How much the choice matters at another rate of arrivals; ratios by path."""

    rate: float
    spread: tuple[float, ...]  # the slowest of the finalists against the fastest
    answer: tuple[float, ...]  # the answer against the fastest
    failing: int  # finalists whose jobs fail or cannot end


class BoundRow(NamedTuple):
    """A figure of the answer beside what no routing can beat. Seconds."""

    pipeline: str
    figure: str
    found_s: float
    bound_s: float
    sentence: str


class Difference(NamedTuple):
    """A figure of a candidate that was measured, and what had been predicted."""

    candidate: str
    pipeline: str
    predicted_s: float
    measured_s: float
    error: float


class Confirmation(NamedTuple):
    """What the measurement said."""

    origin: Origin
    folder: str
    candidates: tuple[str, ...]
    repeats: int
    analysis: Analysis
    differences: tuple[Difference, ...]
    separated: bool
    contradicts: bool
    sentences: tuple[str, ...]


class Recommendation(NamedTuple):
    """The answer for one workload on one machine."""

    version: int
    workload: str
    description: str
    profile: str
    machine: str
    paths: tuple[Path, ...]
    origin: Origin  # of the answer: predicted, or measured where it was confirmed
    notes: tuple[str, ...]  # what belongs above everything
    answer: tuple[str, ...]  # names of the candidates to run: one, or one for each path
    uses: tuple[PathUse, ...]
    analysis: Analysis  # of the finalists, predicted
    goals: tuple[str, ...]  # said where none meets all
    candidates: int
    left_out: tuple[str, ...]
    search: tuple[str, ...]
    front: tuple[Point, ...]
    knee: Knee | None
    changes: tuple[Change, ...]
    load: tuple[LoadRow, ...]
    bounds: tuple[BoundRow, ...]
    memory: str
    users: Users | None = None
    front_why: str = ""  # why that point of the front was chosen
    confirmation: Confirmation | None = None
    interrupted: bool = False
