"""Loads that agents cause by what they ask an Ollama for: contexts that differ, and keep-alives that end.

What makes a load: the model's last call had another context, or its keep-alive had passed since. Any other load makes
room for another model (`harness.analysis.swaps`), or is nobody's of the workload.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from harness.analysis.critical_path import PathEdges, critical_path
from harness.analysis.timesplit import is_load_event
from harness.core.records import PREDICTED, CallRecord, DelayRecord, JobRecord
from harness.runs.model import Run, ServerFacts
from harness.workload.dependencies import agents_of, dependencies
from harness.workload.schema import KINDS, AgentSpec, same_model

__all__ = ["EndedJob", "Reason", "Reloads", "reloads_of"]

Reason = Literal["num_ctx", "keep_alive"]
_SAME_LOAD_S = 0.05  # calls that were let go within this had waited for one load
_LATE_S = 0.25  # a client sees the end of a call so much later than its server does, at most


class Reloads(NamedTuple):
    """The loads of one model on one server for one reason, under one candidate. Seconds."""

    server: str
    model: str
    reason: Reason
    contexts: tuple[int | None, ...]  # that its calls ask for, in tokens, in order; None: the server's, not known
    loads: float  # in a repeat, the mean
    total_s: float  # in a repeat, what calls waited for them, the mean
    paths: tuple[tuple[str, float], ...]  # pipeline, seconds on a job's path, the mean; of those that waited


class EndedJob(NamedTuple):
    """A job that ended well, with all that is recorded of it."""

    job: JobRecord
    calls: Sequence[CallRecord]
    delays: Sequence[DelayRecord]


JobsOf = Callable[[str], Iterable[EndedJob]]  # by pipeline


def reloads_of(run: Run, calls: Sequence[CallRecord], jobs_of: JobsOf) -> tuple[Reloads, ...]:
    """Return the loads that agents cause by what they ask for, the longest waits first.

    Args:
        run: with the workload and the servers.
        calls: of one candidate, of complete trials.
        jobs_of: returns those of a pipeline, of the same trials.
    """
    agents = {
        (pipeline, node): agent
        for pipeline in run.workload.pipelines
        for node, (_, agent) in agents_of(run.workload, pipeline).items()
    }
    if all(agent.num_ctx is None and agent.keep_alive is None for agent in agents.values()):
        return ()
    found, repeats = [], len({call.repeat for call in calls})
    for server in run.servers:
        if server.kind not in KINDS or not KINDS[server.kind].loads_as_asked:
            continue
        for model, mine in _by_model(server, calls).items():
            asked = [(agents[call.pipeline, call.node], call) for call in mine if (call.pipeline, call.node) in agents]
            found += list(_reloads(run, server, model, asked, jobs_of, repeats))
    return tuple(sorted(found, key=lambda reloads: -reloads.total_s))


def _by_model(server: ServerFacts, calls: Sequence[CallRecord]) -> dict[str, list[CallRecord]]:
    """Return the answers of a server by model, in the order in which their models were there."""
    found: dict[str, list[CallRecord]] = defaultdict(list)
    for call in calls:
        if call.server == server.name and call.outcome == "ok" and not call.embeds and call.reply.sent_s is not None:
            own = not call.model or same_model(call.model, server.model)
            found[server.model if own else call.model].append(call)
    for mine in found.values():
        mine.sort(key=lambda call: (call.repeat, _there_s(call)))
    return found


def _there_s(call: CallRecord) -> float:
    return (call.reply.sent_s or 0.0) + (call.reply.load_s or 0.0)


def _reloads(
    run: Run,
    server: ServerFacts,
    model: str,
    asked: Sequence[tuple[AgentSpec, CallRecord]],
    jobs_of: JobsOf,
    repeats: int,
) -> Iterator[Reloads]:
    own = int(server.details.get("context_tokens", 0)) or None
    contexts = {own if agent.num_ctx is None else agent.num_ctx for agent, _ in asked}
    ends = any(agent.keep_s is not None and agent.keep_s < math.inf for agent, _ in asked)
    if len(contexts) < 2 and not ends:
        return
    loads: dict[Reason, int] = defaultdict(int)
    waited: dict[Reason, list[CallRecord]] = defaultdict(list)
    before: CallRecord | None = None
    context, keep_s, ended_s, reason = own, math.inf, -math.inf, None
    for agent, call in asked:
        if before is None or before.repeat != call.repeat:
            before, ended_s, reason = None, -math.inf, None
        wanted = own if agent.num_ctx is None else agent.num_ctx
        if _waited(call, server):
            at_once = before is not None and _there_s(call) - _there_s(before) <= _SAME_LOAD_S
            if not (at_once and wanted == context):
                reason = _reason(call, before, wanted != context, keep_s, ended_s, several=len(contexts) > 1, ends=ends)
                keep_s = math.inf
                if reason is not None:
                    loads[reason] += 1
            if reason is not None:
                waited[reason].append(call)
        keep_s = keep_s if agent.keep_s is None else agent.keep_s
        before, context, ended_s = call, wanted, max(ended_s, call.reply.end_s or 0.0)
    for why, calls in waited.items():
        total_s = math.fsum(call.reply.load_s or 0.0 for call in calls)
        ordered = tuple(sorted(contexts, key=lambda tokens: tokens or 0))
        paths = tuple(_on_paths(run, calls, jobs_of))
        yield Reloads(server.name, model, why, ordered, loads[why] / repeats, total_s / repeats, paths)


def _waited(call: CallRecord, server: ServerFacts) -> bool:
    """Tell whether a call waited for its model: a prediction says it exactly."""
    return (call.reply.load_s or 0.0) > 0 if call.origin in PREDICTED else is_load_event(call, server.baseline)


def _reason(
    call: CallRecord,
    before: CallRecord | None,
    other: bool,
    keep_s: float,
    ended_s: float,
    *,
    several: bool,
    ends: bool,
) -> Reason | None:
    """Return why a call's model had to be loaded; of the first call in a trial what came before is not known."""
    if before is None:
        return "num_ctx" if several else "keep_alive" if ends else None
    if other:
        return "num_ctx"
    return "keep_alive" if (call.reply.sent_s or 0.0) - ended_s >= keep_s - _LATE_S else None


def _on_paths(run: Run, waited: Sequence[CallRecord], jobs_of: JobsOf) -> Iterator[tuple[str, float]]:
    """Yield how many seconds of these waits lie on the path of a job, by pipeline; the mean over those that ended well.

    Nothing of pipelines without a path.
    """
    baselines = {server.name: server.baseline for server in run.servers}
    mine = {(call.pipeline, call.repeat, call.job, call.node, call.item, call.reply.end_s) for call in waited}
    for pipeline in dict.fromkeys(call.pipeline for call in waited):
        edges = PathEdges.compiled(dependencies(run.workload, pipeline))
        seconds = []
        for job, calls, delays in jobs_of(pipeline):
            path = critical_path(job, calls, delays, edges, baselines)
            if path is not None:
                keys = ((pipeline, job.repeat, job.job, step.node, step.item, step.end_s) for step in path.steps)
                pairs = zip(keys, path.steps, strict=True)
                seconds.append(math.fsum(step.parts.load_s for key, step in pairs if key in mine))
        if seconds:
            yield pipeline, math.fsum(seconds) / len(seconds)
