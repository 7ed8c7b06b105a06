"""Small compiled graphs, pipelines and plans in a line each: for all tests that need no workload file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.core.arrival_processes import Closed, Listed
from harness.core.concurrency import CONCURRENCY
from harness.core.graph import Graph, Node, Pipeline
from harness.core.placement import PLACEMENT
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.records import Path
from harness.core.scheduling import SCHEDULING
from harness.core.sizes import fixed


def node(name: str, after: tuple[int, ...] = (), width: int = 1, delay_s: float | None = None, **rest: Any) -> Node:
    """An agent node, or a tool where a delay is given; successors are filled in by `graph`."""
    kind = "agent" if delay_s is None else "tool"
    return Node(name, kind, after, (), width, delay_s or 0.0, agent=name, **rest)  # type: ignore[arg-type]  # of several types


def until(name: str, after: tuple[int, ...], body: tuple[int, ...], passes: int, **rest: Any) -> Node:
    """The end of a loop that makes exactly `passes` passes unless something else is said."""
    return Node(name, "until", after, (), body=body, max_iterations=passes, **rest)


def graph(*nodes: Node) -> Graph:
    """Link the nodes: successors follow from predecessors."""
    successors = [tuple(j for j, other in enumerate(nodes) if i in other.predecessors) for i in range(len(nodes))]
    return Graph(tuple(n._replace(successors=s) for n, s in zip(nodes, successors, strict=True)))


def pipeline(name: str, *nodes: Node, path: Path = "batch", jobs: int | None = 1, **rest: object) -> Pipeline:
    """A pipeline of which all jobs arrive at 0 unless `arrival` says otherwise."""
    rest.setdefault("arrival", Listed((0.0,) * (jobs or 1)))
    return Pipeline(name, path, graph(*nodes), jobs=jobs, **rest)  # type: ignore[arg-type]  # of several types


def plan_of(
    name: str, queues: tuple[ServerQueue, ...], pipelines: Iterable[Pipeline], placement: tuple[int, ...] | None = None
) -> Plan:
    """A plan that places whole pipelines: all on the first lane unless `place` says otherwise."""
    pipelines = tuple(pipelines)
    at = placement or (0,) * len(pipelines)
    return Plan(name, queues, tuple((queue,) * len(p.graph.nodes) for p, queue in zip(pipelines, at, strict=True)))


SINGLE = (node("only"),)
FAN = (node("split", width=4), node("merge", (0,)))
DIAMOND = (node("plan"), node("left", (0,)), node("right", (0,)), node("edit", (1, 2)))
TOOLS = (node("fetch", delay_s=0.25), node("ask", width=2), node("check", (0, 1)), node("wait", (2,), delay_s=0.125))
FOUR = (
    pipeline("fan", *FAN, jobs=3),
    pipeline("tools", *TOOLS, jobs=2, arrival=Listed((0.0, 0.25))),
    pipeline("chat", *SINGLE, path="interactive", jobs=None, arrival=Closed(2, fixed(0.125)), until=0),
    pipeline("late", *DIAMOND, jobs=2, after=1),
)


def queue_of(
    server: str, slots: int, concurrency: str = "window", scheduling: str = "fifo", **settings: Any
) -> ServerQueue:
    """A server's queue with policies by name: those that come with Slotwise."""
    return ServerQueue(server, slots, CONCURRENCY[concurrency], SCHEDULING[scheduling], **settings)


def pool_of(policy: str, queues: tuple[int, ...]) -> Pool:
    """Several servers with a placement policy by name."""
    return Pool(PLACEMENT[policy], queues)
