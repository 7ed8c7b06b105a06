"""One workload on several machines: what each of them takes, which meet its goals, and which of these is the cheapest.

Every machine runs the candidate that is recommended for it. Seconds, bytes; prices in whatever unit the user has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from harness.analysis.model import CandidateSummary, GoalResult
from harness.analysis.statistics import NO_WIDTH, Estimate
from harness.core.records import Origin, Path

__all__ = [
    "Carries",
    "MachineComparison",
    "MachineResult",
    "MachineTime",
    "as_fast",
    "carries",
    "ends_of",
    "speed_of",
    "state_of",
]

# Whether every goal is met. `not certain`: an interval reaches over a goal; `no goal`: there is none to judge.
Carries = Literal["yes", "no", "not certain", "no goal", "too large", "not predicted"]


class MachineTime(NamedTuple):
    """The time of one pipeline: of a job, on an interactive path of a reply."""

    pipeline: str
    path: Path
    time: Estimate | None
    goals: tuple[GoalResult, ...]


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
        return any(one.carries in ("yes", "no", "not certain") for one in self.machines)

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


def ends_of(found: Estimate) -> tuple[float, float] | None:
    """Return the interval over draws and profile together, whose errors are independent; None where it has no width."""
    halves = [
        math.log(ends[1] / ends[0]) / 2
        for ends in (found.interval, found.profile_interval)
        if ends is not None and not math.isclose(*ends, rel_tol=NO_WIDTH)
    ]
    half = math.hypot(*halves)
    return (found.value * math.exp(-half), found.value * math.exp(half)) if half > 0 else None


def carries(candidate: CandidateSummary) -> Carries:
    """Tell whether a candidate meets every goal, with its whole interval where that is known."""
    states = [state_of(goal, _estimates(summary.time, summary.first_token)) for summary in candidate.pipelines
              for goal in summary.goals if goal.state != "not judged"]  # fmt: skip
    if not states:
        return "no goal"
    if "no" in states:
        return "no"
    if "not certain" in states:
        return "not certain"
    return "yes"


def _estimates(time: Estimate | None, first_token: Estimate | None) -> Mapping[str, Estimate | None]:
    """Return what each goal is about; of a 95th percentile the spread is taken to be that of the median."""
    return {"p50_s": time, "p95_s": time, "first_token_s": first_token}


def state_of(goal: GoalResult, estimates: Mapping[str, Estimate | None]) -> Carries:
    """Tell whether a goal is met; `estimates` has the figure that each goal is about, by the goal's name."""
    found = estimates[goal.goal]
    around = None if found is None or goal.found_s is None else ends_of(found)
    if found is not None and goal.found_s is not None and around is not None:
        low, high = (goal.found_s * end / found.value for end in around)
        if low < goal.wanted_s < high:
            return "not certain"
    return "yes" if goal.state == "met" else "no"
