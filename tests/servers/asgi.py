"""An ASGI app as a streaming httpx transport: for tests of a front on a virtual clock, without a socket.

httpx's own ASGI transport hands a reply over only when it is complete. For a real socket take the fixture `serve`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp, Message


class AppTransport(httpx.AsyncBaseTransport):
    """Runs each request in a task of its own. Hanging up returns when the app has noticed and is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        inbox.put_nowait({"type": "http.request", "body": await request.aread(), "more_body": False})
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "root_path": "",
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": ("front", 80),
            "client": ("client", 1),
        }
        task = asyncio.ensure_future(self._app(scope, inbox.get, outbox.put))
        task.add_done_callback(lambda _: outbox.put_nowait(None))
        body = _Body(inbox, outbox, task)
        try:
            start = await outbox.get()
        except asyncio.CancelledError:
            await body.aclose()
            raise
        if start is None:
            raise httpx.RemoteProtocolError("the app ended without an answer")
        return httpx.Response(start["status"], headers=start["headers"], stream=body)


class _Body(httpx.AsyncByteStream):
    def __init__(
        self, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message | None], task: asyncio.Future[Any]
    ) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._task = task

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._outbox.get()
            if message is None:
                raise httpx.RemoteProtocolError("the app ended in the middle of an answer")
            yield message.get("body", b"")
            more = message.get("more_body", False)

    async def aclose(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        await self._task
