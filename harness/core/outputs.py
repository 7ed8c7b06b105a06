"""How long an answer is to be, where the workload says so with a distribution: the same in both drivers."""

from __future__ import annotations

from harness.core.events import Call
from harness.core.graph import Pipeline

__all__ = ["output_tokens"]


def output_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int | None:
    """Draw how many tokens a call is to write, at least 1; None where its node has no distribution.

    All attempts at a call draw the same.
    """
    node = pipeline.graph.nodes[call.node]
    if node.output_tokens is None:
        return None
    key = (repeat, pipeline.drawn_by, call.job, node.name, call.item, call.iteration, "output_tokens")
    return max(1, round(node.output_tokens.draw(seed, *key)))
