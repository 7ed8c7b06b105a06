"""Requests to the front, a simulated server and the gateway, as their HTTP server would hand them over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

from conftest import VirtualLoop
from starlette.types import ASGIApp, Message

from harness.app.gateway import PIPELINES, plan_of_gateway
from harness.app.options import GatewayOptions
from harness.core.open_engine import OpenEngine
from harness.core.step_costs import StepCosts
from harness.drivers.gateway import Gate
from harness.errors import UserError
from harness.gateway.app import GatewayApp
from harness.gateway.classes import Classes
from harness.gateway.health import Health
from harness.gateway.metrics import Metrics
from harness.gateway.upstream import Headers, UpstreamAnswer
from harness.gateway.wire import Wire, WireError
from harness.servers.access import OWN_MACHINE, Guarded
from harness.servers.faults import Faults, Faulty
from harness.servers.front.app import create_app
from harness.servers.front.canned import CannedEngine
from harness.servers.front.engine import GenerateRequest, Piece
from harness.servers.simulated_embedder import SimulatedEmbedding
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine

__all__ = ["REQUESTS", "read_answer", "to_front", "to_gateway", "to_simulated"]

MOST_PIECES = 100  # of an answer; then the client hangs up
COSTS = StepCosts(decode_s=(0.0, 0.5, 0.75), prefill=((1, 0.125),))
CONFIG = SimulatedConfig("m", "test", COSTS, 256, embedding=SimulatedEmbedding("e", 0.01, 0.001, 1.5))
BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": {
        "model": "m", "stream": True, "think": True, "format": {"type": "object"}, "keep_alive": "5m", "tools": [],
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi there", "images": []}],
        "options": {"num_predict": 4, "temperature": 0.5, "seed": 3, "stop": ["x"], "prompt_tokens": 9, "top_k": 40,
                    "cache_prompt": True, "ignore_eos": True, "thinking_tokens": 2, "image_tokens": 1, "num_ctx": 64},
    },
    "/api/generate": {
        "model": "m", "prompt": "Say it", "system": "Short", "raw": False, "stream": False, "keep_alive": -1,
        "suffix": "", "template": "", "context": [], "images": [], "logprobs": False, "top_logprobs": 0,
        "format": "json", "options": {"num_predict": 3, "repeat_penalty": 1.1, "min_p": 0.1, "faults": False},
    },
    "/api/embed": {"model": "e", "input": ["one", "two"], "truncate": True, "options": {}},
    "/api/chat?": {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_predict": 4}},
    "/api/show": {"model": "m", "verbose": True},
    "/v1/chat/completions": {
        "model": "interactive/m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}, "n": 1, "seed": 4,
    },
}  # fmt: skip
_HEAD = "POST {}\nhost: localhost:11434\ncontent-type: application/json\ncontent-length: 9\n{}\n"
_MORE = "x-slotwise-class: batch\nx-slotwise-session: a\norigin: http://localhost\nauthorization: Bearer k\n"
REQUESTS = [
    *(
        _HEAD.format(path, more).encode() + json.dumps(body).encode()
        for path, body in BODIES.items()
        for more in ("", _MORE)
    ),
    b"GET /api/tags?x=1\nhost: localhost\n\n{}",
    b"OPTIONS /interactive/api/chat\nhost: localhost\norigin: app://x\naccess-control-request-method: POST\n\n{}",
    b"DELETE /batch/api/delete\nhost: 127.0.0.1\nx-slotwise-via: a, b\n\n{}",
]


class Brief(CannedEngine):
    """An engine whose answers end, whatever length is asked for."""

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield at most 20 words."""
        async for piece in super().generate(request._replace(num_predict=min(20, request.num_predict))):
            yield piece


