"""How long an answer is to be, and what comes in with a pass, where the workload draws it: the same in both drivers."""

from __future__ import annotations

from harness.core.events import Call
from harness.core.graph import Pipeline

__all__ = ["new_tokens", "output_tokens"]


def output_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int | None:
    """Draw how many tokens a call is to write, at least 1; None where its node has no distribution.

    All attempts at a call draw the same.
    """
    node = pipeline.graph.nodes[call.node]
    if node.output_tokens is None:
        return None
    key = (repeat, pipeline.drawn_by, call.job, node.name, call.item, call.iteration, "output_tokens")
    return max(1, round(node.output_tokens.draw(seed, *key)))


def new_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int:
    """Draw how many new tokens come in with a pass of a conversation that grows, at least 1; 0 where it does not.

    All attempts at a call draw the same. The first pass says what the prompt says, and not this.
    """
    node = pipeline.graph.nodes[call.node]
    if node.grows is None:
        return 0
    key = (repeat, pipeline.drawn_by, call.job, node.name, call.item, call.iteration, "grows")
    return max(1, round(node.grows.by.draw(seed, *key)))
