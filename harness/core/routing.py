"""Routing: the queue of one server; its concurrency policy lets calls go and its scheduling policy says which.

Where a call may go is the third choice (`harness.core.placement`). All see only what the harness really knows: its own
counts, finished calls, and what the workload expects.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
from operator import lt
from typing import Any, Final, Generic, TypeVar

from harness.core.events import Call
from harness.core.plan import ServerQueue
from harness.core.policy import asked, in_order, refuse, seen_as
from harness.core.scheduling import JobView, NodeView
from harness.core.waiting import MOST_GONE, Ages, OfJobs
from harness.units import count

__all__ = ["Item", "QueueState", "SelectiveQueue"]

J = TypeVar("J", bound=JobView)  # what stands for a job; only the scheduling policy looks into it
P = TypeVar("P", bound=NodeView)  # and for a node
NO_LIMIT: Final = 1 << 62  # more calls than there ever are

# (key, id, call, job, node): ties are first-in-first-out. With priorities the key is (-priority, the policy's key).
Item = tuple[Any, int, Call, J, P]


class QueueState(Generic[J, P]):
    """One server's queue while a trial runs."""

    __slots__ = (
        "_ages",
        "_gone",
        "_key",
        "_most",
        "_of_jobs",
        "_prioritised",
        "_start",
        "batch_heap",
        "closed",
        "feeding",
        "heap",
        "in_flight",
        "queue",
        "wakes",
    )

    def __init__(self, queue: ServerQueue, prioritised: bool = False) -> None:
        self.queue = queue
        self._prioritised = prioritised  # whether any node that is placed here has a priority
        self.in_flight = 0  # started and not yet known to have left the server
        self.feeding = 0  # running calls and tool delays, anywhere, with a descendant placed here
        self._start = queue.concurrency.start
        self._most = queue.most or NO_LIMIT
        scheduling = queue.scheduling
        self._key = in_order(scheduling.key) if scheduling.source.where else scheduling.key  # a user's may return any
        self.wakes = queue.concurrency.wake_s is not None  # whether `wake_s` can ever have an answer
        self.closed = False  # its server cannot be reached
        self.heap: list[Item[J, P]] = []
        self.batch_heap: list[Item[J, P]] = []  # batch calls, where they have a limit of their own
        self._gone: set[int] = set()  # calls in the heaps that wait no more: dropped, or taken by another server
        self._ages: Ages | None = None  # None: nobody has asked
        self._of_jobs: OfJobs | None = None

    def add(self, call: Call, node: P, job: J) -> None:
        """Queue a call of a job that became ready."""
        try:
            key: Any = self._key(call, node, job, self.queue)
            if self._prioritised:
                key = (-node.priority, key)
            heappush(self.heap, (key, call[0], call, job, node))
            if self._ages is not None or self._of_jobs is not None:
                self._note(call, job)
        except Exception as error:  # noqa: BLE001 - a user's code: whatever it does is reported with its name
            refuse(self.queue.scheduling, error)

    def reach(self, *, up: bool) -> None:
        """Note whether its server can be reached; until then nothing starts here, whatever the policy says."""
        concurrency = self.queue.concurrency
        self.closed = not up
        self._start = concurrency.start if up else None
        self._most = (self.queue.most or NO_LIMIT) if up else 0
        self.wakes = up and concurrency.wake_s is not None

    def drop(self, job: J, calls: set[int] | None) -> list[Call]:
        """Take a job's calls (None: all of them) out of the queue without starting them; return them."""
        if not self.ready:
            return []
        if self._of_jobs is None:
            self._of_jobs = OfJobs((item[2], item[3]) for item in self.waiting())
        dropped = [call for call in self._of_jobs.of(job).values() if calls is None or call[0] in calls]
        for call in dropped:
            self._forget(call[0])
            self._gone.add(call[0])
        self._clear()
        return dropped

    def take(self, now_s: float) -> list[Item[J, P]]:
        """Take what starts now, who goes first first, and count it as in flight; not to be asked where none waits."""
        heap = self.heap
        number = self._most - self.in_flight if self._start is None else self._asked(now_s)
        if number > len(heap):
            number = len(heap)
        elif number <= 0:
            return []
        if self._gone or self._ages is not None or self._of_jobs is not None:
            taken = self._taken(number)
        elif number == 1:
            taken = [heappop(heap)]
        else:
            taken = [heappop(heap) for _ in range(number)]
        self.in_flight += len(taken)
        return taken

    def left(self, node: P) -> None:
        """Note that a call of this node has left the server."""
        self.in_flight -= 1

    @property
    def has_room(self) -> bool:
        """Whether its limit leaves room for a call, where nothing but a limit decides."""
        return self._start is not None or self.in_flight < self._most

    @property
    def ready(self) -> int:
        """How many calls wait here."""
        return len(self.heap) - len(self._gone)

    def waiting(self) -> Iterable[Item[J, P]]:
        """Return what waits here, in no order."""
        return [item for item in self.heap if item[1] not in self._gone]

    @property
    def oldest_ready_s(self) -> float:
        """When the call that waits longest became ready; only to be asked where one waits."""
        if self._ages is None:
            self._ages = Ages((item[2].ready_s, item[1]) for item in self.waiting())
        return self._ages.oldest_s

    def wake_s(self) -> float | None:
        """When this queue must be looked at again even if nothing happens; None for never."""
        wake_s = self.queue.concurrency.wake_s
        if wake_s is None or self.closed:
            return None
        until_s: float | None = asked(self.queue.concurrency, wake_s, self)
        return until_s

    def _asked(self, now_s: float) -> int:
        """Return how many of the calls that wait may start, as the concurrency policy says; hold it to its contract."""
        policy, ready, start = self.queue.concurrency, self.ready, self._start
        if not ready or start is None:  # another server has taken the last that waited here too
            return 0
        number = asked(policy, start, self, now_s)
        if number == 0 and self.in_flight:
            return 0
        server = self.queue.server
        if not isinstance(number, int) or number < 0:
            refuse(policy, f"expected `start` to return a whole number, 0 or more, found {number!r}")
        if not number and self.wake_s() is None:
            found = f'`start` returned 0 and `wake_s` no time, with nothing in flight on "{server}" and {ready} waiting'
            refuse(policy, f"nothing would ever start again: {found}")
        number = min(number, ready)
        if self.in_flight + number > self._most:
            found = f"{number} more beside {self.in_flight}"
            most = count(self._most, "call")
            refuse(policy, f'expected at most {most} in flight on "{server}", its `limit`, found {found}')
        return number

    def take_out(self, calls: set[int]) -> None:
        """Forget calls that wait here, as if they had never come."""
        gone = calls | self._gone
        self._gone.clear()
        self.heap = [item for item in self.heap if item[1] not in gone]
        self.batch_heap = [item for item in self.batch_heap if item[1] not in gone]
        heapify(self.heap)
        heapify(self.batch_heap)
        if calls:
            self._ages = self._of_jobs = None  # to be made again where somebody asks

    def _taken(self, number: int) -> list[Item[J, P]]:
        """Take the first of those that still wait."""
        heap, gone = self.heap, self._gone
        taken: list[Item[J, P]] = []
        while heap and len(taken) < number:
            item = heappop(heap)
            if item[1] in gone:
                gone.discard(item[1])
            else:
                self._forget(item[1])
                taken.append(item)
        self._clear()
        return taken

    def _note(self, call: Call, job: J) -> None:
        """Note a call that begins to wait, for those who ask."""
        if self._ages is not None:
            self._ages.add(call.ready_s, call[0])
        if self._of_jobs is not None:
            self._of_jobs.add(call, job)

    def _forget(self, call: int) -> None:
        """Note that a call waits no more, for those who ask."""
        if self._ages is not None:
            self._ages.remove(call)
        if self._of_jobs is not None:
            self._of_jobs.remove(call)

    def _clear(self) -> None:
        """Clear away what waits no more where there is much of it, or nothing else."""
        gone, all_of_them = len(self._gone), len(self.heap) + len(self.batch_heap)
        if gone and (gone == all_of_them or (gone > MOST_GONE and 2 * gone > all_of_them)):
            self.take_out(set())


