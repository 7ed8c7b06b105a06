"""Small graphs and random ones, for the tests of everything that walks."""

from __future__ import annotations

from harness.core.graph import Arrival, Graph, Node, Pipeline
from harness.core.records import Path


def node(name: str, after: tuple[int, ...] = (), width: int = 1, delay_s: float | None = None) -> Node:
    """An agent node, or a tool where a delay is given; successors are filled in by `graph`."""
    kind = "agent" if delay_s is None else "tool"
    return Node(name, kind, after, (), width, delay_s or 0.0, agent=name)  # type: ignore[arg-type]


def graph(*nodes: Node) -> Graph:
    """Link the nodes: successors follow from predecessors."""
    successors = [tuple(j for j, other in enumerate(nodes) if i in other.predecessors) for i in range(len(nodes))]
    return Graph(tuple(n._replace(successors=s) for n, s in zip(nodes, successors, strict=True)))


def pipeline(name: str, *nodes: Node, path: Path = "batch", jobs: int | None = 1, **rest: object) -> Pipeline:
    """A pipeline of which all jobs arrive at 0 unless `arrival` says otherwise."""
    rest.setdefault("arrival", Arrival(due_s=(0.0,) * (jobs or 1)))
    return Pipeline(name, path, graph(*nodes), jobs=jobs, **rest)  # type: ignore[arg-type]


SINGLE = (node("only"),)
FAN = (node("split", width=4), node("merge", (0,)))
DIAMOND = (node("plan"), node("left", (0,)), node("right", (0,)), node("edit", (1, 2)))
