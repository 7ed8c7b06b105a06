"""The third driver: what goes through a gate in front of servers starts when it would start with the policy in code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import FOUR, graph, node, plan_of, pool_of, queue_of
from drivers.both_clocks import duration_s, virtual

from harness.core.arrival_processes import Requests
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.open_engine import GONE, OpenEngine
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, Reply
from harness.drivers.gateway import Gate, QueueFull, Unreachable
from harness.drivers.live import drive

ASKED = graph(node("call"))
CLASSES = (
    Pipeline("interactive", "interactive", ASKED, Requests(), None),
    Pipeline("batch", "batch", ASKED, Requests(), None),
)
Run = Callable[[Callable[[VirtualLoop], Any]], Any]


def gate_before(queues: tuple[ServerQueue, ...], loop: VirtualLoop, records: list[Any], **rest: Any) -> Gate:
    pool: Any = 0 if len(queues) == 1 else pool_of("least-loaded", tuple(range(len(queues))))
    engine = OpenEngine(CLASSES, Plan("gate", queues, ((pool,), (pool,))), origin="measured")

    async def settle() -> None:
        for _ in range(4):  # until a client has heard of what ended at this instant, and has asked for what follows
            await loop.idle()

    return Gate(engine, records.append, start_s=0.0, settle=settle, **rest)


@pytest.mark.parametrize("scheduling", ["fifo", "interactive-first"])
@pytest.mark.parametrize("concurrency", ["serial", "window", "reserve"])
@pytest.mark.parametrize("servers", [1, 2])
def test_a_policy_in_a_gateway_starts_each_call_when_the_same_policy_in_the_client_does(
    servers: int, concurrency: str, scheduling: str, run_virtual: Run
) -> None:
    """A whole workload, ties included: the client sends everything at once, and the gateway has the policy."""
    queues = tuple(queue_of(f"s{n}", 3, concurrency, scheduling) for n in range(servers))
    pool: Any = 0 if servers == 1 else pool_of("least-loaded", tuple(range(servers)))
    plan = Plan("client", queues, tuple((pool,) * len(p.graph.nodes) for p in FOUR))
    inside = [r for r in virtual(FOUR, plan) if isinstance(r, CallRecord)]

    async def through(loop: VirtualLoop) -> list[tuple[Any, ...]]:
        gate = gate_before(queues, loop, [])
        running = asyncio.create_task(gate.run())
        started: list[tuple[Any, ...]] = []

        async def send(call: Call) -> Reply:
            let = await gate.enter(0 if FOUR[call.pipeline].path == "interactive" else 1)
            began_s = loop.time()
            await asyncio.sleep(duration_s(call))
            gate.left(let, Reply("ok"))
            name = FOUR[call.pipeline].graph.nodes[call.node].name
            started.append((FOUR[call.pipeline].name, call.job, name, call.item, began_s, loop.time()))
            return Reply("ok", end_s=loop.time())

        everything = plan_of("all", (queue_of("gateway", 1, "unbounded"),), FOUR)
        await drive(Engine(FOUR, everything, origin="measured"), send, lambda _: None, start_s=0.0, settle=loop.idle)
        running.cancel()
        return started

    expected = sorted((r.pipeline, r.job, r.node, r.item, r.started_s, r.reply.end_s) for r in inside)
    assert sorted(run_virtual(through)) == expected
    assert any((r.router_wait_s or 0) > 0 for r in inside)  # calls did wait


def test_who_goes_while_waiting_leaves_the_queue_and_who_goes_in_flight_frees_the_slot(run_virtual: Run) -> None:
    async def main(loop: VirtualLoop) -> list[Any]:
        records: list[Any] = []
        gate = gate_before((queue_of("a", 1),), loop, records)
        running = asyncio.create_task(gate.run())
        first = await gate.enter(1)
        second, third = asyncio.create_task(gate.enter(1)), asyncio.create_task(gate.enter(1))
        await asyncio.sleep(1.0)
        second.cancel()
        await asyncio.sleep(1.0)
        assert gate.engine.queues() == [(1, 1)]
        gate.left(first, Reply("cancelled"))
        await third
        assert loop.time() == 2.0
        running.cancel()
        return [(r.job, r.outcome, r.started_s) for r in records if isinstance(r, CallRecord)] + [
            records[0].reply.error
        ]

    assert run_virtual(main) == [(1, "cancelled", None), (0, "cancelled", 0.0), GONE]


def test_a_start_that_comes_in_the_very_turn_in_which_the_client_goes_is_given_back(run_virtual: Run) -> None:
    async def main(loop: VirtualLoop) -> list[tuple[int, int]]:
        gate = gate_before((queue_of("a", 1),), loop, [])
        running = asyncio.create_task(gate.run())
        first = await gate.enter(1)
        second = asyncio.create_task(gate.enter(1))
        await loop.idle()
        gate.left(first, Reply("ok"))
        for _ in range(40):  # wherever it is by then
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(1.0)
        running.cancel()
        return gate.engine.queues()

    assert run_virtual(main) == [(0, 0)]


def test_the_last_to_come_is_refused_when_the_queue_is_full(run_virtual: Run) -> None:
    async def main(loop: VirtualLoop) -> list[Any]:
        gate = gate_before((queue_of("a", 1),), loop, [], most_waiting=1)
        running = asyncio.create_task(gate.run())
        entering = [asyncio.create_task(gate.enter(1)) for _ in range(3)]
        await asyncio.sleep(1.0)
        running.cancel()
        done = [task.exception() if task.done() else "waits" for task in entering]
        entering[1].cancel()
        return done

    first, second, third = run_virtual(main)
    assert (first, second) == (None, "waits") and isinstance(third, QueueFull)


def test_who_waits_for_servers_that_are_gone_is_told_and_a_server_that_is_back_is_used(run_virtual: Run) -> None:
    async def main(loop: VirtualLoop) -> None:
        gate = gate_before((queue_of("a", 1), queue_of("b", 1)), loop, [])
        running = asyncio.create_task(gate.run())
        assert [(await gate.enter(1)).queue, (await gate.enter(1)).queue] == [0, 1]
        waiting = asyncio.create_task(gate.enter(0))
        await asyncio.sleep(1.0)
        assert gate.others(0, 0)
        gate.reach(0, up=False)
        await asyncio.sleep(1.0)
        assert not waiting.done() and not gate.others(0, 1)
        gate.reach(1, up=False)
        with pytest.raises(Unreachable):
            await waiting
        with pytest.raises(Unreachable):
            await gate.enter(0)
        await asyncio.sleep(1.0)
        assert gate.engine.queued == 0
        gate.reach(0, up=True)
        gate.reach(0, up=True)  # once is enough
        entering = asyncio.create_task(gate.enter(0))
        await asyncio.sleep(1.0)
        assert gate.engine.queues() == [(1, 1), (1, 0)]  # what it had in flight has not ended
        entering.cancel()
        running.cancel()

    run_virtual(main)
