"""What the engine is told about one candidate: a lane per server, and the lane of every node."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Lane", "Plan", "Pool", "lanes_of"]


class Lane(NamedTuple):
    """One server's queue: its cap and its order, over all pipelines placed on it."""

    server: str
    slots: int
    cap: str = "window"  # a key of routing.CAPS
    order: str = "fifo"  # a key of routing.ORDERS
    max_in_flight: int | None = None  # window, reserve: instead of `slots`
    max_wait_s: float = 1.0  # waves
    ageing_s: float = 30.0  # interactive-first, shortest-first, critical-path-first
    reserve: int = 1  # reserve: slots that batch calls leave to interactive ones


class Pool(NamedTuple):
    """Several lanes, any of which may take a call."""

    choice: str  # a key of places.PLACES
    lanes: tuple[int, ...]


class Plan(NamedTuple):
    """One candidate: `place[p][n]` is the lane of node n of pipeline p (indices), or its pool, read for agents only."""

    name: str
    lanes: tuple[Lane, ...]
    place: tuple[tuple[int | Pool, ...], ...]


def lanes_of(place: int | Pool) -> tuple[int, ...]:
    """Return the lanes that calls placed so can go to."""
    return place.lanes if isinstance(place, Pool) else (place,)
