"""Routing: how many calls are in flight on a server (cap) and who goes first (order).

A cap is a function of a lane's state to the number of calls that may start now; an order is a function of a ready call
to a sort key, smallest first. Both see only what the harness really knows: its own counts and finished calls.
To add one: write the function with its definition as docstring, and name it in the dict.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

from harness.core.events import Call
from harness.core.plan import Lane
from harness.core.records import Path

__all__ = ["CAPS", "ORDERS", "LaneState"]

J = TypeVar("J")  # whatever stands for a job; never looked into


class LaneState(Generic[J]):
    """One server's queue while a trial runs."""

    __slots__ = ("_cap", "_key", "_priorities", "feeding", "heap", "in_flight", "lane", "wakes")

    def __init__(self, lane: Lane, priorities: tuple[tuple[int, ...], ...] | None = None) -> None:
        self.lane = lane
        self._priorities = priorities  # by pipeline and node; None where all are 0
        self.in_flight = 0  # started and not yet known to have left the server
        self.feeding = 0  # running calls and tool delays, anywhere, with a descendant placed here; for waves only
        self._cap = CAPS[lane.cap]
        self._key = ORDERS[lane.order]
        self.wakes = lane.cap == "waves"  # whether `wake_s` can ever have an answer
        # (order key, id, call, job): ties are first-in-first-out. With priorities the key is (-priority, order key).
        self.heap: list[tuple[Any, int, Call, J]] = []

    def add(self, call: Call, path: Path, job: J) -> None:
        """Queue a call of a job that became ready."""
        key: Any = self._key(call, path, self.lane)
        if self._priorities is not None:
            key = (-self._priorities[call[1]][call[3]], key)
        heappush(self.heap, (key, call[0], call, job))

    def drop(self, job: J, calls: set[int] | None) -> list[Call]:
        """Take a job's calls (None: all of them) out of the queue without starting them; return them."""
        dropped = [item for item in self.heap if item[3] is job and (calls is None or item[1] in calls)]
        if dropped:
            gone = {item[1] for item in dropped}
            self.heap = [item for item in self.heap if item[1] not in gone]
            heapify(self.heap)
        return [item[2] for item in dropped]

    def take(self, now_s: float) -> list[tuple[Any, int, Call, J]]:
        """Take what starts now, who goes first first, and count it as in flight; not to be asked where none waits."""
        heap = self.heap
        number = self._cap(self, now_s)
        if number > len(heap):
            number = len(heap)
        elif number <= 0:
            return []
        self.in_flight += number
        if number == 1:
            return [heappop(heap)]
        return [heappop(heap) for _ in range(number)]

    @property
    def ready(self) -> int:
        """How many calls wait here."""
        return len(self.heap)

    def wake_s(self) -> float | None:
        """When this lane must be looked at again even if nothing happens; None for never."""
        if not self.wakes or not self.heap or self.in_flight:
            return None
        return min(item[2].ready_s for item in self.heap) + self.lane.max_wait_s


Cap = Callable[[LaneState[Any], float], int]
Order = Callable[[Call, Path, Lane], float]


def _serial(state: LaneState[Any], now_s: float) -> int:
    """One call in flight on the server, whoever it belongs to."""
    return 1 - state.in_flight


def _window(state: LaneState[Any], now_s: float) -> int:
    """At most `slots` in flight (or `max_in_flight`), refilled as calls end."""
    return (state.lane.max_in_flight or state.lane.slots) - state.in_flight


def _waves(state: LaneState[Any], now_s: float) -> int:
    """Start a wave when nothing is in flight here and `slots` calls are ready, or nothing that runs leads here, or the
    oldest has waited `max_wait_s`. Queued calls, arrivals and think times do not hold a wave back."""
    if state.in_flight:
        return 0
    wake_s = state.wake_s()
    overdue = wake_s is not None and now_s >= wake_s
    return state.lane.slots if state.ready >= state.lane.slots or not state.feeding or overdue else 0


def _unbounded(state: LaneState[Any], now_s: float) -> int:
    """Send everything at once; the server's own queue decides (what most frameworks do by default)."""
    return state.ready


def _fifo(call: Call, path: Path, lane: Lane) -> float:
    """The call that became ready first."""
    return call.ready_s


def _interactive_first(call: Call, path: Path, lane: Lane) -> float:
    """Interactive calls overtake waiting batch calls, unless one of those has waited `ageing_s` longer.

    Ageing as a head start keeps the key constant, so the queue is a heap and never re-sorted.
    """
    return call.ready_s - (lane.ageing_s if path == "interactive" else 0.0)


CAPS: dict[str, Cap] = {"serial": _serial, "window": _window, "waves": _waves, "unbounded": _unbounded}
ORDERS: dict[str, Order] = {"fifo": _fifo, "interactive-first": _interactive_first}
