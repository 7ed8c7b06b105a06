"""Replies while other work runs, where most replies come while none does: a median over all of them hides these."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from harness.analysis.facts import BesideWork
from harness.analysis.measures import Index
from harness.core.records import JobRecord
from harness.runs.model import Run

__all__ = ["beside_work", "slower_beside"]

_FEWEST = 3  # replies beside other work; of fewer nothing is said
_LONGER = 1.5  # than the median over all
Span = tuple[float, float]


def beside_work(run: Run, index: Index) -> Iterator[BesideWork]:
    """Find interactive pipelines whose replies take much longer beside batch work, which few of them meet.

    Nothing is said of a pipeline where the median of some candidate is not a time above 0: records may be damaged.
    """
    batch = [name for name, spec in run.workload.pipelines.items() if spec.path == "batch"]
    busy = {
        candidate: {repeat: _united(jobs) for repeat, jobs in _by_repeat(index, candidate, batch).items()}
        for candidate in run.candidates
    }
    for pipeline, spec in run.workload.pipelines.items():
        if spec.path != "interactive":
            continue
        beside_s: dict[str, list[float]] = {}
        for candidate in run.candidates:
            jobs = [job for job in index.jobs.get((candidate, pipeline), ()) if job.outcome == "ok"]
            met = [job.pipeline_time_s for job in jobs if _meets(job, busy[candidate].get(job.repeat, ()))]
            if len(met) >= _FEWEST:
                beside_s[candidate] = met
        medians_s = {candidate: median(met) for candidate, met in beside_s.items()}
        best = min(medians_s, key=medians_s.__getitem__, default="")
        if not best or not medians_s[best] > 0:
            continue
        for candidate, met in beside_s.items():
            times = [job.pipeline_time_s for job in index.jobs[candidate, pipeline] if job.outcome == "ok"]
            all_s, mine_s = median(times), medians_s[candidate]
            if len(met) < len(times) / 2 and mine_s > _LONGER * all_s:
                goal_s = spec.goal.p50_s if spec.goal else None
                hidden = goal_s is not None and all_s <= goal_s < mine_s
                counts = len(met), len(times)
                yield BesideWork(
                    candidate, pipeline, tuple(batch), *counts, mine_s, all_s, hidden, best, medians_s[best]
                )


def slower_beside(found: Iterable[BesideWork]) -> dict[str, int]:
    """Return by candidate how much slower than the best one's its replies are beside batch work, in steps of half more.

    Of candidates that tie, the one with the fewest steps is taken; of those with as many, the simplest to run.
    """
    steps: dict[str, int] = {}
    for one in found:
        more = math.ceil(round(math.log(one.beside_s / one.best_s, _LONGER), 6))
        steps[one.candidate] = max(more, steps.get(one.candidate, 0))
    return steps


def _by_repeat(index: Index, candidate: str, pipelines: Sequence[str]) -> Mapping[int, list[JobRecord]]:
    found: dict[int, list[JobRecord]] = defaultdict(list)
    for pipeline in pipelines:
        for job in index.jobs.get((candidate, pipeline), ()):
            found[job.repeat].append(job)
    return found


def _united(jobs: Sequence[JobRecord]) -> list[Span]:
    """Return when any of the jobs is under way, in order, without overlaps."""
    spans: list[Span] = []
    for start_s, end_s in sorted((job.arrived_s, job.end_s) for job in jobs):
        if spans and start_s <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end_s)
        else:
            spans.append((start_s, end_s))
    return spans


def _meets(job: JobRecord, busy: Sequence[Span]) -> bool:
    """Whether a job is under way at the same time as one of these spans."""
    after = bisect_right(busy, job.reply_end_s, key=lambda span: span[0])
    return after > 0 and busy[after - 1][1] > job.arrived_s
