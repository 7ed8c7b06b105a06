"""Timers to the microsecond: what the event loop of simulated servers asks the system for."""

from __future__ import annotations

import asyncio
import select
import socket

import pytest

from harness.servers.fine_loop import fine_loop

SHORT_S = 0.0003


def test_a_timeout_is_not_rounded_to_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_s: list[float] = []
    real = select.select

    def spy(reads: list[int], writes: list[int], errors: list[int], timeout_s: float) -> tuple[object, ...]:
        asked_s.append(timeout_s)
        return real(reads, writes, errors, timeout_s)

    monkeypatch.setattr(select, "select", spy)
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        for _ in range(100):  # on a slow machine a timer may be over before it is waited for
            runner.run(asyncio.sleep(SHORT_S))
            if asked_s:
                break
    assert asked_s and all(0 < timeout_s <= SHORT_S for timeout_s in asked_s)


def test_it_hears_of_sockets_while_a_timer_runs() -> None:
    async def steps() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.call_later(600, lambda: None)  # the loop waits with a timeout
            loop.call_soon(theirs.sendall, b"news")
            return await loop.sock_recv(ours, 10)

    with asyncio.Runner(loop_factory=fine_loop) as runner:
        assert runner.run(steps()) == b"news"
