"""Which calls ask a model for more than text, and where they may go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.core.plan import queues_of
from harness.workload.load import Loaded
from harness.workload.schema import AgentSpec

__all__ = ["ModelCall", "model_calls", "servers_by_model"]


class ModelCall(NamedTuple):
    """The calls of one node, on one server that they may go to."""

    server: str
    model: str  # as it is asked for
    pipeline: str
    node: str


def model_calls(loaded: Loaded, asks: Callable[[AgentSpec], bool]) -> Iterator[ModelCall]:
    """Yield the calls of agents that `asks` is true of, under any candidate, each once."""
    found: dict[ModelCall, None] = {}
    for plan in loaded.plans:
        for pipeline, places in zip(loaded.pipelines, plan.placement, strict=True):
            for node, place in zip(pipeline.graph.nodes, places, strict=True):
                agent = loaded.agents.get((pipeline.name, node.name))
                if agent is None or not asks(agent):
                    continue
                for queue in queues_of(place):
                    server = plan.queues[queue].server
                    model = node.model or loaded.servers[server].model
                    found[ModelCall(server, model, pipeline.name, node.name)] = None
    yield from found


def servers_by_model(loaded: Loaded, asks: Callable[[AgentSpec], bool]) -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """Yield (model, whether its engine is ours, servers) for what such calls may meet; not of simulated servers."""
    found: dict[tuple[str, bool], dict[str, None]] = {}
    for call in model_calls(loaded, asks):
        spec = loaded.servers[call.server]
        if not spec.simulated:
            found.setdefault((call.model, spec.pins_output), {})[call.server] = None
    yield from ((model, ours, tuple(servers)) for (model, ours), servers in found.items())
