"""Prompts that grow from turn to turn: on top of any forecast."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from harness.core.arrivals import turns_of
from harness.core.events import Call
from harness.core.graph import Node, Pipeline
from harness.drivers.modelled import Thread, Tokens
from harness.workload.load import Loaded

__all__ = ["Once", "growing", "thread_of"]

# Of a call: the tokens of its prompt that later turns do not repeat (system message, chat template, the number that
# begins it), and those that the template adds for each turn before it.
Once = Callable[[Call], tuple[float, float]]

Who = tuple[int, int, int, int]  # pipeline, conversation, node, item: whose prompts go on where the last one ended


class _Grown:
    """What one prompt of a conversation has grown by."""

    __slots__ = ("before", "job", "turn", "turns")

    def __init__(self) -> None:
        self.before = 0.0  # tokens of the turns before
        self.job = -1  # the turn under way
        self.turn = 0.0  # what it adds: asked and answered, and the template around both
        self.turns = 0  # begun


def growing(loaded: Loaded, repeat: int, first: Tokens, once: Once) -> Tokens:
    """Return the lengths of one trial, prompts with the turns before them.

    A chat template stands around every message of the history, what it begins and ends a prompt with stands there once.
    The calls of a conversation must be asked for in the order of its turns, as every driver does. Later turns hold the
    last pass of a loop.

    Args:
        loaded: the workload.
        repeat: key of the draws.
        first: the lengths as if every turn were the first.
        once: what of these prompts does not come again in later turns.
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
        of_one, of_turn = once(call)
        state.turn = max(0.0, prompt - of_one) + output + of_turn
        return prompt + round(state.before), output

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
