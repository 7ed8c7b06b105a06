"""Which calls think before they answer, and what their servers need for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from harness.core.plan import queues_of
from harness.workload.load import Loaded

__all__ = ["ThinkingCall", "thinking_calls", "thinking_hints"]


class ThinkingCall(NamedTuple):
    """Calls of one node that think, on one server that they may go to."""

    server: str
    model: str  # as it is asked for
    pipeline: str
    node: str


def thinking_calls(loaded: Loaded) -> Iterator[ThinkingCall]:
    """Yield the calls that think, under any candidate, each once."""
    found: dict[ThinkingCall, None] = {}
    for plan in loaded.plans:
        for pipeline, places in zip(loaded.pipelines, plan.placement, strict=True):
            for node, place in zip(pipeline.graph.nodes, places, strict=True):
                if node.thinking is None:
                    continue
                for queue in queues_of(place):
                    server = plan.queues[queue].server
                    model = node.model or loaded.servers[server].model
                    found[ThinkingCall(server, model, pipeline.name, node.name)] = None
    yield from found


def thinking_hints(loaded: Loaded) -> Iterator[str]:
    """Yield what a run needs of models that are asked to think; a simulated one always can."""
    by_model: dict[tuple[str, bool], list[str]] = {}
    for call in thinking_calls(loaded):
        spec = loaded.servers[call.server]
        if not spec.simulated:
            servers = by_model.setdefault((call.model, spec.pins_output), [])
            servers += [] if call.server in servers else [call.server]
    for (model, stands_in), servers in by_model.items():
        if stands_in:
            yield (
                f"{', '.join(servers)}: where {model} has no thinking, as many of its first tokens as thinking_tokens "
                "says take the place of that. A run says whether it was so."
            )
        else:
            yield (
                f"{', '.join(servers)}: {model} must be a model that thinks (`ollama show {model}` lists "
                '"thinking"). It decides itself how long; thinking_tokens plus output_tokens is the most.'
            )
