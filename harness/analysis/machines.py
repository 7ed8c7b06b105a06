"""One workload on several machines: what each of them takes, which meet its goals, and which of these is the cheapest.

Every machine runs the candidate that is recommended for it. Seconds, bytes; prices in whatever unit the user has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from harness.analysis.facts import BesideWork
from harness.analysis.goals import JudgedGoal, figure_of, judge, judge_all
from harness.analysis.model import CandidateSummary, GoalResult
from harness.analysis.statistics import Estimate, ends_of
from harness.core.records import Origin, Path

__all__ = [
    "Carries",
    "MachineComparison",
    "MachineResult",
    "MachineTime",
    "as_fast",
    "carries",
    "speed_of",
]

# Whether every goal is met. `not certain`: an interval reaches over a goal; `no goal`: there is none to judge.
Carries = Literal["yes", "no", "not certain", "no goal", "too large", "not predicted", "when idle"]


class MachineTime(NamedTuple):
    """The time of one pipeline: of a job, on an interactive path of a reply and of its first token."""

    pipeline: str
    path: Path
    time: Estimate | None
    goals: tuple[GoalResult, ...]
    first_token: Estimate | None = None  # of a reply; None: it has none, or it is not known

    @property
    def judgements(self) -> tuple[JudgedGoal, ...]:
        """Its goals, and how sure it is that they are met."""
        return tuple(judge(goal, self.time, self.first_token) for goal in self.goals)

    @property
    def shown(self) -> Estimate | None:
        """Its time as it is shown: around the median where a goal is about that."""
        return figure_of(self.goals, "p50_s", self.time)

    @property
    def first_shown(self) -> Estimate | None:
        """The same of its first token."""
        return figure_of(self.goals, "first_token_s", self.first_token)


class MachineResult(NamedTuple):
    """What is predicted of one machine."""

    name: str  # as the user named it: of a profile or of a device
    machine: str
    model: str
    origin: Origin  # of its profile
    carries: Carries
    candidate: str = ""  # that is recommended; "": none is
    slots: int = 0  # of all its servers
    times: tuple[MachineTime, ...] = ()
    needed_bytes: int | None = None  # of its servers; None: not known, as the next
    there_bytes: int | None = None
    price: float | None = None  # None: not given
    why_not: str = ""  # it is not predicted
    beside: tuple[BesideWork, ...] = ()  # what its candidate does beside batch jobs, where that is much slower
    left_out: tuple[str, ...] = ()  # candidates that could not be predicted
    model_asked: str = ""  # as its server is asked for it; "": not known


class MachineComparison(NamedTuple):
    """One workload on several machines, in the order in which they were named."""

    workload: str
    description: str
    machines: tuple[MachineResult, ...]
    open_questions: str = ""  # that nobody has answered in the workload's file, in words

    @property
    def with_goals(self) -> bool:
        """Whether the workload has a goal that was judged on some machine."""
        return any(one.carries in ("yes", "no", "not certain", "when idle") for one in self.machines)

    @property
    def carrying(self) -> tuple[MachineResult, ...]:
        """Those that meet every goal, with their intervals where these are known."""
        return tuple(one for one in self.machines if one.carries == "yes")

    @property
    def ranked(self) -> tuple[MachineResult, ...]:
        """The best first, then by speed; those that are not predicted last."""
        best = self.best
        return tuple(sorted(self.machines, key=lambda one: (one is not best, speed_of(one))))

    @property
    def as_fast(self) -> tuple[MachineResult, ...]:
        """Those that carry the workload, too, and of which it is not resolved whether they are slower than the best.

        Empty where the best is the best by its price.
        """
        best = self.best
        among = self.carrying if self.with_goals else [one for one in self.machines if one.carries == "no goal"]
        if best is None or (self.with_goals and all(one.price is not None for one in among)):
            return ()
        return as_fast(best, among)

    @property
    def best(self) -> MachineResult | None:
        """The cheapest of those that meet every goal where their prices are given, else the fastest of them.

        Without goals the fastest of all; None where no machine can be recommended.
        """
        among = self.carrying if self.with_goals else [one for one in self.machines if one.carries == "no goal"]
        if not among:
            return None
        if self.with_goals and all(one.price is not None for one in among):
            return min(among, key=lambda one: (one.price or 0.0, speed_of(one)))
        return min(among, key=speed_of)


def as_fast(best: MachineResult, others: Iterable[MachineResult]) -> tuple[MachineResult, ...]:
    """Return those of which it is not resolved whether they are slower than the best.

    The errors of two profiles are independent; those of one machine's pipelines go together.
    """
    known = _half_of(best)
    found = []
    for one in others:
        half = _half_of(one)
        if one is best or not one.times or known is None or half is None:
            continue
        if abs(math.log(speed_of(one) / speed_of(best))) < math.hypot(half, known):
            found.append(one)
    return tuple(found)


def _half_of(one: MachineResult) -> float | None:
    """Return half the interval of a machine's mean time, of its logarithm; None where some time has none."""
    ends = [ends_of(time.time) if time.time else None for time in one.times]
    halves = [math.log(high / low) / 2 for low, high in (pair for pair in ends if pair is not None)]
    return sum(halves) / len(halves) if halves and len(halves) == len(ends) else None


def speed_of(one: MachineResult) -> float:
    """Return the geometric mean of a machine's times, by which machines are ranked; infinite where one is not known."""
    times_s = [found.time.value if found.time else math.inf for found in one.times]
    return math.prod(times_s) ** (1 / len(times_s)) if times_s else math.inf


def carries(candidate: CandidateSummary) -> Carries:
    """Tell whether a candidate meets every goal, with its whole interval where that is known."""
    states = {judgement.state for judgement in judge_all(candidate)} - {"not judged"}
    if not states:
        return "no goal"
    if "missed" in states:
        return "no"
    return "not certain" if "not certain" in states else "yes"
