"""Caps: how many of the calls that wait for a server may start now.

A cap is a function of a lane's state to a number of calls. It sees only what the harness really knows: its own counts.
To add one: write the function, its docstring being its definition and source, and name it in the dict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.core.plan import ServerQueue

if TYPE_CHECKING:
    from harness.core.routing import QueueState

__all__ = ["CONCURRENCY", "Cap", "batch_limit", "limit"]

Cap = Callable[["QueueState[Any, Any]", float], int]


def limit(queue: ServerQueue) -> int | None:
    """Return the most calls that a lane's cap lets be in flight; None where there is no limit."""
    if queue.concurrency == "unbounded":
        return None
    if queue.concurrency == "serial":
        return 1
    return (queue.concurrency != "waves" and queue.limit) or queue.slots


def batch_limit(queue: ServerQueue) -> int | None:
    """Return the most batch calls in flight where that is another number; at least one, or they would never start."""
    if queue.concurrency != "reserve":
        return None
    return max(1, (queue.limit or queue.slots) - queue.reserve)


def _serial(state: QueueState[Any, Any], now_s: float) -> int:
    """One call in flight on the server, whoever it belongs to."""
    return 1 - state.in_flight


def _window(state: QueueState[Any, Any], now_s: float) -> int:
    """At most `slots` in flight (or `max_in_flight`), refilled as calls end."""
    return (state.queue.limit or state.queue.slots) - state.in_flight


def _waves(state: QueueState[Any, Any], now_s: float) -> int:
    """Start a wave when nothing is in flight here and `slots` calls are ready, or nothing that runs leads here, or the
    oldest has waited `max_wait_s`. Queued calls, arrivals and think times do not hold a wave back."""
    if state.in_flight:
        return 0
    wake_s = state.wake_s()
    overdue = wake_s is not None and now_s >= wake_s
    return state.queue.slots if state.ready >= state.queue.slots or not state.feeding or overdue else 0


def _unbounded(state: QueueState[Any, Any], now_s: float) -> int:
    """Send everything at once; the server's own queue decides (what most frameworks do by default)."""
    return state.ready


def _reserve(state: QueueState[Any, Any], now_s: float) -> int:
    """A window in which at most `slots - reserve` calls (but at least one) may be batch calls.

    So `reserve` slots stay free for interactive calls, which may take every slot. A threshold policy: one class of
    calls is limited to fewer servers than there are (Ross and Tsang, "The stochastic knapsack problem", 1989).
    Interactive calls overtake batch calls that may not start; else the order decides. Not work-conserving.
    """
    return (state.queue.limit or state.queue.slots) - state.in_flight


CONCURRENCY: dict[str, Cap] = {
    "serial": _serial,
    "window": _window,
    "waves": _waves,
    "unbounded": _unbounded,
    "reserve": _reserve,
}
