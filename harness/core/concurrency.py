"""Concurrency policies: how many of the calls that wait for a server may start now.

A policy is a value (`Concurrency`) that holds all that is known of it. It sees what the harness really knows: its own
counts. To add one: write its function, its docstring being its definition and source, and put it into the dict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from harness.core.policy import BUILT_IN, PolicySource, asked, made, refuse

__all__ = ["CONCURRENCY", "SERIAL", "UNBOUNDED", "WINDOW", "Concurrency", "QueueSettings", "QueueView", "Variant"]

EVERY_LIMIT = 8  # up to that number of slots a search tries every limit, beyond that powers of two


class QueueSettings(Protocol):
    """What a policy may know of a server and of the candidate's settings for it."""

    @property
    def slots(self) -> int:
        """Calls that the server generates at the same time."""

    @property
    def limit(self) -> int | None:
        """The candidate's `limit`; None = it sets none."""

    @property
    def reserve(self) -> int:
        """The candidate's `reserve`: slots that batch calls leave to interactive ones."""

    @property
    def max_wait_s(self) -> float:
        """The candidate's `max_wait_s`: seconds that the oldest call of a wave waits at most."""


class QueueView(Protocol):
    """What a policy may see of a server's queue while a trial runs."""

    @property
    def queue(self) -> QueueSettings:
        """The server and its settings."""

    in_flight: int  # calls started and not yet known to have left the server
    feeding: int  # running calls and tools, anywhere, with a descendant placed here; counted where `sees_coming`

    @property
    def ready(self) -> int:
        """Calls that wait."""

    @property
    def oldest_ready_s(self) -> float:
        """When the call that waits longest became ready, in seconds of the trial; only to be asked where one waits."""


class Variant(NamedTuple):
    """One setting of a policy that a search tries."""

    limit: int | None = None
    every_scheduling: bool = True  # with each scheduling policy, or first come, first served alone


@dataclass(frozen=True, repr=False)
class Concurrency:
    """All that is known of one concurrency policy.

    Its contract: `start` returns a whole number, 0 or more, that never takes the calls in flight above `limit`. With
    nothing in flight and a call waiting it starts at least one, or `wake_s` says when to ask again.
    """

    # The most calls in flight on a server (1 or more); None = no limit. Printed settings enforce it.
    limit: Callable[[QueueSettings], int | None]
    # How many may start now, given the queue and the trial's time in seconds; None = as many as the limit leaves.
    start: Callable[[QueueView, float], int] | None = None
    wake_s: Callable[[QueueView], float | None] | None = None  # when to ask `start` again even if nothing happens
    # The most batch calls among those in flight (1 or more); interactive calls may overtake batch calls that wait.
    batch_limit: Callable[[QueueSettings], int] | None = None
    simplicity: int = 5  # how simple it is to run, the lower the simpler: decides between candidates that tie
    settings: tuple[str, ...] = ()  # of a candidate's settings those that it reads: limit, reserve, max_wait_s
    for_both_paths: bool = False  # does something only where batch and interactive calls share a server
    one_at_a_time: bool = False  # uses one slot: more of them would be idle
    together: bool = False  # a wave starts whole, and code waits for all of it before the next
    sees_coming: bool = False  # reads `feeding`
    same_as: Callable[[QueueSettings], str] | None = None  # names a simpler policy that does the same there; "" = none
    tried: Callable[[int], tuple[Variant, ...]] | None = None  # what a search tries, by slots; None = it alone
    name: str = ""
    about: str = ""  # what it does, in a sentence or two
    source: PolicySource = BUILT_IN

    def __repr__(self) -> str:
        return f"Concurrency({self.name!r})"

    def most(self, queue: QueueSettings) -> int | None:
        """Return the most calls in flight on a server; None where there is no limit.

        Raises PolicyError where the policy gives no whole number of 1 or more.
        """
        limit = asked(self, self.limit, queue)
        return None if limit is None else self._checked(limit, "limit")

    def most_batch(self, queue: QueueSettings) -> int | None:
        """Return the most batch calls in flight where that is another number; as `most` does."""
        if self.batch_limit is None:
            return None
        return self._checked(asked(self, self.batch_limit, queue), "batch_limit")

    @property
    def only_limits(self) -> bool:
        """Whether it does nothing but limit how many calls are in flight."""
        return self.start is None and self.batch_limit is None

    def _checked(self, limit: object, what: str) -> int:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            refuse(self, f"expected a `{what}` of 1 or more calls, found {limit!r}")
        return limit


