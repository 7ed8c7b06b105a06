"""Times by when jobs came, where the rate at which they come changes: how far does a candidate keep up?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from math import fsum
from statistics import median
from typing import NamedTuple, Protocol, runtime_checkable

from harness.analysis.timesplit import split_call
from harness.core.arrival_processes import ArrivalProcess
from harness.core.records import CallRecord, JobRecord, Path
from harness.runs.model import Baseline, Run

__all__ = ["ArrivingJobs", "Stretch", "arriving_jobs", "waits_from"]

_STRETCHES = 10  # of equal length, of the time within which jobs come


@runtime_checkable
class KnowsItsRate(Protocol):
    """An arrival process whose rate at every moment is written down."""

    def per_s_at(self, at_s: float) -> float:
        """Return the rate at a moment, in starts a second, counted from where the process begins."""


class Stretch(NamedTuple):
    """The jobs that came within a stretch of time, over all repeats."""

    from_s: float  # since the first job of the pipeline was due
    to_s: float
    per_s: float  # jobs that were due, a second of one repeat
    time_s: float | None  # the median of those that ended well; None: there is none
    expected_per_s: float | None = None  # by its arrival process, mean over its middle in the repeats; None: not known


class ArrivingJobs(NamedTuple):
    """A pipeline whose jobs come at a rate that changes, under one candidate.

    waits_from_s: from when on a call waits at every moment until the last job has come, the median over repeats; None
    where in half of the repeats or more nothing waits when the last one comes.
    """

    candidate: str
    pipeline: str
    path: Path
    stretches: tuple[Stretch, ...]
    waits_from_s: float | None
    grows_at: tuple[tuple[int, float], ...] = ()


def arriving_jobs(run: Run, complete: frozenset[tuple[str, int]]) -> tuple[ArrivingJobs, ...]:
    """Return this for each candidate and each pipeline that asks for it: those whose arrival process says so."""
    wanted = {name for name, spec in run.workload.pipelines.items() if spec.arrival.process().changes}
    if not wanted:
        return ()
    baselines = {server.name: server.baseline for server in run.servers}
    jobs: dict[tuple[str, str], list[JobRecord]] = defaultdict(list)
    waits: dict[tuple[str, str, int], list[tuple[float, float]]] = defaultdict(list)
    for job in run.jobs:
        if job.pipeline in wanted and (job.candidate, job.repeat) in complete:
            jobs[job.candidate, job.pipeline].append(job)
    for call in run.calls:
        if call.pipeline in wanted and (call.candidate, call.repeat) in complete:
            waits[call.candidate, call.pipeline, call.repeat].append(_wait(call, baselines.get(call.server)))
    found = []
    for name in run.candidates:
        for pipeline, spec in run.workload.pipelines.items():
            mine = jobs.get((name, pipeline), [])
            by_repeat: dict[int, list[JobRecord]] = defaultdict(list)
            for job in mine:
                by_repeat[job.repeat].append(job)
            if not mine or all(len(some) < 2 for some in by_repeat.values()):
                continue
            begun = {repeat: min(job.due_s for job in some) for repeat, some in by_repeat.items()}
            waited = {
                repeat: waits_from(waits[name, pipeline, repeat], max(job.due_s for job in some))
                for repeat, some in by_repeat.items()
            }
            known = {repeat: at_s - begun[repeat] for repeat, at_s in waited.items() if at_s is not None}
            always = median(known.values()) if 2 * len(known) > len(waited) else None
            # The first start is drawn, so the process began before it.
            process = spec.arrival.process()
            seed = run.workload.seed
            firsts = {repeat: next(process.times(0.0, seed, repeat, pipeline), 0.0) for repeat in by_repeat}
            grows_at: tuple[tuple[int, float], ...] = ()
            if isinstance(process, KnowsItsRate):
                grows_at = tuple((n, process.per_s_at(firsts[n] + at_s)) for n, at_s in sorted(known.items()))
            stretches = [
                stretch._replace(expected_per_s=_expected(process, stretch, firsts.values()))
                for stretch in _stretches(mine, begun)
            ]
            found.append(ArrivingJobs(name, pipeline, spec.path, tuple(stretches), always, grows_at))
    return tuple(found)


def _expected(process: ArrivalProcess, stretch: Stretch, firsts: Collection[float]) -> float | None:
    """Return the expected rate in the middle of a stretch, mean over repeats whose first starts are these."""
    middle_s = (stretch.from_s + stretch.to_s) / 2
    if not isinstance(process, KnowsItsRate):
        return None
    return fsum(process.per_s_at(first_s + middle_s) for first_s in firsts) / len(firsts)


def waits_from(waits: Sequence[tuple[float, float]], until_s: float) -> float | None:
    """Return from when on there is always something that waits, up to a moment; None where nothing does then.

    Args:
        waits: (from, to) of each, in seconds.
        until_s: the moment.
    """
    reached: float | None = None
    for begin_s, end_s in sorted(waits, key=lambda wait: -wait[1]):
        if begin_s > until_s or end_s <= begin_s:
            continue
        if reached is None:
            if end_s < until_s:
                return None  # none reaches it: the others end earlier still
            reached = begin_s
        elif end_s >= reached:
            reached = min(reached, begin_s)
        else:
            break
    return reached


def _wait(call: CallRecord, baseline: Baseline | None) -> tuple[float, float]:
    split = split_call(call, baseline)
    if split is None:
        return call.ready_s, call.ready_s
    parts = split.parts
    return call.ready_s, call.ready_s + parts.router_wait_s + parts.throttle_wait_s + parts.queue_wait_s


def _stretches(jobs: Sequence[JobRecord], begun: dict[int, float]) -> tuple[Stretch, ...]:
    after = [(job.due_s - begun[job.repeat], job) for job in jobs]
    last_s = max(at_s for at_s, _ in after)
    step_s = last_s / _STRETCHES
    if step_s <= 0:
        return ()
    came: list[list[JobRecord]] = [[] for _ in range(_STRETCHES)]
    for at_s, job in after:
        came[min(_STRETCHES - 1, int(at_s / step_s))].append(job)
    found = []
    for number, some in enumerate(came):
        good = [job.pipeline_time_s for job in some if job.outcome == "ok"]
        rate = len(some) / (step_s * len(begun))
        found.append(Stretch(number * step_s, (number + 1) * step_s, rate, median(good) if good else None))
    return tuple(found)