seen_as(QueueState, "queue", ("in_flight", "ready", "feeding", "oldest_ready_s", "queue"))


class SelectiveQueue(QueueState[J, P]):
    """A queue whose first call need not be the next to start.

    Another server may have taken a call that waits here too; batch calls may have to leave slots to interactive ones;
    keys may have grown. A key is put right when its call comes to the front: as none ever shrinks, the call in front
    is the first as soon as its own key is right. Keys that depend on the time are all put right, before each start.

    Where calls may wait on several servers (`shared`), one is taken at a time, or a whole wave.
    """

    __slots__ = ("_batch", "_batch_limit", "_moves", "_one_by_one", "_timed")

    def __init__(self, queue: ServerQueue, prioritised: bool = False, shared: bool = False) -> None:
        super().__init__(queue, prioritised)
        self._one_by_one = shared and not queue.concurrency.together
        self._timed = queue.scheduling.timed
        self._moves = queue.scheduling.grows and not self._timed
        self._batch_limit = queue.most_batch
        self._batch = 0  # batch calls in flight

    def add(self, call: Call, node: P, job: J) -> None:
        """Queue a call of a job that became ready."""
        try:
            key = self._key_of(call, node, job, call[7])
            heappush(self._heap_of(node), (key, call[0], call, job, node))
            if self._ages is not None or self._of_jobs is not None:
                self._note(call, job)
        except Exception as error:  # noqa: BLE001 - as above
            refuse(self.queue.scheduling, error)

    def take(self, now_s: float) -> list[Item[J, P]]:
        """Take what starts now, who goes first first, and count it as in flight; nothing where none may start."""
        number = self._most - self.in_flight if self._start is None else self._asked(now_s)
        if self._one_by_one and number > 1:
            number = 1
        if self._timed and number > 0:
            self._put_right(now_s)
        taken: list[Item[J, P]] = []
        while len(taken) < number and (item := self._first()) is not None:
            heappop(self._heap_of(item[4]))
            self.in_flight += 1
            self._batch += item[4].path == "batch"
            self._forget(item[1])
            taken.append(item)
        return taken

    def left(self, node: P) -> None:
        """Note that a call of this node has left the server."""
        self.in_flight -= 1
        self._batch -= node.path == "batch"

    def withdraw(self, call: int) -> None:
        """Forget a call that waits here: another server has taken it."""
        self._forget(call)
        self._gone.add(call)
        if len(self._gone) > MOST_GONE:
            self._clear()  # a queue in which nothing moves must not keep what others have taken

    @property
    def ready(self) -> int:
        """How many calls wait here."""
        return len(self.heap) + len(self.batch_heap) - len(self._gone)

    def waiting(self) -> Iterable[Item[J, P]]:
        """Return what waits here, in no order."""
        return [item for heap in (self.heap, self.batch_heap) for item in heap if item[1] not in self._gone]

    def _heap_of(self, node: P) -> list[Item[J, P]]:
        return self.heap if self._batch_limit is None or node.path == "interactive" else self.batch_heap

    def _key_of(self, call: Call, node: P, job: J, now_s: float) -> Any:
        if self._timed:
            key = self._key(call, node, job, self.queue, now_s=now_s)
        else:
            key = self._key(call, node, job, self.queue)
        return (-node.priority, key) if self._prioritised else key

    def _put_right(self, now_s: float) -> None:
        """Ask again for the key of everything that waits."""
        if self._gone:
            self.take_out(set())
        try:
            self.heap = self._asked_again(self.heap, now_s)
            self.batch_heap = self._asked_again(self.batch_heap, now_s)
        except Exception as error:  # noqa: BLE001 - as above
            refuse(self.queue.scheduling, error)

    def _asked_again(self, heap: list[Item[J, P]], now_s: float) -> list[Item[J, P]]:
        found = [(self._key_of(call, node, job, now_s), number, call, job, node) for _, number, call, job, node in heap]
        heapify(found)
        return found

    def _grown(self, before: Any, call: Call, node: P, job: J) -> Any:
        now = asked(self.queue.scheduling, self._key_of, call, node, job, 0.0)
        if asked(self.queue.scheduling, lt, now, before):
            refuse(self.queue.scheduling, f"expected a key that never shrinks while a call waits: {now} after {before}")
        return now

    def _first(self) -> Item[J, P] | None:
        """Return the first of those that may start."""
        first = self._head(self.heap)
        if self._batch_limit is not None and self._batch < self._batch_limit:
            batch = self._head(self.batch_heap)
            if first is None or (batch is not None and batch < first):
                return batch
        return first

    def _head(self, heap: list[Item[J, P]]) -> Item[J, P] | None:
        """Return the first of a heap that is still to be had, its key put right."""
        while heap:
            item = heap[0]
            key, call_id, call, job, node = item
            if call_id in self._gone:
                self._gone.discard(call_id)
                heappop(heap)
            elif self._moves and (now := self._grown(key, call, node, job)) != key:
                heapreplace(heap, (now, call_id, call, job, node))
            else:
                return item
        return None