def _serial(queue: QueueSettings) -> int:
    """One call in flight on the server, of any job."""
    return 1


def _window(queue: QueueSettings) -> int:
    """At most `slots` calls in flight (or `limit`), refilled as calls end."""
    return queue.limit or queue.slots


def _windows(slots: int) -> tuple[Variant, ...]:
    fewer = [Variant(n) for n in range(2, slots) if slots <= EVERY_LIMIT or n & (n - 1) == 0]
    own = [Variant()] if slots > 1 else []
    return (*fewer, *own, Variant(2 * slots, every_scheduling=False))


def _wave(queue: QueueSettings) -> int:
    """Start a wave when nothing is in flight and as many calls as slots are ready, or nothing that runs leads here, or
    the oldest has waited `max_wait_s`. Queued calls, arrivals and think times do not hold a wave back.
    """
    return queue.slots


def _start_wave(view: QueueView, now_s: float) -> int:
    if view.in_flight:
        return 0
    wake_s = _wave_overdue_s(view)
    overdue = wake_s is not None and now_s >= wake_s
    return view.queue.slots if view.ready >= view.queue.slots or not view.feeding or overdue else 0


def _wave_overdue_s(view: QueueView) -> float | None:
    if view.in_flight or not view.ready:
        return None
    return view.oldest_ready_s + view.queue.max_wait_s


def _unbounded(queue: QueueSettings) -> None:
    """Send everything at once; the server's own queue decides (what most frameworks do by default)."""


def _reserve(queue: QueueSettings) -> int:
    """A window in which `reserve` slots are kept for interactive calls, which may take every slot.

    At most `slots - reserve` calls (but at least one, or none would ever start) may be batch calls. A threshold policy:
    one class of calls is limited to fewer servers than there are (Ross and Tsang, "The stochastic knapsack problem",
    1989). Interactive calls overtake batch calls that may not start; else the scheduling policy decides. Not
    work-conserving.
    """
    return queue.limit or queue.slots


def _serial_on_one_slot(queue: QueueSettings) -> str:
    return "serial" if queue.slots == 1 else ""


WRITTEN = {
    "serial": Concurrency(_serial, simplicity=0, one_at_a_time=True),
    "window": Concurrency(_window, simplicity=1, settings=("limit",), tried=_windows),
    "waves": Concurrency(
        _wave,
        start=_start_wave,
        wake_s=_wave_overdue_s,
        simplicity=3,
        settings=("max_wait_s",),
        together=True,
        sees_coming=True,
        same_as=_serial_on_one_slot,
    ),
    "unbounded": Concurrency(
        _unbounded,
        simplicity=4,
        # Nothing waits in front of the server, so it makes no difference who would go first.
        tried=lambda slots: (Variant(every_scheduling=False),),
    ),
    "reserve": Concurrency(
        _reserve,
        batch_limit=lambda queue: max(1, (queue.limit or queue.slots) - queue.reserve),
        simplicity=2,
        settings=("limit", "reserve"),
        for_both_paths=True,
        same_as=_serial_on_one_slot,
    ),
}
CONCURRENCY = {name: made(Concurrency, "limit", name, policy) for name, policy in WRITTEN.items()}
SERIAL, WINDOW, UNBOUNDED = CONCURRENCY["serial"], CONCURRENCY["window"], CONCURRENCY["unbounded"]
