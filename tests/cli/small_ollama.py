"""An Ollama of a few lines on a real socket, that can misbehave, and `slotwise run` on it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.cli.app import _main

SECRET = "s3cret"

WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 4}, after: [part]}
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1}
    goal: {first_token_s: 0.000001}
    nodes:
      reply: {agent: {prompt: "Hello", output_tokens: 2}}
inputs:
  items: {list: [a, b]}
servers:
  s: {kind: ollama, model: m, slots: 2, url: "URL"}
compare:
  serial: {placement: s, concurrency: serial}
  both: {placement: s, concurrency: window}
measure: {repeats: 2, warmup: 0}
timeout_s: 5
"""


class Server(ThreadingHTTPServer):
    """An Ollama of a few lines. `misbehave(n)` is asked for every chat; it returns a status and a body, or None."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chats = 0
        self.misbehave: Callable[[int], tuple[int, bytes] | None] = lambda n: None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up has closed its end: nothing to tell."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        answers: dict[str, Any] = {
            "/api/version": {"version": "0"},
            "/api/tags": {"models": [{"name": "m", "model": "m"}]},
            "/api/ps": {"models": [{"name": "m", "model": "m", "size": 1, "size_vram": 1, "context_length": 512}]},
        }
        self.answer(200, json.dumps(answers[self.path.partition("?")[0]]).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.chats += 1
        odd = self.server.misbehave(self.server.chats)
        if odd is not None:
            self.answer(*odd)
            return
        final = {"model": "m", "created_at": "x", "done": True, "done_reason": "length", "total_duration": 5_000_000}
        final |= {"load_duration": 10, "prompt_eval_count": 9, "prompt_eval_duration": 1_000_000}
        final |= {"eval_count": body["options"]["num_predict"], "eval_duration": 2_000_000}
        self.answer(200, json.dumps({**final, "message": {"role": "assistant", "content": "ok"}}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*more: str, timeout_s: float = 5) -> tuple[int, str, str]:
        text = WORKLOAD.replace("URL", server.url).replace("timeout_s: 5", f"timeout_s: {timeout_s}")
        Path("w.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["slotwise", "run", "w.yaml", *more])
        code = _main()
        return code, *capsys.readouterr()

    return run
