"""The virtual driver: what is due next decides, and nothing ever waits.

A `Backend` carries out calls in virtual time; it is the seam where servers go. `FixedDurations` makes one of a
function, `harness.drivers.modelled.ModelledServers` of server models.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from harness.core.engine import Engine
from harness.core.events import At, Call, Cancelled, Done, Event, Record, Start
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.server_request import NEVER_S
from harness.errors import UserError

__all__ = ["Backend", "CannotEnd", "FixedDurations", "Limits", "simulate"]

CHECK_EVERY: Final = 256  # batches between two looks at the limits

Serve = Callable[[Call, float], Reply]


class Backend(ABC):
    """Carries out calls in virtual time. `now_s` never decreases."""

    @abstractmethod
    def start(self, call: Call, now_s: float) -> None:
        """Send this call; a `Done` or, after `cancel`, a `Cancelled` comes out of `advance`."""

    @abstractmethod
    def cancel(self, call_id: int, now_s: float) -> None:
        """Give it up."""

    @abstractmethod
    def advance(self, until_s: float) -> tuple[float, list[Event]]:
        """Go on to the first instant at which the engine has something to hear of, or else to `until_s`.

        Return that instant and all that happened at it. Until `until_s` nothing happens outside.
        """

    @abstractmethod
    def waiting(self) -> int:
        """Return how many calls wait for a server that could take no more."""


class FixedDurations(Backend):
    """A backend of a function that says, when a call starts, how and when it will end."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._agenda: list[tuple[float, int, Event]] = []  # (time, serial, event): ties are first-in-first-out
        self._serial = count()
        self._cancelled: set[int] = set()

    def start(self, call: Call, now_s: float) -> None:
        """Ask the function; its reply's `end_s` must be at `now_s` or later."""
        reply = self._serve(call, now_s)
        assert reply.end_s is not None and reply.end_s >= now_s, reply
        heappush(self._agenda, (reply.end_s, next(self._serial), Done(call.id, reply)))

    def cancel(self, call_id: int, now_s: float) -> None:
        """Let go of the call at once."""
        self._cancelled.add(call_id)
        heappush(self._agenda, (now_s, next(self._serial), Cancelled(call_id, Reply("cancelled", end_s=now_s))))

    def advance(self, until_s: float) -> tuple[float, list[Event]]:
        """Return when the next calls end, and those."""
        agenda = self._agenda
        events: list[Event] = []
        while not events and agenda and agenda[0][0] <= until_s:
            now_s = agenda[0][0]
            while agenda and agenda[0][0] == now_s:
                event = heappop(agenda)[2]
                if isinstance(event, Done) and event.call in self._cancelled:
                    self._cancelled.discard(event.call)
                else:
                    events.append(event)
            if events:
                return now_s, events
        return until_s, events

    def waiting(self) -> int:
        """Nobody ever waits."""
        return 0


class Limits(NamedTuple):
    """Where a simulation is given up. A pipeline whose jobs come faster than they go never ends, or not in time."""

    virtual_s: float = 30 * 86_400.0
    waiting: int = 100_000  # calls that wait, in front of the servers and in their queues


class CannotEnd(UserError):
    """A simulation that passed a limit; the message says what was sustainable."""


def simulate(
    engine: Engine,
    serve: Serve | Backend,
    on_record: Callable[[CallRecord | JobRecord | DelayRecord], None],
    limits: Limits | None = None,
) -> float:
    """Run one trial in virtual time and return its end.

    Args:
        engine: a fresh engine.
        serve: a backend, or `(call, now_s) -> reply` for fixed durations.
        on_record: takes every record as it is made.
        limits: give up beyond these.

    Raises:
        CannotEnd: a limit was passed.
        RuntimeError: the engine is not finished and nothing is left to happen.
    """
    backend: Backend = FixedDurations(serve) if callable(serve) else serve
    # Nothing here makes cycles, and the collector would look at every record kept, again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _simulate(engine, backend, on_record, limits or Limits())
    finally:
        if collecting:
            gc.enable()


def _simulate(
    engine: Engine,
    backend: Backend,
    on_record: Callable[[CallRecord | JobRecord | DelayRecord], None],
    limits: Limits,
) -> float:
    agenda: list[tuple[float, int, Event]] = []  # the engine's timers and arrivals
    serial = 0
    now_s = 0.0
    actions = engine.begin(now_s)
    for batches in count(1):
        for action in actions:
            if isinstance(action, Record):
                on_record(action[0])
            elif isinstance(action, Start):
                backend.start(action[0], now_s)
            elif isinstance(action, At):
                at_s, event = action
                serial += 1
                heappush(agenda, (at_s if at_s > now_s else now_s, serial, event))
            else:
                backend.cancel(action[0], now_s)
        if engine.finished:
            break
        if not batches % CHECK_EVERY:
            _check(engine, backend, now_s, limits)
        due_s = agenda[0][0] if agenda else NEVER_S
        now_s, events = backend.advance(due_s)
        if now_s == due_s:
            if due_s == NEVER_S:
                raise RuntimeError(f"nothing is left to happen after {batches} batches, but the trial has not ended")
            while agenda and agenda[0][0] == now_s:
                events.append(heappop(agenda)[2])
        actions = engine.handle(events, now_s)
    return now_s


def _check(engine: Engine, backend: Backend, now_s: float, limits: Limits) -> None:
    waiting = engine.queued + backend.waiting()
    if waiting <= limits.waiting and now_s <= limits.virtual_s:
        return
    rates = []
    for pipeline, (started, ended) in zip(engine.pipelines, engine.jobs(), strict=True):
        if not pipeline.arrival.users and started and now_s:
            rates.append(
                f'pipeline "{pipeline.name}": jobs arrive at {started / now_s:.3g} a second and end at '
                f"{ended / now_s:.3g} a second, which is about what these servers sustain"
            )
    where = (
        f"with {waiting} calls waiting" if waiting > limits.waiting else f"beyond its limit of {limits.virtual_s:g} s"
    )
    reason = "; ".join(rates) or "closed loops alone never end by themselves; bound its jobs"
    raise CannotEnd(
        f'the simulation of "{engine.plan.name}" was given up at {now_s:.4g} s of virtual time {where}: {reason}'
    )
