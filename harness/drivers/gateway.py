"""The gateway's driver: requests come from outside, and each may pass when the engine starts its call.

The third driver beside the live and the virtual one. It carries nothing out itself. The HTTP side asks for a call with
`enter`, holds the slot when that returns, and says with `left` how it went. One task owns the engine; what happens
reaches it through one queue, which it empties before it calls `handle`, as in the live driver.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count

from harness.core.events import Action, Ask, At, Call, Cancelled, Done, Event, Leave, Reach, Record, Start
from harness.core.open_engine import OpenEngine
from harness.core.plan import queues_of
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply

__all__ = ["Closing", "Gate", "QueueFull", "Unreachable"]

LATELY = 20  # calls, whose waits tell what one that comes now would wait


class QueueFull(Exception):
    """As many calls wait already as may wait."""


class Closing(Exception):
    """No call is let through any more."""


class Unreachable(Exception):
    """No server that the call may go to can be reached."""


async def _yield_once() -> None:
    await asyncio.sleep(0)


class Gate:
    """Lets requests through as the engine says.

    Args:
        engine: a fresh one; every pipeline has one node.
        on_record: takes every record as it is made.
        start_s: the event loop's time that counts as 0 in the engine's.
        most_waiting: calls that may wait; one more is refused. None: any number.
        on_change: called after every batch.
        settle: waits until nothing more is due at this instant; see `harness.drivers.live.drive`.
    """

    def __init__(
        self,
        engine: OpenEngine,
        on_record: Callable[[CallRecord | JobRecord | DelayRecord], None],
        *,
        start_s: float,
        most_waiting: int | None = None,
        on_change: Callable[[OpenEngine], None] = lambda engine: None,
        settle: Callable[[], Awaitable[None]] = _yield_once,
    ) -> None:
        self.engine = engine
        self._on_record, self._on_change, self._settle = on_record, on_change, settle
        self._start_s, self._most_waiting = start_s, most_waiting
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._numbers = count()
        # By job, the oldest first: its pipeline, and when it came.
        self._waiting: dict[int, tuple[int, float, asyncio.Future[Call]]] = {}
        self._waits_s: deque[float] = deque(maxlen=LATELY)
        self._ended = False
        self._may_go = tuple(frozenset(queues_of(site[0])) for site in engine.plan.placement)
        self._down: set[int] = set()  # queues of servers that cannot be reached

    @property
    def now_s(self) -> float:
        """The engine's time, in seconds."""
        return self._loop.time() - self._start_s

    @property
    def wait_s(self) -> float:
        """What calls wait now, in seconds: the mean of those that started lately, or the oldest that waits."""
        mean_s = sum(self._waits_s) / len(self._waits_s) if self._waits_s else 0.0
        oldest = next(iter(self._waiting.values()), None)
        return mean_s if oldest is None else max(mean_s, self.now_s - oldest[1])

    def others(self, pipeline: int, queue: int) -> bool:
        """Tell whether calls of a pipeline may go to another server that can be reached."""
        return bool(self._may_go[pipeline] - self._down - {queue})

    async def run(self) -> None:
        """Own the engine until cancelled; PolicyError where a policy breaks its contract."""
        self._carry_out(self.engine.begin(self.now_s))
        while True:
            events = [await self._events.get()]
            await self._settle()
            while not self._events.empty():
                events.append(self._events.get_nowait())
            self._handle(events)
            excess = 0 if self._most_waiting is None else len(self._waiting) - self._most_waiting
            if excess > 0:  # those that came last
                self._refuse(list(self._waiting)[-excess:], QueueFull())
            self._on_change(self.engine)

    async def enter(self, pipeline: int, session: int = -1) -> Call:
        """Wait until a call of this pipeline may start; it counts as in flight until `left`.

        Where the wait is cancelled, the call is dropped.

        Args:
            pipeline: its index.
            session: the conversation that it belongs to; -1 = none.

        Raises:
            QueueFull: too many wait.
            Closing: this gate is closed.
            Unreachable: there is no server for it.
        """
        if self._ended:
            raise Closing
        if not self._may_go[pipeline] - self._down:
            raise Unreachable
        job = next(self._numbers)
        turn: asyncio.Future[Call] = self._loop.create_future()
        now_s = self.now_s
        self._waiting[job] = pipeline, now_s, turn
        self._events.put_nowait(Ask(job, pipeline, now_s, session))
        try:
            return await turn
        except asyncio.CancelledError:
            if self._waiting.pop(job, None) is not None:
                self._events.put_nowait(Leave(job))
            elif not turn.cancelled() and turn.exception() is None:  # it came in the very turn that cancelled the wait
                self.left(turn.result(), Reply("cancelled", end_s=self.now_s))
            raise

    def left(self, call: Call, reply: Reply) -> None:
        """Say that a call has let go of its server, and how it went."""
        self._events.put_nowait((Cancelled if reply.outcome == "cancelled" else Done)(call.id, reply))

    def end(self) -> None:
        """Let nothing more through: the calls that wait are told. What is in flight goes on."""
        self._ended = True
        self._send_away(list(self._waiting), Closing())

    def reach(self, queue: int, *, up: bool) -> None:
        """Say that a server cannot be reached any more, or can be again; calls that wait for no other are told."""
        if up is not (queue in self._down):
            return
        (self._down.discard if up else self._down.add)(queue)
        self._events.put_nowait(Reach(queue, up))
        lost = [job for job, (pipeline, _, _) in self._waiting.items() if not self._may_go[pipeline] - self._down]
        self._send_away(lost, Unreachable())

    def _handle(self, events: list[Event]) -> None:
        self._carry_out(self.engine.handle(events, self.now_s))

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(call):
                    waited = self._waiting.pop(call.job, None)
                    if waited is None or waited[2].done():  # it has gone in this very turn of the loop
                        self.left(call, Reply("cancelled", end_s=self.now_s))
                    else:
                        self._waits_s.append(self.now_s - waited[1])
                        waited[2].set_result(call)
                case At(at_s, event):
                    self._loop.call_at(self._start_s + at_s, self._events.put_nowait, event)
                case Record(record):
                    self._on_record(record)

    def _send_away(self, jobs: list[int], error: Exception) -> None:
        for job in jobs:
            self._events.put_nowait(Leave(job))
        self._tell(jobs, error)

    def _refuse(self, jobs: list[int], error: Exception) -> None:
        self._tell(jobs, error)
        self._handle([Leave(job) for job in jobs])

    def _tell(self, jobs: list[int], error: Exception) -> None:
        for job in jobs:
            _, _, turn = self._waiting.pop(job)
            if not turn.done():
                turn.set_exception(error)
