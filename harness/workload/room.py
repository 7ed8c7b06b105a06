"""The context of servers that a workload does not name: the program chooses it, so that every call fits."""

from __future__ import annotations

from harness.workload.loaded import Loaded
from harness.workload.longest import needs_of

__all__ = ["with_room"]


def with_room(loaded: Loaded) -> Loaded:
    """Return a workload that names no server with enough context on each one that is started for it.

    A slot has as many tokens as the longest call needs (`harness.core.context.enough_tokens`), at least as many as a
    server has by default. Servers that the file names, and those that run already, keep theirs. Of calls that say
    their context themselves (`num_ctx`) nothing is needed.
    """
    if loaded.workload.servers:
        return loaded
    asked = {
        (name, node): facts["num_ctx"] for name, graph in loaded.graphs.items() for node, facts in graph.nodes.items()
    }
    needs = [need for need in needs_of(loaded) if asked[need.pipeline, need.node] is None]
    most = max((need.enough for need in needs), default=0)
    servers = {
        name: spec.model_copy(update={"context_tokens": most})
        if spec.resizable and spec.context_tokens < most
        else spec
        for name, spec in loaded.servers.items()
    }
    return loaded._replace(servers=servers)
