"""The live driver by itself: what it hands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from conftest import VirtualLoop
from core.graphs import node, pipeline, plan_of, queue_of, until

from harness.core.arrival_processes import Listed
from harness.core.engine import Engine
from harness.core.events import BranchDecision, Call
from harness.core.records import CallRecord, JobRecord, Reply
from harness.drivers.live import Answered, drive


def test_what_the_rules_read_in_an_answer_decides(run_virtual: Callable[[Any], Any]) -> None:
    """Two tasks, then three more, then enough. A call that failed says nothing."""
    spec = pipeline("p", node("plan", retries=1), node("work", (0,), 5, over=0), until("u", (1,), (0, 1), 9, decides=0))

    async def main(loop: VirtualLoop) -> list[CallRecord]:
        records: list[Any] = []

        async def send(call: Call) -> Reply | Answered:
            await asyncio.sleep(1.0)
            failed = (call.node, call.iteration, call.attempt) == (0, 1, 0)
            reply = Reply("error" if failed else "ok", end_s=loop.time())
            if call.node or failed:
                return reply
            return Answered(reply, BranchDecision(stop=call.iteration == 1, items=2 + call.iteration))

        engine = Engine((spec,), plan_of("c", (queue_of("s", 9),), (spec,)), origin="emulated")
        await drive(engine, send, records.append, start_s=0.0, settle=loop.idle)
        return [record for record in records if isinstance(record, CallRecord)]

    calls = run_virtual(main)
    assert [(c.node, c.iteration, c.attempt, c.item) for c in calls] == [
        ("plan", 0, 0, 0),
        ("work", 0, 0, 0),
        ("work", 0, 0, 1),
        ("plan", 1, 0, 0),
        ("plan", 1, 1, 0),
        ("work", 1, 0, 0),
        ("work", 1, 0, 1),
        ("work", 1, 0, 2),
    ]


def test_a_timer_comes_where_the_clock_reads_a_little_less_than_was_asked_for(
    run_virtual: Callable[[Any], Any],
) -> None:
    """0.2 + 0.5 is 0.7, and 0.7 - 0.2 is a little less than 0.5: the job was asked for again, for ever."""
    assert 0.2 + 0.5 - 0.2 < 0.5
    spec = pipeline("p", node("only"), arrival=Listed((0.5,)))

    async def main(loop: VirtualLoop) -> list[Any]:
        records: list[Any] = []
        batches = 0

        async def send(call: Call) -> Reply:
            await asyncio.sleep(1.0)
            return Reply("ok", end_s=loop.time() - 0.2)

        def counted(engine: Engine) -> None:
            nonlocal batches
            batches += 1
            assert batches < 10, "it is asked for again and again"

        await asyncio.sleep(0.2)
        engine = Engine((spec,), plan_of("c", (queue_of("s", 1),), (spec,)), origin="emulated")
        await drive(engine, send, records.append, start_s=0.2, on_change=counted, settle=loop.idle)
        return records

    (job,) = [record for record in run_virtual(main) if isinstance(record, JobRecord)]
    assert (job.due_s, job.arrived_s) == (0.5, 0.5)