class Answer:
    """One request, and what the app says to it."""

    def __init__(self, data: bytes) -> None:
        head, _, self._body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        raw_path, _, query = target.partition(b"?")
        self.path = raw_path.decode("latin-1")
        self.scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": method.decode("latin-1"), "path": self.path, "raw_path": raw_path, "query_string": query,
            "headers": [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)],
            "server": ("front", 80), "client": ("client", 1),
        }  # fmt: skip
        self.status, self.headers, self.pieces = 0, list[tuple[bytes, bytes]](), list[bytes]()
        self._asked, self._gone = False, asyncio.Event()

    async def receive(self) -> Message:
        """Hand over the body, then wait for the client to go."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the answer; beyond some, hang up."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.pieces.append(message.get("body", b""))
            if len(self.pieces) > MOST_PIECES:
                self._gone.set()

    def check(self, *, own: bool) -> None:
        """Raise UserError with what a refusal says, and AssertionError where it is no 4xx with one line.

        `own`: 501 says that there are no embeddings.
        """
        body = b"".join(self.pieces)
        assert 200 <= self.status < 500 or (own and self.status == 501), (self.status, body[:300])
        if self.status >= 400:
            assert body.count(b"\n", 0, -1) == 0, body[:300]
            if dict(self.headers).get(b"content-type", b"").startswith(b"application/json"):
                assert isinstance(json.loads(body)["error"], str), body[:300]
            else:
                assert self.status in (404, 405) and body.isascii(), (self.status, body[:300])
            raise UserError(f"status {self.status}")


def _virtually(main: Callable[[VirtualLoop], Any]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main(loop))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


def _ask(data: bytes, made: Callable[[VirtualLoop], ASGIApp]) -> None:
    async def main(loop: VirtualLoop) -> None:
        answer = Answer(data)
        await made(loop)(answer.scope, answer.receive, answer.send)
        answer.check(own=True)

    _virtually(main)


def to_front(data: bytes, _: Path) -> None:
    """Send a request to the front of an engine that says fixed text."""
    engine = Brief()
    engine.model = engine.model._replace(name="m")
    _ask(data, lambda loop: Guarded(create_app(engine, lambda: round(loop.time() * 1e9)), OWN_MACHINE))


def to_simulated(data: bytes, _: Path) -> None:
    """Send a request to a simulated server with an embedding model."""

    def made(loop: VirtualLoop) -> ASGIApp:
        app = create_app(SimulatedEngine(CONFIG), lambda: round(loop.time() * 1e9))
        return Guarded(Faulty(app, Faults({"delay": 0.5})), OWN_MACHINE)

    _ask(data, made)


class _Behind:
    """A server behind the gateway: the same simulated one, without a socket."""

    url = "http://behind"

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        data = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        lines = [f"{method} {target}".encode("latin-1"), *(name + b":" + value for name, value in headers)]
        answer = Answer(b"\n".join([*lines, b"", data]))
        await self._app(answer.scope, answer.receive, answer.send)

        async def chunks() -> AsyncIterator[bytes]:
            for piece in answer.pieces:
                yield piece

        async def close() -> None:
            pass

        return UpstreamAnswer(answer.status, answer.headers, chunks(), close)


def to_gateway(data: bytes, _: Path) -> None:
    """Send a request to a gateway before a simulated server."""

    async def main(loop: VirtualLoop) -> None:
        behind = _Behind(create_app(SimulatedEngine(CONFIG), lambda: round(loop.time() * 1e9)))
        plan = plan_of_gateway(
            GatewayOptions(upstreams=(behind.url,), limit=1, placement="affinity"), [behind.url], [1]
        )
        engine = OpenEngine(PIPELINES, plan, origin="measured")
        metrics = Metrics(engine)
        gate = Gate(engine, metrics.record, start_s=loop.time(), most_waiting=8)
        health = Health(gate, [behind], [], lambda _: None)
        app = GatewayApp(gate, [behind], health, Classes(models=("*m*",)), OWN_MACHINE, metrics, "me", settles=True)
        running = asyncio.create_task(gate.run())
        answer = Answer(data)
        await app(answer.scope, answer.receive, answer.send)
        running.cancel()
        health.close()
        answer.check(own=True)

    _virtually(main)


class _Deaf(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self._closing = False

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._closing = True

    def pause_reading(self) -> None:
        pass


def read_answer(data: bytes, _: Path) -> None:
    """Let the gateway's connection to a server read these bytes, in two pieces."""
    wire = Wire()
    wire.connection_made(_Deaf())
    wire.begin(bodiless=False)
    for part in (data[: len(data) // 2], data[len(data) // 2 :]):
        wire.data_received(part)
    wire.connection_lost(None)

    async def main() -> None:
        try:
            await wire.head()
            while await wire.piece() is not None:
                pass
        except WireError as error:
            raise UserError(str(error)) from None

    coroutine = main()
    try:  # all is there: nothing waits, so that no event loop is needed
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a connection that is closed lets its reader wait")
