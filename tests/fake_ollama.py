"""The one fake Ollama of the tests: its answers are known exactly, and it keeps what it was asked.

Use it for whatever speaks to an Ollama and must not depend on real inference. For a server with slots, a queue and
timings take `harness.servers.simulated` instead; for the front of the embedded engine, the engine called "canned".

`FakeOllama.answer` decides what is answered. It opens no socket and never sleeps; there are three ways to it:

- `fake.transport()` for code that takes an httpx transport. It waits on the running event loop, so times are exact on
  `conftest.VirtualLoop`. Prefer this one.
- `with fake.listening() as url:` a real socket on a real clock, for commands that are given a URL.
- `on_the_path(...)` for code that starts `ollama serve` by itself: this file is then the `ollama` on the PATH.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

Fault = tuple[int, bytes]  # a status and a body, instead of an answer


class Answer(NamedTuple):
    """A status and the parts of a body, in order: a number is seconds to wait, bytes are to be sent."""

    status: int
    parts: Iterator[float | bytes]


class Served(NamedTuple):
    """A chat that was answered to its end, in seconds on the fake's own clock."""

    user: str  # the last message
    options: dict[str, Any]
    arrived_s: float
    ended_s: float


@dataclass
class FakeOllama:
    """An Ollama whose every answer is "so". Chats are counted from 1, in the order in which they arrive."""

    clock: Callable[[], float] = time.monotonic
    duration: Callable[[str], float] = lambda user: 0.0  # seconds by user message; half of them before the first token
    models: list[str] = field(default_factory=lambda: ["m"])
    size_vram: int = 100  # of 100 bytes that each model has
    file_bytes: int | None = None  # of each model, in /api/tags; None: it does not say
    info: dict[str, Any] | None = None  # metadata of each model, in /api/show; None: it has no /api/show
    fields: Callable[[int], dict[str, Any]] = lambda n: {}  # these, in the final line of the n-th chat
    misbehave: Callable[[int], Fault | None] = lambda n: None  # of the n-th chat; on a real socket it may block
    on_load: Callable[[str], Fault | None] = lambda model: None  # before a model's first answer
    on_request: Callable[[dict[str, Any]], None] = lambda what: None  # of each POST: its path and body

    chats: list[dict[str, Any]] = field(default_factory=list, init=False)  # the bodies, as they arrived
    served: list[Served] = field(default_factory=list, init=False)
    loaded: list[str] = field(default_factory=list, init=False)
    url: str = field(default="", init=False)  # while it is listening
    _blobs: set[str] = field(default_factory=set, init=False)
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def answer(self, method: str, path: str, data: bytes) -> Answer:
        """Decide what is answered to a request; `path` has no query."""
        if path.startswith("/api/blobs/"):
            return self._blob(method, path.rpartition("/")[2], data)
        if method == "GET":
            sized = {} if self.file_bytes is None else {"size": self.file_bytes}
            told: dict[str, Any] = {
                "/api/version": {"version": "0.0.0-fake"},
                "/api/tags": {"models": [{"name": name, "model": name, **sized} for name in self.models]},
                "/api/ps": {"models": [self._process(name) for name in self.loaded]},
            }
            return _json(200, told[path]) if path in told else _not_found(path)
        body = json.loads(data)
        self.on_request({"path": path, "body": body})
        if path == "/api/create":
            self.models.append(body["model"])
            return _json(200, {"status": "success"})
        if body["model"] not in self.models and f"{body['model']}:latest" not in self.models:
            return _not_found(f"model '{body['model']}'")
        if path == "/api/chat":
            return self._chat(body)
        if path == "/api/show" and self.info is not None:
            return _json(200, {"model_info": self.info, "details": {}})
        if path == "/api/generate" and "prompt" not in body:
            loaded = {"model": body["model"], "done": True, "done_reason": "load"}
            fault = self._load(body["model"])
            return _faulty(fault) if fault else _json(200, loaded)
        return _not_found(path)

    def transport(self) -> httpx.MockTransport:
        """Return a way to it without a socket, which waits on the running event loop."""

        async def handle(request: httpx.Request) -> httpx.Response:
            answer = self.answer(request.method, request.url.path, request.content)

            async def body() -> AsyncIterator[bytes]:
                for part in answer.parts:
                    if isinstance(part, bytes):
                        yield part
                    else:
                        await asyncio.sleep(part)

            return httpx.Response(answer.status, content=body())

        return httpx.MockTransport(handle)

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Listen on a free port of this machine, in threads; yield the URL."""
        with _Server(self, ("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            try:
                yield self.url
            finally:
                server.shutdown()
                thread.join()

    def _process(self, name: str) -> dict[str, Any]:
        return {"name": name, "model": name, "size": 100, "size_vram": self.size_vram, "context_length": 512}

    def _blob(self, method: str, digest: str, data: bytes) -> Answer:
        if method == "HEAD":
            return Answer(200 if digest in self._blobs else 404, iter(()))
        if digest != "sha256:" + hashlib.sha256(data).hexdigest():
            return _json(400, {"error": "digest mismatch"})
        self.on_request({"blob": digest})
        self._blobs.add(digest)
        return Answer(201, iter(()))

    def _load(self, model: str) -> Fault | None:
        fault = None if model in self.loaded else self.on_load(model)
        if fault is None and model not in self.loaded:
            self.loaded.append(model)
        return fault

    def _chat(self, body: dict[str, Any]) -> Answer:
        with self._counting:
            self.chats.append(body)
            number = len(self.chats)
        fault = self.misbehave(number) or self._load(body["model"])
        if fault:
            return _faulty(fault)
        user = body["messages"][-1]["content"]
        return Answer(200, self._generated(body, user, number, self.clock(), self.duration(user) / 2))

    def _generated(
        self, body: dict[str, Any], user: str, number: int, arrived_s: float, half_s: float
    ) -> Iterator[float | bytes]:
        head = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z"}
        options = body.get("options", {})
        streamed = body.get("stream", True)
        yield half_s
        if streamed:
            yield _line({**head, "message": {"role": "assistant", "content": "so"}, "done": False})
        yield half_s
        self.served.append(Served(user, options, arrived_s, self.clock()))
        half_ns = int(half_s * 1e9)
        final = {
            "message": {"role": "assistant", "content": "" if streamed else "so"},
            "done": True,
            "done_reason": "length",
            "total_duration": 2 * half_ns,
            "prompt_eval_count": 10,
            "prompt_eval_duration": half_ns,
            "eval_count": options.get("num_predict", 2),
            "eval_duration": half_ns,
        }
        yield _line({**head, **final, **self.fields(number)})


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _json(status: int, value: object) -> Answer:
    return Answer(status, iter((_line(value),)))


def _not_found(what: str) -> Answer:
    return _json(404, {"error": f"{what} not found"})


def _faulty(fault: Fault) -> Answer:
    return Answer(fault[0], iter((fault[1],)))


# --- on a socket ------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeOllama, address: tuple[str, int]) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that gave up has closed its end
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        answer = self.server.fake.answer(self.command, self.path.partition("?")[0], self._data())
        self.send_response(answer.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in answer.parts:
            if isinstance(part, bytes):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            else:
                time.sleep(part)
        if self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    do_POST = do_HEAD = do_GET  # noqa: N815

    def _data(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data


# --- as a program -----------------------------------------------------------------------------------------


def on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Put it on the PATH as `ollama`, with Slotwise's cache in `folder`; return a reader of what it recorded.

    It records its process id and environment, then each request, and the process id of each model's runner.
    The environment variable FAKE_OLLAMA makes it fail: `dies` ends it at once, `no-load` refuses to load a model,
    `one-slot` has one slot whatever was asked for, as Ollama does for some architectures, `no-levers` has the usual
    levers whatever was asked for, as engines before Ollama 0.30.
    """
    binary = folder / "bin" / "ollama"
    binary.parent.mkdir()
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__)} "$@"\n')
    binary.chmod(0o755)
    seen = folder / "seen.jsonl"
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_OLLAMA_RECORD", str(seen))
    monkeypatch.setenv("SLOTWISE_CACHE", str(folder / "cache"))
    return lambda: [json.loads(line) for line in seen.read_text().splitlines()]


