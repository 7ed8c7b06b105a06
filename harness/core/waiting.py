"""What waits in a queue, by its job and by its age: kept from the first question on, as most queues are never asked."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from harness.core.events import Call

__all__ = ["MOST_GONE", "Ages", "OfJobs"]

MOST_GONE = 1000  # calls that wait no more: beyond that they are cleared away


class Ages:
    """When the calls that wait became ready. One that waits no more is forgotten when it comes to the front."""

    __slots__ = ("_gone", "_heap")

    def __init__(self, waiting: Iterable[tuple[float, int]]) -> None:
        self._heap = list(waiting)  # (ready_s, call)
        heapify(self._heap)
        self._gone: set[int] = set()

    def add(self, ready_s: float, call: int) -> None:
        """Note a call that begins to wait."""
        if call in self._gone:
            self._gone.discard(call)  # it is back, and still in the heap
        else:
            heappush(self._heap, (ready_s, call))

    def remove(self, call: int) -> None:
        """Note that a call waits no more."""
        gone = self._gone
        gone.add(call)
        if len(gone) > MOST_GONE and 2 * len(gone) > len(self._heap):
            self._heap = [each for each in self._heap if each[1] not in gone]
            heapify(self._heap)
            gone.clear()

    @property
    def oldest_s(self) -> float:
        """When the call that waits longest became ready; only to be asked where one waits."""
        heap, gone = self._heap, self._gone
        while heap[0][1] in gone:
            gone.discard(heappop(heap)[1])
        return heap[0][0]


class OfJobs:
    """Which calls of each job wait. Jobs are told apart by what they are, not by what is in them."""

    __slots__ = ("_calls", "_job")

    def __init__(self, waiting: Iterable[tuple[Call, object]]) -> None:
        self._calls: dict[int, dict[int, Call]] = {}  # by job
        self._job: dict[int, int] = {}  # by call
        for call, job in waiting:
            self.add(call, job)

    def add(self, call: Call, job: object) -> None:
        """Note a call that begins to wait."""
        self._job[call[0]] = id(job)
        self._calls.setdefault(id(job), {})[call[0]] = call

    def remove(self, call: int) -> None:
        """Note that a call waits no more."""
        job = self._job.pop(call)
        calls = self._calls[job]
        del calls[call]
        if not calls:
            del self._calls[job]

    def of(self, job: object) -> dict[int, Call]:
        """Return the calls of a job that wait."""
        return self._calls.get(id(job), {})
