"""The tests' one fake server that speaks OpenAI's API: its answers are known exactly, and it keeps what it was asked.

`FakeOpenAi.answer` decides what is answered. There are two ways to it, as to the fake Ollama (`fake_ollama.py`):

- `fake.transport()` for code that takes an httpx transport. It waits on the running event loop, with as many calls at
  a time as it has slots, so times are exact on `conftest.VirtualLoop`. Prefer this one.
- `with fake.listening() as url:` a real socket, for code that is given a URL.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Part = float | bytes | dict[str, Any]  # seconds to wait, bytes as they are, or an event
Fault = tuple[int, Any]  # a status and a JSON body, instead of an answer
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}


def said(text: str, **more: Any) -> dict[str, Any]:
    """Return the event with a piece of the answer."""
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}]}


def thought(text: str) -> dict[str, Any]:
    """Return the event with a piece of thinking."""
    return {"choices": [{"index": 0, "delta": {"reasoning_content": text}}]}


def ended(reason: str = "stop") -> dict[str, Any]:
    """Return the event that says why the answer ends."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def used(**more: Any) -> dict[str, Any]:
    """Return the last event, with the counts."""
    return {"choices": [], "usage": USAGE, **more}


DONE = b"data: [DONE]\n\n"
SO = (said("so"), ended("length"), used(), DONE)


@dataclass
class FakeOpenAi:
    """A server whose every answer is "so"."""

    models: list[str] = field(default_factory=lambda: ["m"])
    owned_by: str = "someone"
    more: dict[str, Any] = field(default_factory=dict)  # in the entry of each model
    props: dict[str, Any] | None = None  # of a llama-server; None: it has no /props
    key: str | None = None  # the one that it takes; None: any, and none
    slots: int = 64  # of the transport
    parts: Callable[[dict[str, Any]], tuple[Part, ...]] = lambda body: SO  # of the answer to a request
    misbehave: Callable[[dict[str, Any]], Fault | None] = lambda body: None

    chats: list[dict[str, Any]] = field(default_factory=list, init=False)  # the bodies, as they arrived
    keys: list[str | None] = field(default_factory=list, init=False)  # the header of each request

    def answer(self, method: str, path: str, key: str | None, data: bytes) -> tuple[int, tuple[Part, ...]]:
        """Decide what is answered to a request: a status, and the parts of its body."""
        self.keys.append(key)
        if self.key is not None and key != f"Bearer {self.key}" and path != "/health":
            return _json(401, {"error": {"message": f"Incorrect API key provided: {key}", "code": 401}})
        if (method, path) == ("GET", "/v1/models"):
            return _json(200, {"data": [{"id": one, "owned_by": self.owned_by, **self.more} for one in self.models]})
        if (method, path) == ("GET", "/props") and self.props is not None:
            return _json(200, self.props)
        if (method, path) != ("POST", "/v1/chat/completions"):
            return _json(404, {"error": {"message": f"no such path: {path}"}})
        body = json.loads(data)
        self.chats.append(body)
        if fault := self.misbehave(body):
            return _json(*fault)
        if body["model"] not in self.models:
            return _json(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
        return 200, self.parts(body)

    def transport(self) -> httpx.MockTransport:
        """Return a way to it without a socket, which waits on the running event loop."""
        slots = asyncio.Semaphore(self.slots)

        async def handle(request: httpx.Request) -> httpx.Response:
            key = request.headers.get("authorization")
            status, parts = self.answer(request.method, request.url.path, key, request.content)

            async def body() -> AsyncIterator[bytes]:
                async with slots:  # all but the last part, after which nobody may be there to ask for more
                    for part in parts[:-1]:
                        if isinstance(part, float):
                            await asyncio.sleep(part)
                        else:
                            yield _sent(part)
                assert not isinstance(parts[-1], float)
                yield _sent(parts[-1])

            return httpx.Response(status, content=body())

        return httpx.MockTransport(handle)

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Listen on a free port of this machine, in threads; yield the URL of the API."""
        with _Server(self) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/v1"
            finally:
                server.shutdown()
                thread.join()


def _json(status: int, value: Any) -> tuple[int, tuple[Part, ...]]:
    return status, (json.dumps(value).encode(),)


def _sent(part: bytes | dict[str, Any]) -> bytes:
    return part if isinstance(part, bytes) else b"data: " + json.dumps(part).encode() + b"\n\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeOpenAi) -> None:
        self.fake = fake
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, parts = self.server.fake.answer(self.command, self.path, self.headers.get("Authorization"), data)
        sent = b"".join(_sent(part) for part in parts if not isinstance(part, float))
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_GET  # noqa: N815
