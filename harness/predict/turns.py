"""Prompts that grow from turn to turn: on top of any forecast."""

from __future__ import annotations

from collections.abc import Hashable

from harness.core.arrivals import turns_of
from harness.core.events import Call
from harness.core.graph import Node, Pipeline
from harness.drivers.modelled import Thread, Tokens
from harness.workload.load import Loaded

__all__ = ["growing", "thread_of"]

Who = tuple[int, int, int, int]  # pipeline, conversation, node, item: whose prompts go on where the last one ended


class _Grown:
    """What one prompt of a conversation has grown by."""

    __slots__ = ("before", "job", "turn", "turns")

    def __init__(self) -> None:
        self.before = 0  # tokens of the turns before
        self.job = -1  # the turn under way
        self.turn = 0  # what it adds: asked and answered
        self.turns = 0  # begun


def growing(loaded: Loaded, repeat: int, first: Tokens) -> Tokens:
    """Return the lengths of one trial, prompts with the turns before them.

    The calls of a conversation must be asked for in the order of its turns, as every driver does. Later turns hold the
    last pass of a loop.

    Args:
        loaded: the workload.
        repeat: key of the draws.
        first: the lengths as if every turn were the first.
    """
    pipelines, seed = loaded.pipelines, loaded.workload.seed
    if not any(pipeline.session for pipeline in pipelines):
        return first
    grown: dict[Who, _Grown] = {}

    def tokens(call: Call) -> tuple[int, int]:
        prompt, output = first(call)
        if call.session < 0:
            return prompt, output
        who = (call.pipeline, call.session, call.node, call.item)
        pipeline = pipelines[call.pipeline]
        node = pipeline.graph.nodes[call.node]
        state = grown.get(who)
        if state is None:
            state = grown[who] = _Grown()
        if call.job != state.job:
            state.before += state.turn
            state.job = call.job
            state.turns += 1
            if state.turns == turns_of(pipeline, call.session, seed, repeat) and not _again(pipeline, node):
                del grown[who]
        asked = prompt - int(loaded.graphs[pipeline.name].nodes[node.name]["system_tokens"])
        state.turn = max(1, asked) + output
        return prompt + state.before, output

    return tokens


def _again(pipeline: Pipeline, node: Node) -> bool:
    """Tell whether a call of this node may be made more than once in a job: in a loop, or after a failure."""
    return node.retries > 0 or any(other.kind == "until" for other in pipeline.graph.nodes)


def thread_of(loaded: Loaded) -> Thread | None:
    """Return whose prompt a call's goes on with, where the workload lets servers keep it; None where it never does."""
    reuses = [p.session is not None and p.session.reuse_prefix for p in loaded.pipelines]
    if not any(reuses):
        return None

    def thread(call: Call) -> Hashable | None:
        return (call.pipeline, call.session, call.node, call.item) if reuses[call.pipeline] else None

    return thread
