"""What tests of servers share.

A front on a socket (`serve`), an `ollama` on the PATH (`fake`), GGUF files (`gguf_bytes`), a process's end (`ends`).
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import processes
import pytest
import uvicorn
from fake_ollama import on_the_path
from starlette.types import ASGIApp

from harness.servers.child import listen

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def _serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    listener = listen("127.0.0.1", port)
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def serve() -> Serve:
    """Return `async with serve(app) as url`."""
    return _serving


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Put a fake binary on the PATH as `ollama`; return a reader of what it recorded."""
    monkeypatch.setenv("OLLAMA_MODELS", "/the/users/own")
    return on_the_path(tmp_path, monkeypatch)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    assert isinstance(value, list)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(v) for v in value)
    return struct.pack("<IIQ", 9, 4, len(value)) + struct.pack(f"<{len(value)}I", *value)


@pytest.fixture
def gguf_bytes() -> Callable[..., bytes]:
    """Return a writer of GGUF headers, after the format's specification: metadata and tensor shapes."""

    def write(metadata: dict[str, object], tensors: dict[str, tuple[int, ...]]) -> bytes:
        data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
        for key, value in metadata.items():
            data += _string(key) + _value(value)
        for name, shape in tensors.items():
            data += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
        return data

    return write


def _gone(pid: int) -> bool:
    state = processes.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return not state or state.startswith("Z")  # a zombie runs nothing: it waits for whoever adopted it


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Return a function that waits, within a bound, for a process to be gone."""

    def wait(pid: int) -> bool:
        for _ in range(600):
            if _gone(pid):
                return True
            time.sleep(0.05)
        return False

    return wait
