"""Which calls belong to one conversation: turns of a session, and passes of a loop in which a node grows.

The same in both drivers, and for what is said, for how long it is and for what a server may find again.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.core.events import Call
from harness.core.graph import Pipeline

__all__ = ["Talk", "begins_as", "talk_of"]


class Talk(NamedTuple):
    """A conversation with one node, about one item of a fan-out."""

    pipeline: int
    who: int  # the conversation of a session; else -1 - job
    node: int
    item: int
    run: tuple[int, ...] = ()  # passes of the loops around the one in which it grows: each run of that is a new one


def talk_of(pipeline: Pipeline, call: Call) -> Talk | None:
    """Return the conversation that a call goes on with, or begins; None: it stands alone."""
    if call.session >= 0:
        return Talk(call.pipeline, call.session, call.node, call.item)
    if pipeline.graph.nodes[call.node].grows is not None:
        return Talk(call.pipeline, -1 - call.job, call.node, call.item, call.passes[:-1])
    return None


def begins_as(pipeline: Pipeline, call: Call) -> Talk | None:
    """Return what makes the beginning of a call's prompt: all calls with the same begin alike, and no other.

    None: a server is not to find anything of it again, so it begins like no other.
    """
    grows, session = pipeline.graph.nodes[call.node].grows, pipeline.session
    if grows is not None and not grows.reuse_prefix:
        return None
    if session is not None and session.reuse_prefix:
        return talk_of(pipeline, call)
    if grows is None:
        return None
    return Talk(call.pipeline, -1 - call.job, call.node, call.item, call.passes[:-1])
