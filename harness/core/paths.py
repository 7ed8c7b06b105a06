"""How much of a job lies ahead of each of its nodes, as far as a graph can tell before anything has run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.core.graph import Graph, Node

__all__ = ["remaining_tokens"]


def remaining_tokens(graph: Graph) -> tuple[float, ...]:
    """Return for every node the expected output tokens on the longest path from it to the end, itself included.

    The upward rank of HEFT (Topcuoglu, Hariri and Wu 2002), in output tokens: no server's speed is known here, and a
    tool counts nothing. A fan-out counts as one of its calls, a branch as the mean over its labels; in a loop and
    before it the mean number of further passes counts, each as the longest path through the body.
    """
    nodes = graph.nodes
    own = [float(node.expected_generated or 0) if node.kind == "agent" else 0.0 for node in nodes]
    for index, node in enumerate(nodes):  # inner loops end before those around them
        if node.kind == "until":
            own[index] = (_mean_passes(node) - 1) * max(_ahead(nodes, node.body, own), default=0.0)
    return tuple(_ahead(nodes, range(len(nodes)), own))


def _ahead(nodes: Sequence[Node], among: Iterable[int], own: Sequence[float]) -> list[float]:
    """Return what is ahead of each of these nodes, along edges between them."""
    order = sorted(among)  # topological
    ahead: dict[int, float] = {}
    for index in reversed(order):
        node = nodes[index]
        after = [(ahead[other], _labels(nodes[other], index)) for other in set(node.successors) if other in ahead]
        ways = [
            share * max((tokens for tokens, takes in after if None in takes or label in takes), default=0.0)
            for label, share in enumerate(node.shares or (1.0,))
        ]
        ahead[index] = own[index] + sum(ways)
    return [ahead[index] for index in order]


def _labels(node: Node, before: int) -> set[int | None]:
    """Return the labels of `before` that this node takes; None among them: any."""
    takes = node.takes or (None,) * len(node.predecessors)
    return {label for other, label in zip(node.predecessors, takes, strict=True) if other == before}


def _mean_passes(until: Node) -> float:
    """Return the mean number of passes: as it is drawn, or a geometric one, truncated at the most."""
    if until.passes is not None:
        return max(1.0, until.passes.mean)
    if not until.end_share:
        return float(until.max_iterations)
    return (1 - (1 - until.end_share) ** until.max_iterations) / until.end_share
