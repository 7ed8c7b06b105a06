"""When calls are to be given up. A call that has ended stays here until its time comes, or until there are many."""

from __future__ import annotations

from collections.abc import Container, Sized
from heapq import heappop, heappush
from typing import Protocol

__all__ = ["Deadlines"]


class _Calls(Container[int], Sized, Protocol):
    """The calls that are in flight, by id."""


class Deadlines:
    """A heap of times; `heap[0]` is the earliest, perhaps of a call that has ended."""

    __slots__ = ("heap",)

    def __init__(self) -> None:
        self.heap: list[tuple[float, int]] = []  # (time, call)

    def add(self, at_s: float, call: int, in_flight: _Calls) -> None:
        """Note when a call is to be given up."""
        heappush(self.heap, (at_s, call))
        if len(self.heap) > 4 * len(in_flight) + 1000:  # nearly all belong to calls that have ended
            self.heap = sorted(each for each in self.heap if each[1] in in_flight)

    def passed(self, now_s: float, in_flight: _Calls) -> list[int]:
        """Return the calls in flight whose time has come, and forget them."""
        found = []
        while self.heap and (self.heap[0][0] <= now_s or self.heap[0][1] not in in_flight):
            _, call = heappop(self.heap)
            if call in in_flight:
                found.append(call)
        return found
