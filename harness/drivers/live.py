"""The live driver: asyncio carries out what the engine decides, and a real server decides how long a call takes.

One task owns the engine. Completions and timers reach it through one queue; it drains whatever is due at this instant
and then calls `handle` once, or the two drivers would part company at the first tie.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from harness.core.engine import Engine
from harness.core.events import Action, At, BranchDecision, Call, Cancel, Cancelled, Done, Event, Record, Start
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = ["Answered", "LiveStats", "Send", "drive"]

# Carries out one call and tells how it went. It never raises for what a server did: that is an outcome. It may be
# cancelled, and must then have let go of the server when it returns. Times are seconds since the start of the trial.
Send = Callable[[Call], "Awaitable[Reply | Answered]"]

LAG_SAMPLE_S = 1 / 16  # a power of two: on a virtual clock it falls on the same instants as everything else


class Answered(NamedTuple):
    """A reply with what the workload's rules found in it, where the model decides which way a job goes."""

    reply: Reply
    decision: BranchDecision


class LiveStats(NamedTuple):
    """How the client itself did."""

    end_s: float
    loop_lag_p99_s: float | None


async def _yield_once() -> None:
    await asyncio.sleep(0)


def _when_s(start_s: float, at_s: float) -> float:
    """Return the loop's time at which `at_s` of the trial has come: read there, less `start_s`, it is not before that.

    The sum alone can be rounded to just before it. The engine would then ask for the same timer again, and on a clock
    that only timers move that goes on for ever.
    """
    when_s = start_s + at_s
    return when_s if when_s - start_s >= at_s else math.nextafter(when_s, math.inf)


async def _reply(send: Send, call: Call) -> Reply | Answered:
    return await send(call)


async def drive(
    engine: Engine,
    send: Send,
    on_record: Callable[[CallRecord | JobRecord | DelayRecord], None],
    *,
    start_s: float,
    on_change: Callable[[Engine], None] = lambda engine: None,
    settle: Callable[[], Awaitable[None]] = _yield_once,
) -> LiveStats:
    """Run one trial for real.

    Args:
        engine: a fresh engine.
        send: carries out one call.
        on_record: takes every record as it is made.
        start_s: the event loop's time that counts as 0.
        on_change: called after every batch, to show progress.
        settle: waits until nothing more is due at this instant. The default yields once, which is all that can be
            done against a real clock; a virtual-time loop can do it exactly.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    tasks: dict[int, asyncio.Task[Reply | Answered]] = {}
    lags: list[float] = []

    def ended(call_id: int, task: asyncio.Task[Reply | Answered]) -> None:
        del tasks[call_id]
        if task.cancelled():
            queue.put_nowait(Cancelled(call_id, Reply("cancelled", end_s=loop.time() - start_s)))
        elif task.exception() is None:  # else it is a bug in `send`, and the task group raises it
            match task.result():
                case Answered(reply, decision):
                    queue.put_nowait(Done(call_id, reply, decision))
                case reply:
                    queue.put_nowait(Done(call_id, reply))

    def carry_out(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(call):
                    task = tasks[call.id] = group.create_task(_reply(send, call))
                    task.add_done_callback(partial(ended, call.id))
                case At(at_s, event):
                    loop.call_at(_when_s(start_s, at_s), queue.put_nowait, event)
                case Cancel(call_id):
                    if call_id in tasks:  # else its Done is already in the queue
                        tasks[call_id].cancel()
                case Record(record):
                    on_record(record)

    async def watch_lag() -> None:
        while True:
            due_s = loop.time() + LAG_SAMPLE_S
            await asyncio.sleep(LAG_SAMPLE_S)
            lags.append(loop.time() - due_s)

    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(watch_lag())
            carry_out(engine.begin(loop.time() - start_s))
            while not engine.finished:
                events = [await queue.get()]
                await settle()
                while not queue.empty():
                    events.append(queue.get_nowait())
                carry_out(engine.handle(events, loop.time() - start_s))
                on_change(engine)
            watch.cancel()
    except BaseExceptionGroup as errors:  # a full disk in `on_record`, a bug in `send`
        raise errors.exceptions[0] from None
    lags.sort()
    return LiveStats(loop.time() - start_s, lags[int(0.99 * len(lags))] if len(lags) >= 20 else None)
