"""The workbench without a socket: its app on an event loop in a thread, with or without real worker processes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from harness.studio.file import Opened
from harness.studio.web import LIMITS_S, TOKEN_HEADER, Studio
from harness.studio.work import DesignPlace

T = TypeVar("T")
TOKEN = "a-token"
ORIGIN = "http://127.0.0.1:8000"


class Bench:
    """Sends requests and returns what came back."""

    def __init__(self, app: Studio, loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={TOKEN_HEADER: TOKEN}, timeout=300
        )

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the app's loop."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(300)

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request."""
        return self.run(self._client.request(method, path, **more))

    async def post(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Ask a question, on the app's loop."""
        answer = await self._client.post(f"/api/{name}", json={"tab": "t", "version": 0, **body})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Ask a question; the tab is "t" and the version 0 unless they are given."""
        return self.run(self.post(name, **body))


@contextmanager
def bench(
    file: Path, text: str, limits_s: Mapping[str, float] = LIMITS_S, *, works: bool = True, opened: Opened | None = None
) -> Iterator[Bench]:
    """Yield the workbench on a text; `works`: with its workers; `opened`: begun in another way."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def made() -> Studio:
        app = Studio(opened or Opened(DesignPlace(file), text), TOKEN, limits_s)
        if works:
            app.start()
        return app

    app = asyncio.run_coroutine_threadsafe(made(), loop).result(60)
    found = Bench(app, loop)
    try:
        yield found
    finally:
        found.run(app.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def same(one: object, other: object) -> bool:
    """Whether two things are the same as JSON, to the last digit."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