def _record(what: dict[str, Any]) -> None:
    with Path(os.environ["FAKE_OLLAMA_RECORD"]).open("a") as file:
        file.write(json.dumps(what) + "\n")


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _start_runner(model: str) -> Fault | None:
    """Do what `ollama serve` does for a model, and say so in its words: the harness reads the log."""
    stamp = "time=2026-01-01T00:00:00.000Z level=INFO source=fake.go:1"
    mode = os.environ.get("FAKE_OLLAMA")
    if mode == "no-load":
        _log(f'{stamp} msg="the disk is on fire"')
        return 500, b'{"error": "llama runner process has terminated"}'
    runner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _record({"runner": runner.pid})
    slots = os.environ.get("OLLAMA_NUM_PARALLEL", "1")
    if mode == "one-slot":
        slots = "1"
        _log(f'{stamp} msg="model architecture does not currently support parallel requests" architecture=lfm2')
    _log(f'{stamp} msg="starting llama-server" cmd="llama-server -c 1024 -np {slots} -b 256 -ub 256 -t 3"')
    asked = {} if mode == "no-levers" else os.environ
    unified = "true" if asked.get("LLAMA_ARG_KV_UNIFIED") == "1" else "false"
    kind = asked.get("OLLAMA_KV_CACHE_TYPE", "f16")
    flash = {"1": "enabled", "0": "disabled"}.get(asked.get("OLLAMA_FLASH_ATTENTION", ""), "auto")
    _log(f"llama_context: flash_attn    = {flash}\nllama_context: kv_unified    = {unified}")
    _log(f"llama_kv_cache: size =   48.00 MiB ( 1024 cells, 6 layers), K ({kind}): 24.00 MiB, V ({kind}): 24.00 MiB")
    _log(f"srv    load_model: initializing, n_slots = {slots}, n_ctx_slot = 512, kv_unified = '{unified}'")
    if asked.get("LLAMA_ARG_CACHE_RAM") == "0":
        _log("srv    load_model: prompt cache is disabled - use `--cache-ram N` to enable it")
    else:
        _log("srv    load_model: prompt cache is enabled, size limit: 8192 MiB")
    return None


def _serve() -> None:
    assert sys.argv[1:] == ["serve"]
    env = {key: value for key, value in os.environ.items() if key.startswith(("OLLAMA_", "LLAMA_"))}
    _record({"pid": os.getpid(), "env": env})
    if os.environ.get("FAKE_OLLAMA") == "dies":
        sys.exit("Error: listen tcp: address already in use")
    host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
    fake = FakeOllama(models=["mine:latest"], size_vram=40, on_load=_start_runner, on_request=_record)
    _Server(fake, (host, int(port))).serve_forever()


if __name__ == "__main__":
    _serve()
