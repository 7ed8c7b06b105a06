"""The commands `run`, `probe` and `calibrate` before a hostile Ollama, in virtual time and under a watchdog.

The server loads its model as an Ollama does and has two slots. Each measured call takes a slot for as long as a healthy
one does, and then gets the fault.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import httpx
import pytest
from conftest import VirtualLoop
from faults.hostile import Fault, answer

from harness.app import machine
from harness.cli.app import _main

__all__ = ["COMMANDS", "LIMIT_S", "Hostile", "Hung", "Said", "at_most", "command"]

T = TypeVar("T")
LIMIT_S = 60  # of real time, for one command; it takes a hundredth of that
SLOTS, PREFILL_S, TOKEN_S, LOAD_S = 2, 0.001, 0.01, 0.0001

COMMANDS = {
    "run": ("run", "w.yaml"),
    "probe": ("probe", "http://fake:1", "--model", "m", "--levels", "1,2", "--tokens", "8"),
    "calibrate": ("calibrate", "http://fake:1", "--model", "m", "--quick", "--out", "p.yaml"),
}


class Hung(BaseException):
    """The watchdog: no code that expects errors takes this for one."""


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What it says went wrong: the last line to stderr."""
        return self.err.rstrip().rpartition("\n")[2]


class Hostile:
    """An Ollama that does to the calls that are `meant` what `fault` returns for their prompt (None: nothing)."""

    def __init__(self, fault: Callable[[str], Fault | None]) -> None:
        self.fault = fault
        self.hit = 0
        self._slots: asyncio.Semaphore | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.path
        told: dict[str, Any] = {
            "/api/version": {"version": "0.0.0-hostile"},
            "/api/tags": {"models": [{"name": "m", "model": "m"}]},
            "/api/ps": {"models": [{"name": "m", "model": "m", "size": 100, "size_vram": 0, "context_length": 4096}]},
        }
        if path in told:
            return httpx.Response(200, json=told[path])
        if path != "/api/chat":
            return httpx.Response(404, json={"error": "not found"})
        body = json.loads(request.content)
        prompt, stream = body["messages"][-1]["content"], body.get("stream", True)
        fault = self.fault(prompt)
        self.hit += fault is not None
        if fault is None or (stream and fault.outcome == "ok"):
            return httpx.Response(200, content=self._answer(prompt, body["options"]["num_predict"], stream, fault))
        async for _ in self._answer(prompt, body["options"]["num_predict"], False, None):
            pass
        return fault.serve(stream)

    async def _answer(self, prompt: str, tokens: int, stream: bool, fault: Fault | None) -> AsyncIterator[bytes]:
        self._slots = self._slots or asyncio.Semaphore(SLOTS)
        loop = asyncio.get_running_loop()
        began_s, words = loop.time(), len(prompt.split())
        async with self._slots:
            await asyncio.sleep(LOAD_S + words * PREFILL_S)
            if stream:
                yield answer("so ")
            await asyncio.sleep(tokens * TOKEN_S)
        if fault is not None:
            async for part in fault.serve(True).aiter_bytes():
                yield part
            return
        yield answer(
            "" if stream else "so so",
            done=True,
            done_reason="length",
            total_duration=round((loop.time() - began_s) * 1e9),
            load_duration=round(LOAD_S * 1e9),
            prompt_eval_count=words,
            prompt_eval_duration=round(words * PREFILL_S * 1e9),
            eval_count=tokens,
            eval_duration=round(tokens * TOKEN_S * 1e9),
        )


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Hung where this takes longer, in real time."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"it did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def virtually(main: Coroutine[Any, Any, T]) -> T:
    """Do what `asyncio.run` does, in virtual time; waiting for what never comes is a RuntimeError there."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def command(
    name: str, hostile: Hostile, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Execute a command in a folder, before this server; no error but the watchdog leaves it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **_: httpx.MockTransport(hostile))
    monkeypatch.setattr(asyncio, "run", virtually)
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)
    monkeypatch.setattr("sys.argv", ["slotwise", *COMMANDS[name]])
    with at_most(LIMIT_S):
        code = _main()
    return Said(code, *capsys.readouterr())
