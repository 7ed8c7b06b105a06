"""What lies between a client and a simulated server: fixed delays on the way there and on the way back.

Neither holds a slot, and neither is in the server's own total: as in the virtual driver, both are the client's share.
"""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.servers.simulated_engine import ARRIVED_S

__all__ = ["COMPLETIONS", "Distant"]

COMPLETIONS = ("/api/chat", "/api/generate")


class Distant:
    """Deliver a call to `app` after `before_s`, and each piece of its answer after `after_s`."""

    def __init__(self, app: ASGIApp, before_s: float, after_s: float) -> None:
        self._app = app
        self._line = _Line(before_s)
        self._before_s = before_s
        self._after_s = after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; those for a completion have a way to go."""
        if scope["type"] != "http" or scope["path"] not in COMPLETIONS:
            await self._app(scope, receive, send)
            return
        if self._before_s:
            await self._line.pass_through()
        loop = asyncio.get_running_loop()
        ARRIVED_S.set(loop.time())
        if not self._after_s:
            await self._app(scope, receive, send)
            return
        on_its_way: asyncio.Queue[tuple[float, Message] | None] = asyncio.Queue()

        async def deliver() -> None:
            while (item := await on_its_way.get()) is not None:
                await _until(item[0])
                await send(item[1])

        async def put(message: Message) -> None:
            on_its_way.put_nowait((loop.time() + self._after_s, message))

        delivery = asyncio.create_task(deliver())
        try:
            await self._app(scope, receive, put)
        finally:
            on_its_way.put_nowait(None)
            await delivery


class _Line:
    """A delay that keeps the order: timers of the event loop with equal times do not."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._due: deque[tuple[float, asyncio.Future[None]]] = deque()

    async def pass_through(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._due.append((loop.time() + self._delay_s, future))
        if len(self._due) == 1:
            loop.call_at(self._due[0][0], self._fire, loop)
        await future

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._due and self._due[0][0] <= loop.time():
            future = self._due.popleft()[1]
            if not future.done():
                future.set_result(None)
        if self._due:
            loop.call_at(self._due[0][0], self._fire, loop)


async def _until(at_s: float) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(at_s, future.set_result, None)
    try:
        await future
    finally:
        timer.cancel()
