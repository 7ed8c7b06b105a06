"""N slots, first in first out."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import suppress

__all__ = ["Slots"]


class Slots:
    """Hand out `total` slots strictly in the order of asking.

    Not `asyncio.Semaphore`: its order after a cancelled waiter has differed between Python versions, and a
    queue whose waits are reported to the nanosecond deserves an order that can be read here.
    """

    def __init__(self, total: int | None) -> None:
        if total is not None and total < 1:
            raise ValueError(f"a server has at least 1 slot, not {total}")
        self.total = sys.maxsize if total is None else total  # None: nobody waits here
        self._free = self.total
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> int:
        """Count the slots that are taken."""
        return self.total - self._free

    @property
    def waiting(self) -> int:
        """Count the calls in the queue."""
        return sum(not turn.done() for turn in self._waiting)

    async def acquire(self) -> None:
        """Wait for a slot; a cancelled wait leaves the queue as if it had never been in it."""
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # a release in between has already dropped it
                    self._waiting.remove(turn)
            else:
                self.release()  # the slot came in the very turn of the loop that cancelled the wait
            raise

    def release(self) -> None:
        """Give a slot back: to the call that has waited longest, if any."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
