"""The critical path of a job: the chain of calls and delays that its end waited for.

Walked back from the last thing to end, each time to the last of its predecessors to end. What lies between two of them
is the harness's own; so the parts of the path add up to the pipeline time. For a node that was skipped stands what is
before it: who comes after the node waited until it was known that it would not run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.analysis.timesplit import Parts, TimeSplit, add_parts, split_call
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.runs.model import Baseline
from harness.workload.networks import nx

__all__ = ["CriticalPath", "NodeSlack", "PathEdges", "PathStep", "critical_path", "median_job", "slack_of"]

_new = tuple.__new__  # half the cost of a NamedTuple's own constructor
_HARNESS = Parts._fields.index("harness_s")
_MOST_STEPS = 2000  # of one job: every pair of them is looked at


class PathEdges(NamedTuple):
    """Who waits for whom in a pipeline, compiled: a run has a path for every job, and networkx takes its time."""

    before: Mapping[str, tuple[tuple[str, bool], ...]]  # by node: whom it waits for, and whether in the next pass only
    after: Mapping[str, tuple[str, ...]]  # who waits for it in this pass
    answers: frozenset[str]
    enough: frozenset[str]  # nodes for which so many items are enough
    need: frozenset[str]  # nodes that need so many predecessors
    loops: frozenset[str]  # nodes that may run again

    @classmethod
    def compiled(cls, graph: nx.DiGraph[str]) -> PathEdges:
        """Compile a graph of `harness.workload.dependencies`."""
        return cls(
            {name: tuple((other, again) for other, _, again in graph.in_edges(name, data="again")) for name in graph},
            {name: tuple(b for _, b, again in graph.out_edges(name, data="again") if not again) for name in graph},
            frozenset(name for name, node in graph.nodes.items() if node.get("answers")),
            frozenset(name for name, node in graph.nodes.items() if node.get("enough") is not None),
            frozenset(name for name, node in graph.nodes.items() if node.get("need") is not None),
            frozenset(
                name
                for part in nx.strongly_connected_components(graph)
                for name in part
                if len(part) > 1 or graph.has_edge(name, name)
            ),
        )


class PathStep(NamedTuple):
    """One call or delay on the path; `parts` includes the harness's gap before it."""

    node: str
    item: int
    start_s: float  # ready, on the trial's clock
    end_s: float
    parts: Parts


class CriticalPath(NamedTuple):
    """The critical path of one job. `parts.total_s` is its pipeline time; steps are in the order of time."""

    candidate: str
    repeat: int
    pipeline: str
    job: int
    pipeline_time_s: float
    steps: tuple[PathStep, ...]
    parts: Parts


class NodeSlack(NamedTuple):
    """How one node went in one job, over all of its calls."""

    node: str
    start_s: float  # the first of them was ready, on the trial's clock
    end_s: float  # the last one ended
    slack_s: float  # the least of them: so much later could it have ended, and the job at the same time
    steps: int


def critical_path(
    job: JobRecord,
    calls: Sequence[CallRecord],
    delays: Sequence[DelayRecord],
    edges: PathEdges,
    baselines: Mapping[str, Baseline | None],
    splits: Mapping[int, TimeSplit | None] | None = None,
) -> CriticalPath | None:
    """Walk back the critical path of a job from its own calls and delays; None where no part of it ended.

    `baselines` maps servers to theirs; `splits`, where given, the identity of each call to how it was split.
    A late start and whatever passed between the last end and the job's are the
    harness's, so that the sum is `job.pipeline_time_s`. Where a node has answered, it is the way to its answer.
    """
    ended: dict[str, list[PathStep]] = {}
    for call in calls:
        step = _call_step(call, baselines, splits)
        if step is not None:
            ended.setdefault(step.node, []).append(step)
    for delay in delays:
        ended.setdefault(delay.node, []).append(_delay_step(delay))
    if not ended:
        return None
    if len(ended) == 1 and len(made := next(iter(ended.values()))) == 1 and job.replied_s is None:
        return _path(job, made)  # most jobs of a chat are one call
    # Among what nothing came after: what had ended with the job. Calls that it did not need may go on for longer.
    ends = [step for node, mine in ended.items() if _ends_it(job, edges, node, ended) for step in mine]
    in_time = [step for step in ends if step.end_s <= job.reply_end_s]
    backwards = [max(in_time or ends, key=lambda step: step.end_s)]
    # A tie goes to the one recorded first. An earlier attempt at the same call comes before a later one.
    while before := [step for step in _before(edges, backwards[-1], ended) if step not in backwards]:
        backwards.append(max(before, key=lambda step: step.end_s))
    return _path(job, backwards)


