"""The live driver by itself: what it hands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from conftest import VirtualLoop
from core.graphs import node, pipeline, plan_of, queue_of, until

from harness.core.engine import Engine
from harness.core.events import BranchDecision, Call
from harness.core.records import CallRecord, Reply
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
