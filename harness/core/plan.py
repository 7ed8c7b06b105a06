"""What the engine is told about one candidate: a queue for each server, and the queue of every node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from harness.core.concurrency import WINDOW, Concurrency
from harness.core.placement import Placement
from harness.core.policy import seen_as
from harness.core.scheduling import FIFO, Scheduling

__all__ = ["Plan", "Pool", "ServerQueue", "queues_of", "simplicity_of"]


class ServerQueue(NamedTuple):
    """The queue in front of one server: its policies and their settings, over all pipelines placed on it."""

    server: str
    slots: int
    concurrency: Concurrency = WINDOW
    scheduling: Scheduling = FIFO
    limit: int | None = None  # window, reserve: the most calls in flight, instead of `slots`
    max_wait_s: float = 1.0  # waves
    ageing_s: float = 30.0  # interactive-first, shortest-first, critical-path-first
    reserve: int = 1  # reserve: slots that batch calls leave to interactive ones

    @property
    def most(self) -> int | None:
        """The most calls in flight; None where there is no limit."""
        return self.concurrency.most(self)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data: policies by name, and what their limits come to here."""
        named = {**self._asdict(), "concurrency": self.concurrency.name, "scheduling": self.scheduling.name}
        return {**named, "most": self.most, "most_batch": self.most_batch}

    @property
    def simplicity(self) -> tuple[int, int, int]:
        """How simple its policies are to run, the lower the simpler: see `simplicity_of`."""
        return (
            self.concurrency.simplicity,
            int(not self.scheduling.first_come),
            int(self.limit not in (None, self.slots)),
        )

    @property
    def most_batch(self) -> int | None:
        """The most batch calls in flight where that is another number."""
        return self.concurrency.most_batch(self)


seen_as(ServerQueue, "server", ("slots", "limit", "reserve", "max_wait_s", "ageing_s"))


class Pool(NamedTuple):
    """Several servers, any of which may take a call."""

    policy: Placement
    queues: tuple[int, ...]


class Plan(NamedTuple):
    """One candidate. `placement[p][n]` is the queue of node n of pipeline p, or its pool; read for agents only."""

    name: str
    queues: tuple[ServerQueue, ...]
    placement: tuple[tuple[int | Pool, ...], ...]


class HasSimplicity(Protocol):
    """A server as `simplicity_of` looks at it."""

    @property
    def slots(self) -> int:
        """Calls that it generates at the same time."""

    @property
    def simplicity(self) -> tuple[int, int, int]:
        """Of its concurrency policy, whether it schedules, whether it is sent another number of calls than slots."""


def simplicity_of(servers: Sequence[HasSimplicity], levers: int = 0) -> tuple[int, ...]:
    """Rank a candidate by its servers, the lower the simpler to run.

    Fewer servers, fewer slots, the simpler concurrency policy, first come, first served before any other order, as many
    calls in flight as slots before any other number, fewer levers (of all servers, those that are not as usual).
    """
    each = [server.simplicity for server in servers]
    return (
        len(servers),
        sum(server.slots for server in servers),
        max((concurrency for concurrency, _, _ in each), default=0),
        sum(scheduling for _, scheduling, _ in each),
        sum(other_limit for _, _, other_limit in each),
        levers,
    )


def queues_of(placement: int | Pool) -> tuple[int, ...]:
    """Return the queues that calls placed so can go to."""
    return placement.queues if isinstance(placement, Pool) else (placement,)
