"""Simulated calls per CPU second of one core, records kept, beside SimPy; and the memory of a million calls.

- pipeline: one node, 512 prompt and 128 output tokens, Poisson arrivals, 32 slots, about 16 of them busy.
- graph: six nodes and a fan-out (eight calls a job) in three pipelines on three servers with three routing policies.
- SimPy: the pipeline's queue as 32 servers of constant speed, without prompts and batches. This is less work.
- lower bounds of the pipeline in this interpreter: its records and two heap operations per call, without decisions; and
  the server model alone, without engine, driver and records.

Run it on an idle machine: python benchmarks/bench_simulation.py
"""

from __future__ import annotations

import gc
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from statistics import median
from typing import Any

import simpy
from rich.console import Console
from rich.table import Table

from harness.core.arrival_processes import Listed
from harness.core.concurrency import CONCURRENCY, UNBOUNDED, WINDOW
from harness.core.engine import Engine
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, ServerQueue
from harness.core.record_log import Records
from harness.core.records import CallRecord, JobRecord, Reply
from harness.core.scheduling import SCHEDULING
from harness.core.server_model import ServerModel
from harness.core.server_request import Request
from harness.core.step_costs import StepCosts
from harness.drivers.modelled import ModelledServer, ModelledServers
from harness.drivers.virtual import simulate

ROUNDS = 5
CALLS = 40_000
MANY = 1_000_000

# Step times that bend as measured ones do, a prompt that costs, a context that grows.
PIPELINE = StepCosts((0.0, *(0.010 + 0.001 * b for b in range(1, 33))), ((1, 1e-4),), context_s_per_token=1e-7)
SMALL = StepCosts((0.0, 0.020, 0.038, 0.042, 0.046), ((1, 1e-3),), context_s_per_token=1e-6, batch_tokens=512)


Kept = list[Any] | Records
Run = Callable[[int, Any], None]


def poisson(jobs: int, per_s: float, seed: int) -> Listed:
    rng = random.Random(seed)
    now_s, due_s = 0.0, []
    for _ in range(jobs):
        now_s += rng.expovariate(per_s)
        due_s.append(now_s)
    return Listed(tuple(due_s))


def pipeline(calls: int, records: Kept) -> None:
    """One node on one server of 32 slots."""
    node = Node("answer", "agent", (), (), agent="a")
    jobs = Pipeline("p", "batch", Graph((node,)), poisson(calls, 3.6, 1), jobs=calls)
    engine = Engine((jobs,), Plan("one", (ServerQueue("s", 32, UNBOUNDED),), ((0,),)), origin="predicted")
    simulate(engine, ModelledServers([ModelledServer(ServerModel(PIPELINE))], lambda call: (512, 128)), records.append)


SIX = (
    Node("plan", "agent", (), (1, 2), agent="planner"),
    Node("search", "agent", (0,), (3,), width=3, agent="searcher"),
    Node("outline", "agent", (0,), (4,), agent="writer"),
    Node("rank", "agent", (1,), (4,), agent="ranker"),
    Node("write", "agent", (2, 3), (5,), agent="writer"),
    Node("edit", "agent", (4,), (), agent="editor"),
)
LANES = (
    ServerQueue("a", 4, WINDOW, SCHEDULING["interactive-first"]),
    ServerQueue("b", 4, CONCURRENCY["waves"]),
    ServerQueue("c", 4, UNBOUNDED),
)


def graph(calls: int, records: Kept) -> None:
    """Three pipelines of six nodes, a server and a routing policy for each."""
    jobs = calls // 24
    pipelines = tuple(
        Pipeline(name, "interactive" if name == "a" else "batch", Graph(SIX), poisson(jobs, 0.11, seed), jobs=jobs)
        for seed, name in enumerate("abc")
    )
    engine = Engine(
        pipelines, Plan("three", LANES, ((0,) * 6, (1,) * 6, (2,) * 6)), origin="predicted", timeout_s=3600.0
    )
    servers = [ModelledServer(ServerModel(SMALL)) for _ in LANES]
    simulate(engine, ModelledServers(servers, lambda call: (200 + 50 * call.node, 60 + 10 * call.item)), records.append)


def in_simpy(calls: int, records: list[Any]) -> None:
    """The pipeline's arrivals at 32 servers, 4.4 s each."""
    env = simpy.Environment()
    slots = simpy.Resource(env, 32)

    def call(number: int) -> Any:
        ready_s = env.now
        with slots.request() as slot:
            yield slot
            started_s = env.now
            yield env.timeout(4.4)
        records.append((number, ready_s, started_s, env.now))

    def source() -> Any:
        last_s = 0.0
        for number, due_s in enumerate(poisson(calls, 3.6, 1).at_s):
            yield env.timeout(due_s - last_s)
            last_s = due_s
            env.process(call(number))

    env.process(source())
    env.run()


