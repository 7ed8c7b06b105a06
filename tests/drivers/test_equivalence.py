"""One engine, two clocks: both drivers, fed the same durations, must make equal records, ties included.

Durations are multiples of 1/512 s, so that sums of floats are exact and `==` can be demanded. The live side is the real
ChatOllama over httpx, on an event loop whose time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from conftest import VirtualLoop
from core.graphs import FOUR, plan_of, pool_of, queue_of
from drivers.both_clocks import AnyRecord, live, random_pipelines, virtual
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.concurrency import CONCURRENCY
from harness.core.graph import Pipeline
from harness.core.placement import PLACEMENT
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.scheduling import SCHEDULING


def queues(*caps: str, scheduling: str = "fifo") -> Plan:
    place = {1: (0, 0, 0, 0), 2: (0, 0, 1, 1)}[len(caps)]
    each = tuple(queue_of(f"s{i}", 2, concurrency, scheduling, max_wait_s=0.5) for i, concurrency in enumerate(caps))
    return plan_of("eq", each, FOUR, place)


@pytest.mark.parametrize("scheduling", SCHEDULING)
@pytest.mark.parametrize("caps", [(c,) for c in CONCURRENCY] + [("waves", "serial"), ("window", "window")])
def test_both_drivers_make_equal_records(
    caps: tuple[str, ...], scheduling: str, run_virtual: Callable[[Any], Any]
) -> None:
    plan = queues(*caps, scheduling=scheduling)
    expected = virtual(FOUR, plan)
    assert run_virtual(lambda loop: live(loop, FOUR, plan)) == expected
    ends = [r.reply.end_s for r in expected if isinstance(r, CallRecord)]
    if caps[0] in ("window", "waves", "unbounded", "reserve"):
        assert len(set(ends)) < len(ends)  # there were ties


@pytest.mark.parametrize("choice", PLACEMENT)
@pytest.mark.parametrize(
    "caps", [(concurrency, concurrency) for concurrency in CONCURRENCY] + [("waves", "serial")], ids="+".join
)
def test_both_drivers_agree_on_places(caps: tuple[str, str], choice: str, run_virtual: Callable[[Any], Any]) -> None:
    """Some nodes may go to two servers, some to one of these."""
    each = tuple(queue_of(f"s{i}", 2, concurrency, max_wait_s=0.5) for i, concurrency in enumerate(caps))
    pool = pool_of(choice, (0, 1))
    plan = Plan("eq", each, ((pool, pool), (0, pool, 0, 0), (pool,), (pool, 0, 1, pool)))
    expected = virtual(FOUR, plan)
    assert run_virtual(lambda loop: live(loop, FOUR, plan)) == expected
    assert {r.server for r in expected if isinstance(r, CallRecord)} == {"s0", "s1"}


def test_both_drivers_agree_on_timeouts(run_virtual: Callable[[Any], Any]) -> None:
    """A third of the calls is given up; a call that ends at the very instant of its timeout has ended."""
    plan = queues("window")

    def seen(records: list[AnyRecord]) -> list[AnyRecord]:
        """What a cancelled call had learned by then depends on who carried it out."""
        return [
            r._replace(reply=Reply(r.outcome, end_s=r.reply.end_s)) if isinstance(r, CallRecord) else r for r in records
        ]

    expected = virtual(FOUR, plan, 0.375)
    assert {r.outcome for r in expected if isinstance(r, CallRecord)} == {"ok", "timeout", "cancelled"}
    assert seen(run_virtual(lambda loop: live(loop, FOUR, plan, 0.375))) == seen(expected)


@settings(max_examples=200, deadline=None)
@given(random_pipelines(), st.sampled_from(sorted(CONCURRENCY)), st.sampled_from(sorted(SCHEDULING)), st.integers(1, 5))
def test_every_call_is_made_once_in_order_and_within_the_cap(
    pipelines: tuple[Pipeline, ...], concurrency: str, scheduling: str, slots: int
) -> None:
    plan = plan_of("p", (queue_of("s", slots, concurrency, scheduling),), pipelines)
    records = virtual(pipelines, plan)
    calls = [r for r in records if isinstance(r, CallRecord)]
    ends = {(r.pipeline, r.job, r.node): r.end_s for r in records if isinstance(r, DelayRecord)}
    for call in calls:
        key = (call.pipeline, call.job, call.node)
        ends[key] = max(ends.get(key, 0.0), call.reply.end_s or 0.0)
    expected = [
        (p.name, job, n.name, item)
        for p in pipelines
        for job in range(p.jobs or 0)
        for n in p.graph.nodes
        if n.kind == "agent"
        for item in range(n.width)
    ]
    assert sorted((c.pipeline, c.job, c.node, c.item) for c in calls) == sorted(expected)  # exactly once
    graphs = {p.name: p.graph for p in pipelines}
    for call in calls:
        nodes = graphs[call.pipeline].nodes
        me = next(n for n in nodes if n.name == call.node)
        ready_s = max((ends[call.pipeline, call.job, nodes[p].name] for p in me.predecessors), default=0.0)
        assert call.ready_s == ready_s  # in dependency order, and no later than that
        assert call.started_s is not None and call.started_s >= ready_s
    most = plan.queues[0].most or len(calls)
    times = sorted({c.started_s for c in calls if c.started_s is not None})
    for now_s in times:
        running = sum(1 for c in calls if (c.started_s or 0) <= now_s < (c.reply.end_s or 0))
        assert running <= most
    assert sum(isinstance(r, JobRecord) for r in records) == sum(p.jobs or 0 for p in pipelines)


def test_the_virtual_loop_jumps_and_idles(run_virtual: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        seen = []
        asyncio.get_running_loop().call_later(1.5, lambda: seen.append(loop.time()))
        await asyncio.sleep(1.5)
        await loop.idle()
        seen.append(loop.time())
        await asyncio.sleep(0.25)
        return [*seen, loop.time()]

    assert run_virtual(main) == [1.5, 1.5, 1.75]
