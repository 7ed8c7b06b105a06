"""Replies while other work runs, where most replies come while none does: a median over all of them hides these."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from harness.analysis.facts import BesideWork
from harness.analysis.measures import Index
from harness.core.records import JobRecord
from harness.runs.model import Run

__all__ = ["beside_work"]

_FEWEST = 3  # replies beside other work; of fewer nothing is said
_LONGER = 1.5  # than the median over all
Span = tuple[float, float]


def beside_work(run: Run, index: Index) -> Iterator[BesideWork]:
    """Find interactive pipelines whose replies take much longer beside batch work, which few of them meet."""
    batch = [name for name, spec in run.workload.pipelines.items() if spec.path == "batch"]
    for candidate in run.candidates:
        busy = {repeat: _united(jobs) for repeat, jobs in _by_repeat(index, candidate, batch).items()}
        for pipeline, spec in run.workload.pipelines.items():
            if spec.path != "interactive":
                continue
            jobs = [job for job in index.jobs.get((candidate, pipeline), ()) if job.outcome == "ok"]
            beside = [job.pipeline_time_s for job in jobs if _meets(job, busy.get(job.repeat, ()))]
            if not _FEWEST <= len(beside) < len(jobs) / 2:
                continue
            all_s, beside_s = median(job.pipeline_time_s for job in jobs), median(beside)
            if beside_s > _LONGER * all_s:
                goal_s = spec.goal.p50_s if spec.goal else None
                hidden = goal_s is not None and all_s <= goal_s < beside_s
                yield BesideWork(candidate, pipeline, tuple(batch), len(beside), len(jobs), beside_s, all_s, hidden)


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