def records_alone(calls: int, records: list[Any]) -> None:
    """An arrival and an end through a heap, and the two records of every call: no engine, no server."""
    agenda: list[tuple[float, int]] = []
    for number, due_s in enumerate(poisson(calls, 3.6, 1).at_s):
        heappush(agenda, (due_s, number))
        at_s, _ = heappop(agenda)
        heappush(agenda, (at_s + 4.4, number))
        end_s, _ = heappop(agenda)
        took_s = end_s - at_s
        reply = tuple.__new__(
            Reply,
            ("ok", at_s, at_s, end_s, None, "length", 512, 128, took_s, 0.0, at_s - due_s, took_s, at_s - due_s, None),
        )
        call = ("one", 0, "predicted", "p", "batch", number, "answer", 0, 0, 0, number, "a", "", "s", at_s, at_s, reply)
        records.append(tuple.__new__(CallRecord, call))
        job = ("one", 0, "predicted", "p", "batch", number, due_s, at_s, end_s, "ok", 1, None, 0, None)
        records.append(tuple.__new__(JobRecord, job))


def server_alone(calls: int, records: list[Any]) -> None:
    """The pipeline's calls on its server model and nothing else."""
    model = ServerModel(PIPELINE)
    for number, due_s in enumerate(poisson(calls, 3.6, 1).at_s):
        while model.run(due_s):
            pass
        model.submit(Request(number, 512, 128, due_s), due_s)
    while model.run(float("inf")):
        pass


def calls_per_cpu_s(run: Run) -> tuple[float, list[Any]]:
    records: list[Any] = []
    gc.collect()
    gc.disable()  # as a simulation does for itself; the others are to have it too
    before_s = time.process_time()
    run(CALLS, records)
    took_s = time.process_time() - before_s
    gc.enable()
    return CALLS / took_s, records


def mean_batch(records: list[Any]) -> float:
    calls = [r for r in records if isinstance(r, CallRecord)]
    busy_s = sum((r.reply.end_s or 0.0) - (r.started_s or 0.0) - (r.reply.queue_s or 0.0) for r in calls)
    return busy_s / max(r.reply.end_s or 0.0 for r in calls)


def peak_bytes(name: str, kept: str) -> int:
    """Peak resident memory of a process of its own that keeps the records of a million calls."""
    done = subprocess.run([sys.executable, __file__, name, kept], capture_output=True, text=True, check=True)
    return int(done.stdout)


RUNS: dict[str, Run] = {
    "pipeline": pipeline,
    "graph": graph,
    "SimPy": in_simpy,
    "floor: records": records_alone,
    "floor: server": server_alone,
}
TARGETS = {"pipeline": "250,000", "graph": "100,000"}


def main() -> None:
    figures: dict[str, list[float]] = {name: [] for name in RUNS}
    batch = 0.0
    for _ in range(ROUNDS):  # interleaved, so that drift of the machine hits all alike
        for name, run in RUNS.items():
            rate, records = calls_per_cpu_s(run)
            figures[name].append(rate)
            if name == "pipeline":
                batch = mean_batch(records)
    table = Table(title=f"Simulated calls per CPU second, records kept; median of {ROUNDS}, {CALLS} calls")
    for column in ("", "calls/CPU s", "lowest", "highest", "target"):
        table.add_column(column, justify="right")
    for name, rates in figures.items():
        low, middle, high = min(rates), median(rates), max(rates)
        table.add_row(name, f"{middle:,.0f}", f"{low:,.0f}", f"{high:,.0f}", TARGETS.get(name, ""))
    console = Console()
    console.print(table)
    for name in ("pipeline", "graph"):
        log, objects = (peak_bytes(name, kept) / 1e6 for kept in ("log", "list"))
        console.print(
            f"Peak memory of a million calls, {name}: {log:.0f} MB kept as a prediction keeps them (target 600), "
            f"{objects:.0f} MB as a list of objects.",
            highlight=False,
        )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    console.print(f"Mean batch of the pipeline: {batch:.1f}. Load of the machine: {load}.", highlight=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        everything: Kept = Records() if sys.argv[2] == "log" else []
        RUNS[sys.argv[1]](MANY, everything)
        scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
        sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale))
    else:
        main()
