"""The context that the calls of a candidate need on each server, where a slot had less."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.core.context import CallNeed
from harness.core.records import CallRecord
from harness.runs.model import Run
from harness.workload.dependencies import agents_of
from harness.workload.schema import KINDS

__all__ = ["needed_contexts", "needs_of_servers"]

Node = tuple[str, str]  # pipeline, node


def needed_contexts(
    needs: Iterable[CallNeed], calls: Sequence[CallRecord], contexts: Mapping[str, int]
) -> dict[str, CallNeed]:
    """Return the call that lacks most context, for each server that has too little for one.

    What a node was seen to need goes before the estimate where its sizes do not vary and all of its calls went well.

    Args:
        needs: the longest call of each node, by the workload.
        calls: of one candidate.
        contexts: of a slot, by server; 0 = not known.
    """
    seen: dict[Node, int] = defaultdict(int)  # the longest prompt
    cut: set[Node] = set()  # with a call that failed or filled its slot
    places: dict[Node, set[str]] = defaultdict(set)
    of_pipeline: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        node, reply = (call.pipeline, call.node), call.reply
        places[node].add(call.server)
        of_pipeline[call.pipeline].add(call.server)
        prompt = reply.prompt_tokens or 0
        if reply.outcome != "ok" or prompt + (reply.output_tokens or 0) >= (contexts.get(call.server) or 1 << 62):
            cut.add(node)
        if prompt > seen[node]:
            seen[node] = prompt
    found: dict[str, CallNeed] = {}
    for need in needs:
        node = need.pipeline, need.node
        prompt = seen.get(node, 0)
        if not prompt or need.how_sure != "fixed" or node in cut:
            prompt = max(prompt, need.prompt_tokens)
        need = need._replace(prompt_tokens=prompt)
        # A node that never came about, on a branch say, may go to any server of its pipeline.
        for server in places[node] or of_pipeline[need.pipeline]:
            if not 0 < contexts.get(server, 0) < need.tokens:
                continue
            if server not in found or found[server].tokens < need.tokens:
                found[server] = need
    return found


def needs_of_servers(run: Run) -> tuple[CallNeed, ...]:
    """Return the longest calls but those that say their context themselves: their model is loaded with that."""
    if not all(server.kind in KINDS and KINDS[server.kind].loads_as_asked for server in run.servers):
        return run.needs
    own = {
        (pipeline, node)
        for pipeline in run.workload.pipelines
        for node, (_, agent) in agents_of(run.workload, pipeline).items()
        if agent.num_ctx is not None
    }
    return tuple(need for need in run.needs if (need.pipeline, need.node) not in own)
