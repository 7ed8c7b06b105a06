"""The fake Ollama itself: its transport and its socket give the same answers, and its times are exact."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from fake_ollama import FakeOllama, Served

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "m", "messages": MESSAGES, "options": {"num_predict": 3}}
ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/api/version", None),
    ("GET", "/api/tags", None),
    ("GET", "/api/nothing", None),
    ("POST", "/api/generate", {"model": "m"}),
    ("POST", "/api/chat", CHAT),
    ("POST", "/api/chat", {**CHAT, "stream": False}),
    ("POST", "/api/chat", {**CHAT, "model": "other"}),
    ("GET", "/api/ps", None),
]


def misbehave(n: int) -> tuple[int, bytes] | None:
    return (503, b'{"error": "busy"}') if n == 2 else None


async def answers(client: httpx.AsyncClient) -> list[tuple[int, str]]:
    async with client:
        replies = [await client.request(method, path, json=body) for method, path, body in ASKED]
    return [(reply.status_code, reply.text) for reply in replies]


def test_a_socket_answers_as_the_transport_does() -> None:
    one, other = FakeOllama(misbehave=misbehave), FakeOllama(misbehave=misbehave)
    direct = asyncio.run(answers(httpx.AsyncClient(base_url="http://fake", transport=one.transport())))
    with other.listening() as url:
        assert asyncio.run(answers(httpx.AsyncClient(base_url=url, trust_env=False))) == direct
    assert [status for status, _ in direct] == [200, 200, 404, 200, 200, 503, 404, 200]
    assert len(direct[4][1].splitlines()) == 2  # streamed
    assert one.chats == other.chats == [CHAT, {**CHAT, "stream": False}]
    assert one.loaded == ["m"]


@pytest.mark.parametrize("stream", [True, False])
def test_it_takes_as_long_as_it_says(stream: bool, run_virtual: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> tuple[list[float], list[Served]]:
        fake, seen = FakeOllama(loop.time, lambda user: 1.5), []
        body = {**CHAT, "stream": stream}
        client = httpx.AsyncClient(base_url="http://fake", transport=fake.transport())
        async with client, client.stream("POST", "/api/chat", json=body) as reply:
            async for _ in reply.aiter_raw():
                seen.append(loop.time())
        return seen, fake.served

    seen, served = run_virtual(main)
    assert seen == ([0.75, 1.5] if stream else [1.5])
    assert served == [Served("Hi", {"num_predict": 3}, 0.0, 1.5)]
