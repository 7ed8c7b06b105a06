"""The walk of one job through its graph: which nodes may go next. Counts only; it knows no server and no time."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.graph import Graph

__all__ = ["Shape", "Walk"]


class Shape:
    """What all walks through one graph have in common, laid out to be copied quickly."""

    __slots__ = ("left", "nodes", "sources", "successors")

    def __init__(self, graph: Graph) -> None:
        self.nodes = len(graph.nodes)
        # Of every node the items that are left, and behind them of every node the predecessors that are left.
        self.left = [node.width for node in graph.nodes] + [len(node.predecessors) for node in graph.nodes]
        self.successors = [node.successors for node in graph.nodes]
        self.sources = [index for index, node in enumerate(graph.nodes) if not node.predecessors]


class Walk:
    """Where one job stands. A node is ready when all its predecessors are done, done when all its items are."""

    __slots__ = ("_left", "_shape", "nodes_left")

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._left = shape.left[:]
        self.nodes_left = shape.nodes

    def item_done(self, node: int) -> Sequence[int]:
        """Note that one item of `node` is done; return the nodes that became ready by it, in graph order."""
        left = self._left
        left[node] -= 1
        if left[node]:
            return ()
        self.nodes_left -= 1
        shape = self._shape
        ready: list[int] = []
        for successor in shape.successors[node]:
            behind = shape.nodes + successor
            left[behind] -= 1
            if not left[behind]:
                ready.append(successor)
        return ready

    @property
    def finished(self) -> bool:
        """Whether every node is done."""
        return self.nodes_left == 0
