"""What grows costs no more for each call: counted in steps of the interpreter, never by the clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import networkx as nx
import pytest

from harness.core.arrival_processes import Closed, Every
from harness.core.concurrency import CONCURRENCY
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Graph, Node, Pipeline
from harness.core.machine import Machine
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, Outcome, Reply
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import Backend, simulate
from harness.workload.draw import draw

Serve = Callable[[Call, float], Reply] | Backend


def steps_of(run: Callable[[], object]) -> int:
    """Count the instructions of our own code that the interpreter carries out."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        if "/harness/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return steps


def per_call(pipelines: tuple[Pipeline, ...], plan: Plan, serve: Serve) -> float:
    """Count them for each call that is recorded; an engine is made, too."""
    records: list[object] = []
    steps = steps_of(lambda: simulate(Engine(pipelines, plan, origin="predicted"), serve, records.append))
    return steps / sum(isinstance(record, CallRecord) for record in records)


def fixed(call: Call, now_s: float) -> Reply:
    return Reply("ok", now_s, now_s, now_s + 1.0 + 0.125 * (call.id % 3))


def first_fails(call: Call, now_s: float) -> Reply:
    outcome: Outcome = "error" if call.job % 2 == 0 and call.item == 0 else "ok"
    return Reply(outcome, now_s, now_s, now_s + 1.0 + 0.125 * (call.id % 3))


def at_once(jobs: int, width: int = 1) -> tuple[Pipeline, ...]:
    return (
        Pipeline("p", "batch", Graph((Node("a", "agent", (), (), width=width, agent="a"),)), Every(0.0), jobs=jobs),
    )


def waiting(policy: str) -> Callable[[int], float]:
    queue = ServerQueue("s", 4, CONCURRENCY[policy])
    return lambda jobs: per_call(at_once(jobs), Plan("c", (queue,), ((0,),)), fixed)


def failing(jobs: int) -> float:
    return per_call(at_once(jobs, 4), Plan("c", (ServerQueue("s", 4),), ((0,),)), first_fails)


def servers_of_a_machine(number: int) -> float:
    node = Node("a", "agent", (), (), agent="a")
    pipelines = tuple(Pipeline(f"p{i}", "batch", Graph((node,)), Closed(2), jobs=240 // number) for i in range(number))
    costs = StepCosts((0.0, 0.02, 0.03), ((1, 1e-3),))
    machine = Machine([ServerModel(costs) for _ in range(number)], {n: 1 + n / 10 for n in range(2, number + 1)})
    backend = ModelledServers(
        [ModelledServer(server) for server in machine.servers], lambda call: (20, 5 + call.id % 7)
    )
    queues = tuple(ServerQueue(f"s{i}", 2) for i in range(number))
    return per_call(pipelines, Plan("c", queues, tuple((i,) for i in range(number))), backend)


def before_a_node(width: int) -> float:
    every = tuple(range(width))
    nodes = tuple(Node(f"n{i}", "agent", (), (width,), agent="a") for i in every)
    last = Node("last", "agent", every, (), agent="a", need=width // 2)
    pipeline = Pipeline("p", "batch", Graph((*nodes, last)), Closed(1), jobs=240 // width)
    return per_call((pipeline,), Plan("c", (ServerQueue("s", width),), ((0,) * (width + 1),)), fixed)


def loops(number: int) -> float:
    nodes: list[Node] = []
    for at in range(0, 2 * number, 2):
        nodes.append(Node(f"n{at}", "agent", (at - 1,) if at else (), (at + 1,), agent="a"))
        after = (at + 2,) if at + 2 < 2 * number else ()
        nodes.append(Node(f"u{at}", "until", (at,), after, body=(at,), end_share=0.5, max_iterations=3))
    pipeline = Pipeline("p", "batch", Graph(tuple(nodes)), Closed(1), jobs=120 // number)
    return per_call((pipeline,), Plan("c", (ServerQueue("s", 2),), ((0,) * len(nodes),)), fixed)


@pytest.mark.parametrize(
    ("kind", "small", "large", "more"),
    [
        (waiting("window"), 40, 800, 1.05),
        (waiting("waves"), 40, 800, 1.05),
        (waiting("reserve"), 40, 800, 1.05),
        (failing, 10, 200, 1.05),
        (before_a_node, 12, 120, 1.25),
        (loops, 6, 60, 1.25),
    ],
    ids=["window", "waves", "reserve", "failing", "need", "loops"],
)
def test_a_call_costs_the_same(kind: Callable[[int], float], small: int, large: int, more: float) -> None:
    assert kind(large) <= more * kind(small)


def test_servers_of_a_machine_cost_only_what_the_engine_looks_at() -> None:
    """The engine looks at the queue of every server, a machine at those alone to which something happens."""
    assert servers_of_a_machine(24) <= 1.05 * servers_of_a_machine(4)


def dense(nodes: int) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from((f"n{i}", {"kind": "agent"}) for i in range(nodes))
    graph.add_edges_from((f"n{before}", f"n{i}") for i in range(nodes) for before in range(i))
    return graph


def between(rows: int) -> nx.DiGraph[str]:
    """Every one of the second level waits for all of the first."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from((f"n{i}", {"kind": "agent"}) for i in range(2 * rows))
    graph.add_edges_from((f"n{i}", f"n{rows + j}") for i in range(rows) for j in range(rows))
    return graph


@pytest.mark.parametrize("made", [dense, between])
def test_an_edge_costs_the_same_in_a_drawing(made: Callable[[int], nx.DiGraph[str]]) -> None:
    small, large = made(12), made(48)
    each = [steps_of(lambda graph=graph: draw(graph)) / graph.number_of_edges() for graph in (small, large)]  # type: ignore[misc]  # a default
    assert each[1] <= 1.05 * each[0]


def test_a_graph_too_dense_to_be_read_is_summed_up() -> None:
    assert draw(dense(60)) == [
        "60 nodes and 1770 edges, too many to draw or to list",
        "begins with n0",
        "ends with n59",
        "longest chain: 60 nodes; at most 1 node side by side",
        "most nodes wait for n0: 59",
        "n59 waits for most nodes: 59",
    ]
    assert draw(dense(12))[1].split() == ["n1", "<-", "n0"]  # what can be read is listed
    assert len(draw(between(20))) == 20  # and many edges can be one line
