"""A gateway on a real socket before servers that the test commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from servers.conftest import _serving

from harness.app.gateway import PIPELINES, plan_of_gateway
from harness.app.options import GatewayOptions
from harness.core.open_engine import OpenEngine
from harness.drivers.gateway import Gate
from harness.gateway.app import VIA_HEADER, GatewayApp
from harness.gateway.classes import Classes
from harness.gateway.health import Health
from harness.gateway.metrics import Metrics
from harness.gateway.upstream import HttpUpstream
from harness.servers.access import Access

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PARTS = [b'{"message":{"content":"so"},"done":false}\n', b'{"done":true,"prompt_eval_count":7,"eval_count":3}\n']


class Fake:
    """A server whose chats wait until the test lets them go on; it keeps what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[bytes, bytes], bytes]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.cancelled = asyncio.Event()
        self.stops = False  # after the first part, until the client goes
        self.breaks = ""  # "before" or "after" the head
        self.kind, self.parts = b"application/x-ndjson", PARTS

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.seen.append((scope["method"], scope["path"], dict(scope["headers"]), body))
        if scope["path"] not in ("/api/chat", "/v1/chat/completions"):
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"application/json"), (b"x-own", b"1")],
                }
            )
            await send({"type": "http.response.body", "body": b'{"models":[{"name":"m","model":"m"}]}'})
            return
        if self.breaks == "before":
            raise RuntimeError("broken")
        waiting = asyncio.create_task(self.go.wait())
        gone = asyncio.create_task(receive())
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self.go.is_set():
            self.cancelled.set()
            return
        gone.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.kind)]})
        await send({"type": "http.response.body", "body": self.parts[0], "more_body": True})
        if self.stops:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.cancelled.set()
            return
        if self.breaks == "after":
            raise RuntimeError("broken")
        await send({"type": "http.response.body", "body": self.parts[1]})


class Up(NamedTuple):
    client: httpx.AsyncClient
    gate: Gate
    said: list[str]


@asynccontextmanager
async def before(
    *urls: str, queue: int = 512, own_id: str = "me", placement: str = "least-loaded", port: int = 0, **classes: Any
) -> AsyncIterator[Up]:
    options = GatewayOptions(upstreams=urls, limit=1, placement=placement)
    engine = OpenEngine(PIPELINES, plan_of_gateway(options, urls, [1] * len(urls)), origin="measured")
    metrics, said, upstreams = Metrics(engine), list[str](), [HttpUpstream(url) for url in urls]
    gate = Gate(engine, metrics.record, start_s=asyncio.get_running_loop().time(), most_waiting=queue)
    health = Health(gate, upstreams, [(VIA_HEADER, own_id.encode())], said.append)
    access = Access("127.0.0.1")
    app = GatewayApp(
        gate, upstreams, health, Classes(**classes), access, metrics, own_id, settles=placement == "affinity"
    )
    running = asyncio.create_task(gate.run())
    async with _serving(app, port) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        yield Up(client, gate, said)
    running.cancel()
    health.close()
    for upstream in upstreams:
        upstream.close()


def on(test: Callable[[Fake, Up], Coroutine[Any, Any, None]], **rest: Any) -> None:
    async def main() -> None:
        fake = Fake()
        async with _serving(fake) as url, before(url, **rest) as up:
            await test(fake, up)

    asyncio.run(main())


async def standing(up: Up, expected: list[tuple[int, int]]) -> None:
    """Wait until the engine counts so many in flight and waiting."""
    async with asyncio.timeout(10):
        while up.gate.engine.queues() != expected:  # noqa: ASYNC110 - it says so to nobody
            await asyncio.sleep(0.001)
