"""How long an answer is to be, the thinking before it, and what comes in with a pass: the same in both drivers."""

from __future__ import annotations

from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.sizes import Distribution

__all__ = ["new_tokens", "output_tokens", "thinking_tokens"]


def output_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int | None:
    """Draw how many tokens a call is to answer, at least 1; None where its node has no distribution.

    All attempts at a call draw the same.
    """
    return _drawn(pipeline.graph.nodes[call.node].output_tokens, pipeline, call, seed, repeat, "output_tokens")


def thinking_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int | None:
    """Draw how many tokens a call is to think before it answers, at least 1; None where its node does not think.

    All attempts at a call draw the same.
    """
    return _drawn(pipeline.graph.nodes[call.node].thinking, pipeline, call, seed, repeat, "thinking_tokens")


def new_tokens(pipeline: Pipeline, call: Call, seed: int, repeat: int) -> int:
    """Draw how many new tokens come in with a pass of a conversation that grows, at least 1; 0 where it does not.

    All attempts at a call draw the same. The first pass says what the prompt says, and not this.
    """
    grows = pipeline.graph.nodes[call.node].grows
    return _drawn(None if grows is None else grows.by, pipeline, call, seed, repeat, "grows") or 0


def _drawn(
    size: Distribution | None, pipeline: Pipeline, call: Call, seed: int, repeat: int, purpose: str
) -> int | None:
    if size is None:
        return None
    node = pipeline.graph.nodes[call.node]
    key = (repeat, pipeline.drawn_by, call.job, node.name, call.item, call.iteration, purpose)
    return max(1, round(size.draw(seed, *key)))
