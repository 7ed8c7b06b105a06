"""What a page can show and a table cannot: distributions, nodes, graphs with slack, timelines. One pass over records.

Everything here is aggregated for the eye: a hundred thousand calls make a few hundred points. The raw records lie
beside the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.arriving import ArrivingJobs, arriving_jobs
from harness.analysis.critical_path import CriticalPath, NodeSlack, PathEdges, slack_of
from harness.analysis.front import FrontPoint, front_of
from harness.analysis.model import Analysis
from harness.analysis.timeline import Timeline, median_trial, timeline, trials_to_show
from harness.analysis.timesplit import Parts, split_call
from harness.core.records import CallRecord, DelayRecord, JobRecord, Path
from harness.runs.model import Run
from harness.workload.dependencies import dependencies
from harness.workload.networks import nx

__all__ = ["Details", "JobGraph", "NodeTime", "TimeDistribution", "details", "ecdf"]

_POINTS = 200  # of a distribution


class TimeDistribution(NamedTuple):
    """The times of all jobs of a pipeline that ended well: `(seconds, share of them that took no longer)`."""

    candidate: str
    pipeline: str
    path: Path
    jobs: int
    points: tuple[tuple[float, float], ...]


class NodeTime(NamedTuple):
    """Where a call (or a tool delay) of one node spends its time, the mean over all that ended well."""

    candidate: str
    pipeline: str
    node: str
    calls: int
    parts: Parts


class JobGraph(NamedTuple):
    """The median job of a pipeline on its graph."""

    path: CriticalPath
    graph: nx.DiGraph[str]  # as `dependencies` returns it
    slack: tuple[NodeSlack, ...]


class Details(NamedTuple):
    """All of it, candidates and pipelines in the run's order."""

    distributions: tuple[TimeDistribution, ...]
    nodes: tuple[NodeTime, ...]
    graphs: tuple[JobGraph, ...]
    timelines: tuple[Timeline, ...]
    trials: int  # complete ones; timelines are of so many as have room
    front: tuple[FrontPoint, ...]
    arriving: tuple[ArrivingJobs, ...] = ()  # of pipelines whose jobs come at a rate that changes


def details(run: Run, analysis: Analysis) -> Details:
    """Look at a run's records once more, for what `analysis` has no room for."""
    complete = {(trial.candidate, trial.repeat) for trial in run.trials if trial.complete}
    sizes: dict[tuple[str, int], int] = defaultdict(int)
    for record in run.jobs:
        sizes[record.candidate, record.repeat] += record.calls
    trials, most = trials_to_show(run.candidates, run.trials, sizes)
    medians = {median_trial([t for t in run.trials if t.candidate == name]) for name in run.candidates}
    of_trial: dict[tuple[str, int], list[CallRecord]] = {(trial.candidate, trial.repeat): [] for trial in trials}
    paths = [s.median_path for c in analysis.candidates for s in c.pipelines if s.median_path is not None]
    wanted = {(path.candidate, path.repeat, path.pipeline, path.job) for path in paths}
    baselines = {server.name: server.baseline for server in run.servers}

    sums: dict[tuple[str, str, str], list[float]] = {}
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    of_job: dict[tuple[str, int, str, int], list[CallRecord]] = defaultdict(list)
    for call in run.calls:
        if (call.candidate, call.repeat) not in complete:
            continue
        if (mine := of_trial.get((call.candidate, call.repeat))) is not None:
            mine.append(call)
        job = (call.candidate, call.repeat, call.pipeline, call.job)
        if job in wanted:
            of_job[job].append(call)
        split = split_call(call, baselines.get(call.server))
        if split is not None:
            node = (call.candidate, call.pipeline, call.node)
            counts[node] += 1
            total = sums.get(node)
            if total is None:
                sums[node] = list(split.parts)
                continue
            for part, part_s in enumerate(split.parts):
                if part_s:  # most are nothing
                    total[part] += part_s
    delays: dict[tuple[str, int, str, int], list[DelayRecord]] = defaultdict(list)
    for delay in run.delays:
        if (delay.candidate, delay.repeat) in complete:
            node = (delay.candidate, delay.pipeline, delay.node)
            counts[node] += 1
            total = sums.setdefault(node, list(Parts()))
            total[Parts._fields.index("tool_s")] += delay.end_s - delay.start_s
            delays[delay.candidate, delay.repeat, delay.pipeline, delay.job].append(delay)

    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    median_jobs: dict[tuple[str, int, str, int], JobRecord] = {}
    for record in run.jobs:
        if record.outcome == "ok" and (record.candidate, record.repeat) in complete:
            times[record.candidate, record.pipeline].append(record.pipeline_time_s)
            job = (record.candidate, record.repeat, record.pipeline, record.job)
            if job in wanted:
                median_jobs[job] = record

    graphs = {pipeline: dependencies(run.workload, pipeline) for pipeline in run.workload.pipelines}
    drawn = []
    for path in paths:
        job = (path.candidate, path.repeat, path.pipeline, path.job)
        graph = graphs[path.pipeline]
        edges = PathEdges.compiled(graph)
        slack = slack_of(median_jobs[job], of_job.get(job, ()), delays.get(job, ()), edges, baselines)
        drawn.append(JobGraph(path, graph, slack))
    slots = {use.server: use.slots for c in analysis.candidates for use in c.servers if use.slots > 0}
    return Details(
        tuple(
            TimeDistribution(candidate, pipeline, spec.path, len(values), ecdf(values))
            for candidate in run.candidates
            for pipeline, spec in run.workload.pipelines.items()
            if (values := times.get((candidate, pipeline)))
        ),
        tuple(
            NodeTime(candidate, pipeline, node, counts[key], Parts(*(total / counts[key] for total in sums[key])))
            for candidate in run.candidates
            for pipeline in run.workload.pipelines
            for node in graphs[pipeline]
            if (key := (candidate, pipeline, node)) in sums
        ),
        tuple(drawn),
        tuple(
            timeline(trial, of_trial[trial.candidate, trial.repeat], slots, baselines, most, median=trial in medians)
            for trial in trials
        ),
        len(complete),
        front_of(analysis.candidates),
        arriving_jobs(run, frozenset(complete)),
    )


def ecdf(values: Sequence[float], most: int = _POINTS) -> tuple[tuple[float, float], ...]:
    """Return the empirical distribution function at its jumps; of many values at `most` of them, the ends included."""
    ordered = sorted(values)
    last = len(ordered) - 1
    ranks = range(len(ordered)) if len(ordered) <= most else [round(i * last / (most - 1)) for i in range(most)]
    return tuple((ordered[rank], (rank + 1) / len(ordered)) for rank in ranks)
