"""The virtual driver: a heap decides what happens next, and nothing ever waits.

`serve` says when a call that starts now will end. It is the seam where a server model goes.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from harness.core.engine import Engine
from harness.core.events import Action, At, Call, Cancel, Cancelled, Done, Event, Record, Start
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = ["simulate"]

Serve = Callable[[Call, float], Reply]


def simulate(engine: Engine, serve: Serve, on_record: Callable[[CallRecord | JobRecord | DelayRecord], None]) -> float:
    """Run one trial in virtual time and return its end.

    Args:
        engine: a fresh engine.
        serve: `(call, now_s) -> reply`; the reply's `end_s` is when the call ends. It must be at `now_s` or later.
        on_record: takes every record as it is made.

    Raises:
        RuntimeError: the engine is not finished and nothing is left to happen.
    """
    agenda: list[tuple[float, int, Event]] = []  # (time, serial, event): the serial makes ties first-in-first-out
    serial = count()
    cancelled: set[int] = set()
    now_s = 0.0

    def carry_out(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(call):
                    reply = serve(call, now_s)
                    assert reply.end_s is not None and reply.end_s >= now_s, reply
                    heappush(agenda, (reply.end_s, next(serial), Done(call.id, reply)))
                case At(at_s, event):
                    heappush(agenda, (max(at_s, now_s), next(serial), event))
                case Cancel(call_id):
                    cancelled.add(call_id)
                    lost = Reply("cancelled", end_s=now_s)
                    heappush(agenda, (now_s, next(serial), Cancelled(call_id, lost)))
                case Record(record):
                    on_record(record)

    carry_out(engine.begin(now_s))
    while not engine.finished:
        if not agenda:
            raise RuntimeError(f"nothing is left to happen at {now_s} s, but the trial has not ended")
        now_s = agenda[0][0]
        events: list[Event] = []
        while agenda and agenda[0][0] == now_s:
            event = heappop(agenda)[2]
            if isinstance(event, Done) and event.call in cancelled:
                cancelled.discard(event.call)
            else:
                events.append(event)
        if events:
            carry_out(engine.handle(events, now_s))
    return now_s
