"""An answer that never ends is given up before it fills the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from harness import bounded
from harness.bounded import AnswerTooLong, Bounded
from harness.core.records import ChatRequest, EmbedRequest
from harness.drivers import chat, embedder


def endless(part: bytes, seen: list[int]) -> httpx.MockTransport:
    async def body() -> AsyncIterator[bytes]:
        while True:
            seen.append(len(part))
            yield part

    return httpx.MockTransport(lambda request: httpx.Response(200, content=body()))


LINE = b'{"model":"m","message":{"role":"assistant","content":"so "},"done":false}\n'


@pytest.mark.parametrize("part", [b" " * 65_536, LINE * 1000], ids=["one line", "lines"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_chat_that_never_ends_is_an_outcome(part: bytes, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "ANSWER_BYTES", 1_000_000)
    monkeypatch.setattr(chat.client_settings, "__defaults__", (1_000_000,))
    seen: list[int] = []

    async def ask() -> tuple[str, str | None]:
        one = chat.Chat("http://fake:1", "m", lambda: 0.0, transport=endless(part, seen))
        reply, text = await one.ask(ChatRequest(None, "hello", {}, stream))
        await one.close()
        return (reply.outcome, reply.error) if not text else ("ok", None)

    assert asyncio.run(ask()) == ("error", "the answer did not end within 1.0 MB, and was given up")
    assert sum(seen) < 1_000_000 + 2 * len(part)


def test_vectors_that_never_end_are_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "VECTORS_BYTES", 1_000_000)
    seen: list[int] = []

    async def ask() -> str | None:
        one = embedder.Embedder("http://fake:1", "m", lambda: 0.0, transport=endless(b"[0.1,", seen))
        reply = await one.embed(EmbedRequest(("a text",)))
        await one.close()
        return reply.error

    assert asyncio.run(ask()) == "the answer did not end within 1.0 MB, and was given up"


@pytest.mark.parametrize("most", [3, 4])
def test_no_more_than_the_limit_is_read(most: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"four"

    async def ask() -> bytes:
        transport = Bounded(httpx.MockTransport(lambda request: httpx.Response(200, content=body())), most)
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get("http://fake:1")).content

    if most == 4:
        assert asyncio.run(ask()) == b"four"
    else:
        with pytest.raises(AnswerTooLong):
            asyncio.run(ask())


def test_what_a_server_says_of_itself_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "TOLD_BYTES", 1_000_000)

    async def ask() -> None:
        async with bounded.asking("http://fake:1", 1.0, endless(b" " * 65_536, [])) as client:
            await client.get("/api/tags")

    with pytest.raises(AnswerTooLong, match=r"did not end within 1.0 MB"):
        asyncio.run(ask())


def test_the_limits_are_above_any_use() -> None:
    assert bounded.ANSWER_BYTES > 150 * 131_072  # the longest context that models have, streamed
