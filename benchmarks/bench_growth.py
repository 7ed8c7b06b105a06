"""Time per call while one thing grows a hundredfold: what is linear stays the same from left to right.

Each row is one kind of growth; the calls are as many in each column, except where their number is what grows. Beside it
stands how many times the largest costs per call what the smallest does. A row that grows is a fault.

Run it on an idle machine: python benchmarks/bench_growth.py [ROW ...]
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.analysis.analyse import analyse
from harness.app.check import check
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate as predict
from harness.core.arrival_processes import Closed, Every
from harness.core.concurrency import CONCURRENCY, WINDOW
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Graph, Node, Pipeline
from harness.core.machine import Machine
from harness.core.placement import PLACEMENT
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.records import CallRecord, Reply
from harness.core.scheduling import SCHEDULING
from harness.core.server_model import ServerModel
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import Limits, simulate
from harness.report.workload import workload_lines

ROUNDS = 3
CALLS = 16_000
FEW = 4_000
NO_LIMITS = Limits(virtual_s=1e12, waiting=1 << 40)
SMALL = StepCosts((0.0, 0.020, 0.038, 0.042, 0.046), ((1, 1e-3),), batch_tokens=512)

Measured = tuple[float, int]  # seconds of CPU, and calls
Kind = Callable[[int], Measured]


def agent(name: str, before: tuple[int, ...] = (), after: tuple[int, ...] = (), **rest: Any) -> Node:
    return Node(name, "agent", before, after, agent="a", **rest)


def plan_of(queues: tuple[ServerQueue, ...], *placement: tuple[int | Pool, ...]) -> Plan:
    return Plan("grows", queues, placement)


def batch(nodes: tuple[Node, ...], jobs: int, users: int | None = None) -> Pipeline:
    """All jobs at once, or so many at a time."""
    return Pipeline("p", "batch", Graph(nodes), Every(0.0) if users is None else Closed(users), jobs=jobs)


def taken(pipelines: tuple[Pipeline, ...], plan: Plan, serve: Any, timeout_s: float | None = None) -> Measured:
    """Simulate a trial; making its engine counts, as a search makes one for each seed."""
    calls = 0

    def count(record: object) -> None:
        nonlocal calls
        calls += isinstance(record, CallRecord)

    gc.collect()
    before_s = time.process_time()
    engine = Engine(pipelines, plan, origin="predicted", timeout_s=timeout_s)
    simulate(engine, serve, count, NO_LIMITS)
    return time.process_time() - before_s, calls


def fixed(call: Call, now_s: float) -> Reply:
    return Reply("ok", now_s, now_s, now_s + 1.0 + 0.125 * (call.id % 3))


def one_fails(call: Call, now_s: float) -> Reply:
    """Of every fourth job the first call that is sent."""
    outcome = "error" if call.job % 4 == 0 and call.item == 0 else "ok"
    return Reply(outcome, now_s, now_s, now_s + 1.0 + 0.125 * (call.id % 3))  # type: ignore[arg-type]  # one of two


# --- the kinds --------------------------------------------------------------------------------------------------------


def backlog(queue: ServerQueue) -> Kind:
    """Calls that wait: all jobs come at once."""

    def grow(jobs: int) -> Measured:
        return taken((batch((agent("a"),), jobs),), plan_of((queue,), (0,)), fixed)

    return grow


def failing(jobs: int) -> Measured:
    """Jobs of eight calls that wait; of every fourth the others are dropped."""
    pipeline = batch((agent("a", width=8),), jobs)
    return taken((pipeline,), plan_of((ServerQueue("s", 4),), (0,)), one_fails)


def wide_need(width: int) -> Measured:
    """A node that needs half of those before it."""
    every = tuple(range(width))
    nodes = (*(agent(f"n{i}", (), (width,)) for i in every), agent("last", every, (), need=max(1, width // 2)))
    pipeline = batch(nodes, max(1, CALLS // width), 2)
    plan = plan_of((ServerQueue("s", 2 * width),), (0,) * len(nodes))
    return taken((pipeline,), plan, fixed)


def needs_in_a_row(stages: int) -> Measured:
    """One of two nodes is enough, and so on."""
    nodes: list[Node] = []
    for stage in range(stages):
        first = 3 * stage
        before = (first - 1,) if stage else ()
        after = (first + 3, first + 4) if stage + 1 < stages else ()
        nodes += [agent(f"a{stage}", before, (first + 2,)), agent(f"b{stage}", before, (first + 2,))]
        nodes.append(agent(f"c{stage}", (first, first + 1), after, need=1))
    pipeline = batch(tuple(nodes), max(1, FEW // stages), 2)
    plan = plan_of((ServerQueue("s", 8),), (0,) * len(nodes))
    return taken((pipeline,), plan, fixed)


def loops_in_a_row(loops: int) -> Measured:
    """A call that is repeated, and so on."""
    nodes: list[Node] = []
    for loop in range(loops):
        at = 2 * loop
        nodes.append(agent(f"n{loop}", (at - 1,) if loop else (), (at + 1,)))
        after = (at + 2,) if loop + 1 < loops else ()
        nodes.append(Node(f"u{loop}", "until", (at,), after, body=(at,), end_share=0.3, max_iterations=4))
    pipeline = batch(tuple(nodes), max(1, FEW // loops), 2)
    return taken((pipeline,), plan_of((ServerQueue("s", 8),), (0,) * len(nodes)), fixed)


def wide(width: int) -> Measured:
    """A fan-out, and what merges it."""
    nodes = (agent("a", (), (1,), width=width), agent("b", (0,), ()))
    pipeline = batch(nodes, max(1, CALLS // width), 2)
    return taken((pipeline,), plan_of((ServerQueue("s", 4),), (0, 0)), fixed)


def servers(models: list[Any], placement: tuple[int | Pool, ...], pipelines: tuple[Pipeline, ...]) -> Measured:
    queues = tuple(ServerQueue(f"s{i}", 4) for i in range(len(models)))
    plan = plan_of(queues, *((at,) for at in placement))
    backend = ModelledServers([ModelledServer(model) for model in models], lambda call: (100, 20 + call.id % 7))
    return taken(pipelines, plan, backend)


def apart(number: int) -> Measured:
    """Servers of their own machines, each with a pipeline of its own."""
    each = tuple(
        Pipeline(f"p{i}", "batch", Graph((agent("a"),)), Closed(4), jobs=CALLS // number) for i in range(number)
    )
    return servers([ServerModel(SMALL) for _ in range(number)], tuple(range(number)), each)


def one_machine(number: int) -> Measured:
    """The same on one machine, where each slows the others."""
    each = tuple(
        Pipeline(f"p{i}", "batch", Graph((agent("a"),)), Closed(4), jobs=CALLS // number) for i in range(number)
    )
    machine = Machine([ServerModel(SMALL) for _ in range(number)], {n: 1 + n / 10 for n in range(2, number + 1)})
    return servers(list(machine.servers), tuple(range(number)), each)


def pool(policy: str) -> Kind:
    """Servers of which any may take a call; five conversations for four slots."""

    def grow(number: int) -> Measured:
        pipeline = Pipeline("p", "batch", Graph((agent("a"),)), Closed(5 * number), jobs=CALLS)
        models = [ServerModel(SMALL) for _ in range(number)]
        return servers(models, (Pool(PLACEMENT[policy], tuple(range(number))),), (pipeline,))

    return grow


def slots(number: int) -> Measured:
    """Slots of a server, all of them busy."""
    costs = StepCosts((0.0, *(0.020 + 0.001 * n for n in range(number))), ((1, 1e-3),), batch_tokens=4096)
    pipeline = Pipeline("p", "batch", Graph((agent("a"),)), Closed(number), jobs=CALLS)
    plan = plan_of((ServerQueue("s", number),), (0,))
    backend = ModelledServers([ModelledServer(ServerModel(costs))], lambda call: (100, 20 + call.id % 97))
    return taken((pipeline,), plan, backend)


def long_run(calls: int) -> Measured:
    """Calls of a trial."""
    pipeline = Pipeline("p", "batch", Graph((agent("a"),)), Closed(4), jobs=calls)
    plan = plan_of((ServerQueue("s", 4),), (0,))
    backend = ModelledServers([ModelledServer(ServerModel(SMALL))], lambda call: (100, 20 + call.id % 7))
    return taken((pipeline,), plan, backend, 300.0)


def checked(text: str, nodes: int) -> Measured:
    """Read, check and draw a workload; its nodes are counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_text(text, encoding="utf-8")
        gc.collect()
        before_s = time.process_time()
        workload_lines(*check(path))
        return time.process_time() - before_s, nodes


