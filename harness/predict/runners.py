"""Which runners the nodes of a workload need on a server: a model with one context each.

Two nodes that ask one model for different contexts need two runners, and an Ollama has one of them in memory at a time.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from harness.core.graph import Node
from harness.core.plan import Plan, queues_of
from harness.workload.load import Loaded
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec, same_model

__all__ = ["AskedRunners", "Runner", "asked_on", "keeps_of_nodes", "loads_beside", "runners_of_nodes", "unloads"]


class Runner(NamedTuple):
    """A model with one context."""

    model: str
    context_tokens: int | None  # of a slot; None = not known, or it embeds
    own: bool = True  # that context is the server's own


class AskedRunners(NamedTuple):
    """The runners that nodes on a server ask for: answers of some, vectors of others."""

    answer: tuple[Runner, ...]  # the server's own first
    embed: tuple[Runner, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models of those that answer."""
        return tuple(dict.fromkeys(runner.model for runner in self.answer))

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.answer) + len(self.embed) > 1


def asked_on(loaded: Loaded, plan: Plan, queue: int) -> AskedRunners:
    """Return the runners that the nodes of a candidate need on one of its servers."""
    spec = loaded.servers[plan.queues[queue].server]
    asked = {
        (bool(node.batch), _runner(node, spec)): None
        for pipeline, places in zip(loaded.pipelines, plan.placement, strict=True)
        for node, place in zip(pipeline.graph.nodes, places, strict=True)
        if node.kind == "agent" and queue in queues_of(place)
    }
    answer = [runner for embeds, runner in asked if not embeds]
    answer.sort(key=lambda one: (one.model != spec.model, one.model, not one.own, one.context_tokens or 0))
    return AskedRunners(tuple(answer), tuple(sorted(runner for embeds, runner in asked if embeds)))


def _runner(node: Node, spec: ServerSpec) -> Runner:
    model = spec.model if not node.model or same_model(node.model, spec.model) else node.model
    if node.batch:
        return Runner(model, None)
    context = spec.context_for(node.num_ctx)
    return Runner(model, context, context == spec.known_context)


def runners_of_nodes(loaded: Loaded, spec: ServerSpec, runners: tuple[Runner, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the index of the runner of every node; that of a node that makes no call is read by nobody."""
    index = {runner: number for number, runner in enumerate(runners)}
    return tuple(
        tuple(index.get(_runner(node, spec), 0) for node in pipeline.graph.nodes) for pipeline in loaded.pipelines
    )


def keeps_of_nodes(loaded: Loaded, spec: ServerSpec) -> tuple[tuple[float | None, ...], ...]:
    """Return how long the calls of every node ask the server to keep their model."""
    heard = spec.loads_as_asked
    return tuple(tuple(node.keep_s if heard else None for node in one.graph.nodes) for one in loaded.pipelines)


def unloads(loaded: Loaded, plan: Plan, queue: int) -> bool:
    """Tell whether calls on a server have it unload a model some time after them."""
    spec = loaded.servers[plan.queues[queue].server]
    return spec.loads_as_asked and any(
        node.keep_s is not None and node.keep_s < inf and queue in queues_of(place)
        for pipeline, places in zip(loaded.pipelines, plan.placement, strict=True)
        for node, place in zip(pipeline.graph.nodes, places, strict=True)
        if node.kind == "agent"
    )


def loads_beside(loaded: Loaded, plan: Plan) -> bool:
    """Tell whether a server of a candidate has something to load beside another one on its machine.

    What the two do to each other meanwhile is not known, so that no prediction is made.
    """
    specs = {number: loaded.servers[queue.server] for number, queue in enumerate(plan.queues)}
    return any(
        len(numbers) > 1
        and any(asked_on(loaded, plan, number).several or unloads(loaded, plan, number) for number in numbers)
        for numbers in by_machine(specs).values()
    )
