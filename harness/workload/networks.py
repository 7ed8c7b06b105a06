"""networkx, imported when the first graph is built: what only reads a compiled workload need not wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["PlainGraph", "nx"]

if TYPE_CHECKING:
    import networkx as nx
else:

    class _WhenUsed:
        def __getattr__(self, name: str) -> Any:
            found = getattr(import_module("networkx"), name)
            setattr(self, name, found)  # the next time it is there
            return found

    nx = _WhenUsed()


@dataclass(frozen=True)
class PlainGraph:
    """A graph that will not change, without networkx: for processes that read of it what its nodes are."""

    nodes: Mapping[str, Mapping[str, Any]]
    after: Mapping[str, tuple[str, ...]]

    @classmethod
    def copied(cls, graph: nx.DiGraph[str]) -> PlainGraph:
        """Return the nodes and edges of a graph; what is known of single edges is left out."""
        return cls(
            {name: dict(facts) for name, facts in graph.nodes.items()},
            {name: tuple(graph.successors(name)) for name in graph},
        )

    def successors(self, name: str) -> Iterator[str]:
        """Return the nodes that come after one."""
        return iter(self.after[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)
