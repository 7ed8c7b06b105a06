"""What every test needs to know."""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class _NoWait(selectors.SelectSelector):
    """Never blocks: on a virtual clock there is nothing to wait for."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing is ready.

    `_clock_resolution` must not be 0, or the loop spins for ever (python/cpython#116342).
    """

    def __init__(self) -> None:
        super().__init__(_NoWait())
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        self._idlers: list[asyncio.Future[None]] = []

    def time(self) -> float:
        return self._now_s

    async def idle(self) -> None:
        """Wait until nothing more is due at this instant."""
        future: asyncio.Future[None] = self.create_future()
        self._idlers.append(future)
        await future

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]  # asyncio's own
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and not (scheduled and scheduled[0]._when <= self._now_s):
            if self._idlers:
                for future in self._idlers:
                    future.set_result(None)
                self._idlers.clear()
            elif scheduled:
                self._now_s = scheduled[0]._when
            else:
                raise RuntimeError("deadlock: nothing is ready, nothing is scheduled")
        super()._run_once()  # type: ignore[misc]  # asyncio's own


@pytest.fixture
def run_virtual() -> Callable[[Callable[[VirtualLoop], Coroutine[Any, Any, T]]], T]:
    """Run a coroutine function on a fresh virtual-time loop."""

    def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(main(loop))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


Settle = Callable[[], Awaitable[None]]
