"""What the language costs: CPU per call of a plain graph and of graphs with each feature; memory of many jobs.

Every call takes a fixed time on a server with eight slots. So this measures the engine, its walk and its draws.

Run it on an idle machine: python benchmarks/bench_language.py
"""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.core.arrival_processes import Closed
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.flow import FlowShape, FlowWalk, is_plain
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, Reply
from harness.core.sizes import Distribution
from harness.core.walk import Shape, Walk
from harness.drivers.virtual import simulate

ROUNDS = 7
JOBS = 2000
MANY_JOBS = 10_000

SIZES = Distribution("uniform", (2, 6), True)


def agent(name: str, before: tuple[int, ...], after: tuple[int, ...], **rest: Any) -> Node:
    return Node(name, "agent", before, after, agent=name, **rest)


def until(before: tuple[int, ...], after: tuple[int, ...], body: tuple[int, ...]) -> Node:
    return Node("until", "until", before, after, body=body, end_share=0.3, max_iterations=4)


def chain(length: int) -> tuple[Node, ...]:
    return tuple(agent(f"n{i}", (i - 1,) if i else (), (i + 1,) if i + 1 < length else ()) for i in range(length))


# Each with a plain graph of about as many calls a job.
GRAPHS: dict[str, tuple[tuple[Node, ...], tuple[Node, ...]]] = {
    "branch": (
        (
            agent("triage", (), (1, 2), labels=("a", "b"), shares=(0.6, 0.4)),
            agent("bill", (0,), (3,), takes=(0,)),
            agent("tech", (0,), (3,), takes=(1,)),
            agent("answer", (1, 2), ()),
        ),
        chain(3),
    ),
    "loop of one call": ((agent("edit", (), (1,)), until((0,), (), (0,))), chain(3)),
    "run-time fan-out": (
        (
            agent("plan", (), (1,)),
            agent("work", (0,), (2,), width=6, over=0, items=SIZES),
            agent("merge", (1,), ()),
        ),
        (agent("plan", (), (1,)), agent("work", (0,), (2,), width=4), agent("merge", (1,), ())),
    ),
    "two of three, losers cancelled": (
        (
            agent("a", (), (3,)),
            agent("b", (), (3,)),
            agent("c", (), (3,)),
            agent("pick", (0, 1, 2), (), need=2),
        ),
        (agent("a", (), (3,)), agent("b", (), (3,)), agent("c", (), (3,)), agent("pick", (0, 1, 2), ())),
    ),
    "loop with fan-out, branch, enough": (
        (
            agent("plan", (), (1,), labels=("a", "b"), shares=(0.6, 0.4)),
            agent("work", (0,), (2, 3), width=6, over=0, items=SIZES),
            agent("edit", (1,), (4,)),
            agent("vote", (1,), (4,), width=3, enough=2),
            until((2, 3), (5,), (0, 1, 2, 3)),
            agent("last", (4,), ()),
        ),
        (
            agent("plan", (), (1,)),
            agent("work", (0,), (2, 3), width=12),
            agent("edit", (1,), (4,)),
            agent("vote", (1,), (4,), width=9),
            agent("last", (2, 3), ()),
        ),
    ),
}


def serve(call: Call, now_s: float) -> Reply:
    end_s = now_s + 1.0 + 0.125 * (call.id % 3)
    return Reply("ok", now_s, now_s, end_s)


def engine_of(nodes: tuple[Node, ...], jobs: int) -> Engine:
    pipeline = Pipeline("p", "batch", Graph(nodes), Closed(4), jobs=jobs)
    return Engine((pipeline,), Plan("c", (ServerQueue("s", 8),), ((0,) * len(nodes),)), origin="predicted", seed=7)


def us_per_call_of_the_walk(nodes: tuple[Node, ...]) -> float:
    """The walk alone: every call is done as soon as it is ready, first come first served."""
    graph = Graph(nodes)
    plain = Shape(graph) if is_plain(graph) else None
    flow = FlowShape(graph, 7, 0, "p")
    calls = 0
    gc.collect()
    before_s = time.process_time()
    for job in range(JOBS):
        if plain is not None:
            walk = Walk(plain)
            todo = [node for node in plain.sources for _ in range(nodes[node].width)]
            for node in todo:
                for ready in walk.item_done(node):
                    todo += [ready] * nodes[ready].width
        else:
            flow_walk = FlowWalk(flow, job)
            lost: set[int] = set()  # what is left of these in the queue is skipped
            todo = [node for node, _, width, _ in flow_walk.begin().ready for _ in range(width)]
            for node in todo:
                if lost and node in lost:
                    continue
                step = flow_walk.item_done(node)
                if step is not None:
                    lost |= {each.node for each in step.lost}
                    for ready, _, width, _ in step.ready:
                        lost.discard(ready)
                        todo += [ready] * width
        calls += len(todo)
    return 1e6 * (time.process_time() - before_s) / calls


def us_per_call(nodes: tuple[Node, ...]) -> float:
    records: list[Any] = []
    engine = engine_of(nodes, JOBS)
    gc.collect()
    before_s = time.process_time()
    simulate(engine, serve, records.append)
    took_s = time.process_time() - before_s
    return 1e6 * took_s / sum(isinstance(record, CallRecord) for record in records)


def peak_bytes(nodes: tuple[Node, ...], jobs: int, keep: bool) -> tuple[int, int]:
    """Peak of what was allocated while the jobs ran, and how many calls they made."""
    kept: list[Any] = []
    calls = 0

    def count(record: Any) -> None:
        nonlocal calls
        calls += isinstance(record, CallRecord)
        if keep:
            kept.append(record)

    engine = engine_of(nodes, jobs)
    tracemalloc.start()
    simulate(engine, serve, count)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, calls


def main() -> None:
    console = Console()
    for what, measure in (("the walk alone", us_per_call_of_the_walk), ("walk, engine and driver", us_per_call)):
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in GRAPHS}
        for _ in range(ROUNDS):  # interleaved, so that drift of the machine hits all alike
            for name, (nodes, plain) in GRAPHS.items():
                figures[name].append((measure(nodes), measure(plain)))
        table = Table(title=f"CPU time per simulated call in us, {what}; median of {ROUNDS}")
        for column in ("", "with it", "plain", "difference" + (" (target 5)" if "alone" in what else "")):
            table.add_column(column, justify="right")
        for name, pairs in figures.items():
            with_it, without = (median(each) for each in zip(*pairs, strict=True))
            more = median(one - other for one, other in pairs)
            table.add_row(name, f"{with_it:.2f}", f"{without:.2f}", f"{more:+.2f}")
        console.print(table)
    nodes, _ = GRAPHS["loop with fan-out, branch, enough"]
    for keep in (False, True):
        for jobs in (MANY_JOBS // 4, MANY_JOBS):
            peak, calls = peak_bytes(nodes, jobs, keep)
            what = "records kept" if keep else "records dropped"
            console.print(f"{jobs} jobs, {calls} calls, {what}: peak {peak / 1e6:.1f} MB", highlight=False)
    console.print(f"Load of the machine: {', '.join(f'{value:.1f}' for value in os.getloadavg())}.", highlight=False)


if __name__ == "__main__":
    main()
