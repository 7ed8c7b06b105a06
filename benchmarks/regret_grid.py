"""The grid of designs that benchmarks/regret.py always measures, and the best design in it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.analysis.model import Analysis
from harness.core.plan import Pool
from harness.core.records import Path as JobPath
from harness.profiles.schema import Profile
from harness.recommend.constraints import memory_of
from harness.recommend.space import Candidate, Space, design_space
from harness.runs.folder import read_run
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.schema import MeasureSpec

GRID_SLOTS = 4  # at most
GRID_ORDERS = {"fifo", "interactive-first"}
# Two servers on half of the cores each: the interactive one, and the batch one.
APART = {
    *((("serial", 1), batch) for batch in (("serial", 1), ("waves", 4), ("unbounded", 4))),
    *((("serial", 1), ("window", n)) for n in (2, 4)),
    (("window", 4), ("window", 4)),
}
TWICE = {("serial", 1), ("window", 4)}  # two equal servers that share all calls, where there is one path
# `reserve` lets interactive calls overtake anyway; in `waves` there rarely is one that could.
FIFO_ONLY = {"reserve", "waves"}


def grid(space: Space) -> list[Candidate]:
    """Return the designs that are measured for any prediction; none occurs twice under two names."""
    both = len({pipeline.path for pipeline in space.loaded.pipelines}) > 1
    found = []
    for candidate in space.candidates:
        queues = candidate.plan.queues
        ways = tuple((queue.concurrency.name, queue.slots) for queue in queues)
        orders = {queue.scheduling.name for queue in queues}
        if any(queue.limit is not None for queue in queues) or not orders <= GRID_ORDERS:
            continue
        if any(queue.concurrency.name in FIFO_ONLY and queue.scheduling.name != "fifo" for queue in queues):
            continue
        pooled = any(isinstance(place, Pool) for places in candidate.plan.placement for place in places)
        if len(queues) == 1 or (ways in APART and not pooled) or (pooled and not both and ways[0] in TWICE):
            found.append(candidate)
    return found


def space_of(path: Path, profile: Profile, seed: int = 0) -> Space:
    """Return all candidates of a workload with up to four slots; `seed` is added to that of the file."""
    loaded = load_workload(path)
    if seed:
        loaded = load_workload(path, Overrides(seed=loaded.workload.seed + seed))
    like = loaded.servers[most_slots(loaded.servers)]
    return design_space(loaded, profile, extrapolate=True, max_slots=GRID_SLOTS, fits=memory_of(like, profile).too_much)


def wanted(loaded: Loaded, candidates: Sequence[Candidate], repeats: int, warmup: int) -> Loaded:
    """Return the workload with these candidates, to be measured this often."""
    plans = tuple(candidate.plan for candidate in candidates)
    used = {queue.server for plan in plans for queue in plan.queues}
    return loaded._replace(
        plans=plans,
        servers={name: spec for name, spec in loaded.servers.items() if name in used},
        derived=tuple(name for name in loaded.derived if name in used),
        models={name: loaded.models[name] for name in used},
        workload=loaded.workload.model_copy(update={"measure": MeasureSpec(repeats=repeats, warmup=warmup)}),
    )


def best_of(analysis: Analysis, path: JobPath, *, goals: bool = False) -> str | None:
    """Return the fastest of a measured grid on a path; with `goals` of those that meet all of them."""
    able = [
        candidate
        for candidate in analysis.candidates
        if not any(s.jobs_failed for s in candidate.pipelines)
        and not (goals and any(goal.state == "missed" for s in candidate.pipelines for goal in s.goals))
    ]
    times = {candidate.name: [s.time for s in candidate.pipelines if s.path == path] for candidate in able}
    known = {
        name: math.prod(time.value for time in taken if time) for name, taken in times.items() if taken and all(taken)
    }
    return min(known, key=lambda name: known[name]) if known else None


class GridOver:
    """Ends the measurement of a grid before a repeat of it that its share of the budget has no room for."""

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begin_s = clock, clock()
        self._end_s = self._begin_s + budget_s
        self._first_s = 0.0  # when the first trial had ended: before it servers were started
        self._trials = 0

    def __call__(self, folder: Path) -> bool:
        """Look at the folder after a trial: one repeat is always measured."""
        now_s = self._clock()
        self._trials += 1
        if self._trials == 1:
            self._first_s = now_s
        run = read_run(folder)
        done = Counter(trial.candidate for trial in run.trials if trial.complete)
        if len({done[name] for name in run.candidates}) > 1:
            return False  # in the middle of a repeat
        since_s, trials = (now_s - self._first_s, self._trials - 1) if self._trials > 1 else (now_s - self._begin_s, 1)
        return now_s + since_s / trials * len(run.candidates) > self._end_s
