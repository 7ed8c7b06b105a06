"""Routing: how many calls are in flight on a server (cap) and who goes first (order).

A cap is a function of a lane's state to the number of calls that may start now; an order is a function of a ready call
to a sort key, smallest first. Both see only what the harness really knows: its own counts and finished calls.
To add one: write the function with its definition as docstring, and name it in the dict.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from harness.core.events import Call
from harness.core.plan import Lane
from harness.core.records import Path

__all__ = ["CAPS", "ORDERS", "LaneState"]


class LaneState:
    """One server's queue while a trial runs."""

    __slots__ = ("_heap", "_waiting", "feeding", "in_flight", "lane")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.in_flight = 0  # started and not yet known to have left the server
        self.feeding = 0  # running calls and tool delays, anywhere, with a descendant placed here
        self._waiting: dict[int, Call] = {}  # by id, in the order of becoming ready
        self._heap: list[tuple[float, int]] = []  # (order key, id); ids no longer in _waiting are skipped

    def add(self, call: Call, path: Path) -> None:
        """Queue a call that became ready."""
        self._waiting[call.id] = call
        heappush(self._heap, (ORDERS[self.lane.order](call, path, self.lane), call.id))

    def drop(self, call_id: int) -> Call:
        """Take a call out of the queue without starting it."""
        return self._waiting.pop(call_id)

    def next(self) -> Call:
        """Take the call that goes first; IndexError where none waits."""
        while True:
            _, call_id = heappop(self._heap)
            call = self._waiting.pop(call_id, None)
            if call is not None:
                return call

    @property
    def ready(self) -> int:
        """How many calls wait here."""
        return len(self._waiting)

    def may_start(self, now_s: float) -> int:
        """How many of them may start now."""
        return min(CAPS[self.lane.cap](self, now_s), len(self._waiting)) if self._waiting else 0

    def wake_s(self) -> float | None:
        """When this lane must be looked at again even if nothing happens; None for never."""
        if self.lane.cap != "waves" or not self._waiting or self.in_flight:
            return None
        return next(iter(self._waiting.values())).ready_s + self.lane.max_wait_s


Cap = Callable[[LaneState, float], int]
Order = Callable[[Call, Path, Lane], float]


def _serial(state: LaneState, now_s: float) -> int:
    """One call in flight on the server, whoever it belongs to."""
    return 1 - state.in_flight


def _window(state: LaneState, now_s: float) -> int:
    """At most `slots` in flight (or `max_in_flight`), refilled as calls end."""
    return (state.lane.max_in_flight or state.lane.slots) - state.in_flight


def _waves(state: LaneState, now_s: float) -> int:
    """Start a wave when nothing is in flight here and `slots` calls are ready, or nothing that runs leads here, or the
    oldest has waited `max_wait_s`. Queued calls, arrivals and think times do not hold a wave back."""
    if state.in_flight:
        return 0
    wake_s = state.wake_s()
    overdue = wake_s is not None and now_s >= wake_s
    return state.lane.slots if state.ready >= state.lane.slots or not state.feeding or overdue else 0


def _unbounded(state: LaneState, now_s: float) -> int:
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
