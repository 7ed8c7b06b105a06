"""The walk of one job through its graph: which nodes may go next. Counts only; it knows no server and no time."""

from __future__ import annotations

from harness.core.graph import Graph

__all__ = ["Walk"]


class Walk:
    """Where one job stands. A node is ready when all its predecessors are done, done when all its items are."""

    __slots__ = ("_graph", "_items_left", "_nodes_left", "_predecessors_left")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._predecessors_left = [len(node.predecessors) for node in graph.nodes]
        self._items_left = [node.width for node in graph.nodes]
        self._nodes_left = len(graph.nodes)

    def sources(self) -> list[int]:
        """Return the nodes that are ready from the start."""
        return [index for index, node in enumerate(self._graph.nodes) if not node.predecessors]

    def item_done(self, node: int) -> list[int]:
        """Note that one item of `node` is done; return the nodes that became ready by it, in graph order."""
        self._items_left[node] -= 1
        if self._items_left[node]:
            return []
        self._nodes_left -= 1
        ready = []
        for successor in self._graph.nodes[node].successors:
            self._predecessors_left[successor] -= 1
            if not self._predecessors_left[successor]:
                ready.append(successor)
        return ready

    @property
    def finished(self) -> bool:
        """Whether every node is done."""
        return self._nodes_left == 0