def _path(job: JobRecord, backwards: Sequence[PathStep]) -> CriticalPath:
    steps: list[PathStep] = []
    now_s = job.due_s
    for step in backwards[:0:-1]:
        steps.append(_begun(step, step.start_s - now_s))
        now_s = step.end_s
    # Booked on the last step: the walk's own time to notice that the job is over.
    last = backwards[0]
    steps.append(_begun(last, last.start_s - now_s + (job.reply_end_s - last.end_s)))
    return CriticalPath(
        job.candidate,
        job.repeat,
        job.pipeline,
        job.job,
        job.pipeline_time_s,
        tuple(steps),
        add_parts(step.parts for step in steps),
    )


def _begun(step: PathStep, harness_s: float) -> PathStep:
    """Return a step with the harness's time before it; spelled out, as there is one for every call."""
    parts = step.parts
    return _new(PathStep, (*step[:-1], _new(Parts, (*parts[:_HARNESS], harness_s, *parts[_HARNESS + 1 :]))))


def _ends_it(job: JobRecord, edges: PathEdges, node: str, ended: Mapping[str, list[PathStep]]) -> bool:
    if job.replied_s is not None:
        return node in edges.answers
    return not any(after in ended for after in edges.after[node])


def _before(edges: PathEdges, step: PathStep, ended: Mapping[str, list[PathStep]]) -> list[PathStep]:
    """Return what had ended when a step began, of all that it may have waited for.

    For a predecessor that was skipped stands what is before it. One that has run was skipped in this pass of a loop if
    what is before it has ended since; with `need` or `enough` that says nothing, as what was left to run can end later.
    """
    steps = [other for other in ended[step.node] if other.item == step.item and other.end_s <= step.start_s]
    todo = [(step.node, -math.inf, False)]
    seen = {step.node}
    while todo:
        node, since_s, has_run = todo.pop()
        for before, again in edges.before[node]:
            if again and node != step.node:  # what ends the loop has not been waited for by what begins it
                continue
            mine = [other for other in ended.get(before, ()) if other.end_s <= step.start_s]
            if not (has_run and before in edges.enough):
                steps += [other for other in mine if other.end_s > since_s]
            ran = mine and before not in edges.loops and before not in edges.enough  # what is before it ended before
            if before not in seen and not ran and not (mine and before in edges.need):
                seen.add(before)
                began_s = max((other.start_s for other in mine), default=since_s)
                todo.append((before, max(began_s, since_s), has_run or bool(mine)))
    return steps


def slack_of(
    job: JobRecord,
    calls: Sequence[CallRecord],
    delays: Sequence[DelayRecord],
    edges: PathEdges,
    baselines: Mapping[str, Baseline | None],
) -> tuple[NodeSlack, ...]:
    """Return the slack of every node that ran, in the order of their starts; none where a job has thousands of calls.

    What came later is held as it happened: a call that ends later would also keep its slot for longer, and that is
    not in here. Calls that were still running when the reply was there, or the job ended, are left out: nobody waited
    for them.
    """
    made = [*(_call_step(call, baselines) for call in calls), *(_delay_step(delay) for delay in delays)]
    steps = [step for step in made if step is not None and step.end_s <= job.reply_end_s]
    if len(steps) > _MOST_STEPS:
        return ()
    by_node: dict[str, list[PathStep]] = {}
    for step in steps:
        by_node.setdefault(step.node, []).append(step)
    slack_s: dict[int, float] = {}  # by the identity of a step: two can be equal
    for step in sorted(steps, key=lambda step: (-step.end_s, -step.start_s)):
        known_s = slack_s.setdefault(id(step), job.reply_end_s - step.end_s)
        for before in _before(edges, step, by_node):
            later_s = step.start_s - before.end_s + known_s
            slack_s[id(before)] = min(later_s, slack_s.get(id(before), math.inf))
    found = [
        NodeSlack(
            node,
            min(step.start_s for step in mine),
            max(step.end_s for step in mine),
            min(slack_s[id(step)] for step in mine),
            len(mine),
        )
        for node, mine in by_node.items()
    ]
    return tuple(sorted(found, key=lambda slack: slack.start_s))


def median_job(jobs: Sequence[JobRecord]) -> JobRecord:
    """Return the job with the (lower) median pipeline time: a job that happened, not an average of two."""
    ordered = sorted(jobs, key=lambda job: (job.pipeline_time_s, job.repeat, job.job))
    return ordered[(len(ordered) - 1) // 2]


def _call_step(
    call: CallRecord, baselines: Mapping[str, Baseline | None], splits: Mapping[int, TimeSplit | None] | None = None
) -> PathStep | None:
    split = split_call(call, baselines.get(call.server)) if splits is None else splits[id(call)]
    if split is None or call.reply.end_s is None:
        return None
    return _new(PathStep, (call.node, call.item, call.ready_s, call.reply.end_s, split.parts))


def _delay_step(delay: DelayRecord) -> PathStep:
    length_s = math.fsum((delay.end_s, -delay.start_s))
    return PathStep(delay.node, 0, delay.start_s, delay.end_s, Parts(tool_s=length_s))
