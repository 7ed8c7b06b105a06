"""What the engine is told about one candidate: a lane per server, and the lane of every node."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Plan", "Pool", "ServerQueue", "queues_of"]


class ServerQueue(NamedTuple):
    """One server's queue: its cap and its order, over all pipelines placed on it."""

    server: str
    slots: int
    concurrency: str = "window"  # a key of routing.CAPS
    scheduling: str = "fifo"  # a key of routing.ORDERS
    limit: int | None = None  # window, reserve: instead of `slots`
    max_wait_s: float = 1.0  # waves
    ageing_s: float = 30.0  # interactive-first, shortest-first, critical-path-first
    reserve: int = 1  # reserve: slots that batch calls leave to interactive ones


class Pool(NamedTuple):
    """Several lanes, any of which may take a call."""

    choice: str  # a key of places.PLACES
    queues: tuple[int, ...]


class Plan(NamedTuple):
    """One candidate: `place[p][n]` is the lane of node n of pipeline p (indices), or its pool, read for agents only."""

    name: str
    queues: tuple[ServerQueue, ...]
    placement: tuple[tuple[int | Pool, ...], ...]


def queues_of(placement: int | Pool) -> tuple[int, ...]:
    """Return the lanes that calls placed so can go to."""
    return placement.queues if isinstance(placement, Pool) else (placement,)
