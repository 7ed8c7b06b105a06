"""The walk of one job through its graph: which nodes may go next. Counts only; it knows no server and no time."""

from __future__ import annotations

from harness.core.graph import Graph

__all__ = ["Shape", "Walk"]


class Shape:
    """What all walks through one graph have in common, laid out to be copied quickly."""

    __slots__ = ("predecessors", "sources", "successors", "widths")

    def __init__(self, graph: Graph) -> None:
        self.predecessors = [len(node.predecessors) for node in graph.nodes]
        self.widths = [node.width for node in graph.nodes]
        self.successors = [node.successors for node in graph.nodes]
        self.sources = [index for index, node in enumerate(graph.nodes) if not node.predecessors]


class Walk:
    """Where one job stands. A node is ready when all its predecessors are done, done when all its items are."""

    __slots__ = ("_items_left", "_predecessors_left", "_successors", "nodes_left")

    def __init__(self, shape: Shape) -> None:
        self._predecessors_left = shape.predecessors[:]
        self._items_left = shape.widths[:]
        self._successors = shape.successors
        self.nodes_left = len(shape.widths)

    def item_done(self, node: int) -> list[int]:
        """Note that one item of `node` is done; return the nodes that became ready by it, in graph order."""
        left = self._items_left
        left[node] -= 1
        ready: list[int] = []
        if not left[node]:
            self.nodes_left -= 1
            for successor in self._successors[node]:
                self._predecessors_left[successor] -= 1
                if not self._predecessors_left[successor]:
                    ready.append(successor)
        return ready

    @property
    def finished(self) -> bool:
        """Whether every node is done."""
        return self.nodes_left == 0