def _workload(nodes: list[str]) -> str:
    agents = "agents:\n  a: {prompt: Go on., output_tokens: 8}\n"
    lines = "\n".join(f"      {node}" for node in nodes)
    return f"version: 1\nname: grows\n{agents}pipelines:\n  p:\n    path: batch\n    jobs: 1\n    nodes:\n{lines}\n"


def chain_checked(nodes: int) -> Measured:
    """Nodes of a workload, one after the other."""
    return checked(_workload([f"n{i}: {{agent: a{f', after: [n{i - 1}]' if i else ''}}}" for i in range(nodes)]), nodes)


def dense_checked(nodes: int) -> Measured:
    """Edges of a workload: each node waits for all before it."""
    return checked(
        _workload([f"n{i}: {{agent: a, after: [{', '.join(f'n{j}' for j in range(i))}]}}" for i in range(nodes)]),
        nodes * (nodes - 1) // 2,
    )


def reported(calls: int) -> Measured:
    """Calls of a run that is analysed."""
    lines = ["a: {agent: a}", "b: {agent: a, after: [a]}", "c: {agent: a, after: [b]}", "d: {agent: a, after: [b]}"]
    text = _workload(lines).replace("jobs: 1", f"jobs: {calls // 40}, arrival: {{closed: 4}}".replace(", a", "\n    a"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_text(
            text + "servers:\n  s: {kind: llamacpp, slots: 4}\ncompare:\n  only: window\n", encoding="utf-8"
        )
        assumed = Assumptions(profiles=("epyc-2core",), resamples=0)
        run = predict(path, SimulateOptions(assumptions=assumed, repeats=10)).run
    gc.collect()
    before_s = time.process_time()
    analyse(run)
    return time.process_time() - before_s, len(run.calls)


KINDS: dict[str, tuple[Kind, tuple[int, int, int]]] = {
    "waiting, window": (backlog(ServerQueue("s", 4, WINDOW)), (160, 1600, 16_000)),
    "waiting, waves": (backlog(ServerQueue("s", 4, CONCURRENCY["waves"])), (160, 1600, 16_000)),
    "waiting, reserve": (backlog(ServerQueue("s", 4, CONCURRENCY["reserve"])), (160, 1600, 16_000)),
    "waiting, least served": (
        backlog(ServerQueue("s", 4, WINDOW, SCHEDULING["least-served-first"])),
        (160, 1600, 16_000),
    ),
    "waiting, jobs that fail": (failing, (20, 200, 2000)),
    "before a node with need": (wide_need, (8, 80, 800)),
    "nodes with need in a row": (needs_in_a_row, (3, 30, 300)),
    "loops in a row": (loops_in_a_row, (4, 40, 400)),
    "calls of a fan-out": (wide, (10, 100, 1000)),
    "servers apart": (apart, (1, 10, 100)),
    "servers on one machine": (one_machine, (1, 10, 100)),
    "servers of a pool, least loaded": (pool("least-loaded"), (1, 10, 100)),
    "servers of a pool, affinity": (pool("affinity"), (1, 10, 100)),
    "slots of a server": (slots, (4, 40, 400)),
    "calls of a trial": (long_run, (1000, 10_000, 100_000)),
    "check: nodes in a row": (chain_checked, (8, 80, 800)),
    "check: edges between all": (dense_checked, (25, 80, 250)),
    "report: calls": (reported, (1000, 10_000, 100_000)),
}


def us(kind: Kind, size: int) -> float:
    """Microseconds a call; of small sizes the best of many."""
    spent_s, each = 0.0, list[float]()
    while not each or (spent_s < 0.1 and len(each) < 50):
        took_s, calls = kind(size)
        spent_s += took_s
        each.append(1e6 * took_s / calls)
    return min(each)


def main() -> None:
    console = Console()
    wanted = sys.argv[1:]
    table = Table(title="CPU time per call (per node or edge of `check`) in us while something grows")
    for column in ("what grows", "from", "us", "to", "us", "to", "us", "times"):
        table.add_column(column, justify="left" if column == "what grows" else "right")
    for name, (kind, sizes) in KINDS.items():
        if wanted and not any(word in name for word in wanted):
            continue
        rounds = [[us(kind, size) for size in sizes] for _ in range(ROUNDS)]
        found = [median(one) for one in zip(*rounds, strict=True)]
        cells = [text for size, each in zip(sizes, found, strict=True) for text in (f"{size:_}", f"{each:.1f}")]
        table.add_row(name, *cells, f"{median(one[-1] / one[0] for one in rounds):.2f}")
    console.print(table)
    console.print(f"Load of the machine: {', '.join(f'{value:.1f}' for value in os.getloadavg())}.", highlight=False)


if __name__ == "__main__":
    main()
