"""A stand-in for `ollama serve`: speaks enough of its API, writes its log lines, and starts a runner process.

Run as a program. What it saw goes to the file named by FAKE_OLLAMA_RECORD, one JSON object a line.
FAKE_OLLAMA=dies ends it at once, FAKE_OLLAMA=one-slot holds the runner to one slot, as Ollama does for some
architectures; FAKE_OLLAMA=no-load refuses to load.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODE = os.environ.get("FAKE_OLLAMA", "")
SLOTS = "1" if MODE == "one-slot" else os.environ.get("OLLAMA_NUM_PARALLEL", "1")
MODELS: dict[str, dict[str, Any]] = {"mine:latest": {}}
BLOBS: set[str] = set()
LOADED: list[str] = []


def record(**what: Any) -> None:
    path = os.environ.get("FAKE_OLLAMA_RECORD")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps(what) + "\n")


def log(text: str) -> None:
    print(f"time=2026-01-01T00:00:00.000Z level=INFO source=fake.go:1 {text}", file=sys.stderr, flush=True)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: object = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_HEAD(self) -> None:
        self.answer(200 if self.path.rpartition("/")[2] in BLOBS else 404)

    def do_GET(self) -> None:
        listed = [{"name": name} for name in MODELS]
        loaded = [{"name": name, "size": 100, "size_vram": 40, "context_length": 512} for name in LOADED]
        answers: dict[str, dict[str, Any]] = {
            "/api/version": {"version": "0.0.0-fake"},
            "/api/tags": {"models": listed},
            "/api/ps": {"models": loaded},
        }
        self.answer(200, answers[self.path])

    def do_POST(self) -> None:
        data = self.body()
        if self.path.startswith("/api/blobs/"):
            digest = self.path.rpartition("/")[2]
            if digest != "sha256:" + hashlib.sha256(data).hexdigest():
                return self.answer(400, {"error": "digest mismatch"})
            record(blob=digest)
            BLOBS.add(digest)
            return self.answer(201)
        body = json.loads(data)
        record(path=self.path, body=body)
        if self.path == "/api/create":
            MODELS[body["model"]] = body
            return self.answer(200, {"status": "success"})
        if self.path == "/api/generate":
            if MODE == "no-load":
                log('msg="the disk is on fire"')
                return self.answer(500, {"error": "llama runner process has terminated"})
            runner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            record(runner=runner.pid)
            if MODE == "one-slot":
                log('msg="model architecture does not currently support parallel requests" architecture=lfm2')
            log(f'msg="starting llama-server" cmd="llama-server -c 1024 -np {SLOTS} -b 256 -ub 256 -t 3"')
            print(
                f"srv    load_model: initializing, n_slots = {SLOTS}, n_ctx_slot = 512",
                file=sys.stderr,
                flush=True,
            )
            LOADED.append(body["model"])
            return self.answer(200, {"model": body["model"], "done": True, "done_reason": "load"})
        return self.answer(200, {"message": {"role": "assistant", "content": "yes"}, "done": True})


def main() -> None:
    """Serve for ever."""
    assert sys.argv[1:] == ["serve"]
    env = {key: value for key, value in os.environ.items() if key.startswith(("OLLAMA_", "LLAMA_"))}
    record(pid=os.getpid(), env=env)
    if MODE == "dies":
        sys.exit("Error: listen tcp: address already in use")
    host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
