"""Answers byte by byte from a server that is a script: how they are framed, and what is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from harness.gateway.upstream import HttpUpstream, UpstreamError
from harness.gateway.wire import MOST_HEAD_BYTES

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def talk(answers: list[bytes], ask: Callable[[HttpUpstream], Awaitable[None]], *, then_closes: bool = True) -> int:
    """Give one answer to each request on a connection; return how many connections there were."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for answer in answers:
            if not await reader.read(65536):
                break
            writer.write(answer)
            await writer.drain()
        if not then_closes:
            await reader.read()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        upstream = HttpUpstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with asyncio.timeout(20):
            await ask(upstream)
        upstream.close()
        server.close()
        await asyncio.sleep(0.01)  # for what serves to hear of it

    asyncio.run(main())
    return connections


async def body_of(upstream: HttpUpstream, method: str = "GET") -> tuple[int, bytes]:
    answer = await upstream.send(method, "/", [])
    data = b"".join([piece async for piece in answer.chunks])
    await answer.close()
    return answer.status, data


@pytest.mark.parametrize(
    ("answer", "method", "expected"),
    [
        (OK + b"Content-Length: 2\r\n\r\nso", "GET", (200, b"so")),
        (CHUNKED + b"1\r\ns\r\n1;x=y\r\no\r\n0\r\nTrailer: t\r\n\r\n", "GET", (200, b"so")),
        (OK + b"\r\nuntil the end", "GET", (200, b"until the end")),
        (OK + b"Content-Length: 20\r\n\r\n", "HEAD", (200, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nso", "POST", (200, b"so")),
        (b"HTTP/1.0 200 OK\r\n\r\nold", "GET", (200, b"old")),
    ],
)
def test_how_an_answer_ends(answer: bytes, method: str, expected: tuple[int, bytes]) -> None:
    async def ask(upstream: HttpUpstream) -> None:
        assert await body_of(upstream, method) == expected

    assert talk([answer], ask) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (OK + b"Content-Length: 9\r\n\r\nso", "broke off in the middle of an answer"),
        (CHUNKED + b"2\r\nso\r\n", "broke off in the middle of an answer"),
        (CHUNKED + b"2\r\nsoX\r\n", "does not speak HTTP"),
        (OK + b"A: " + b"a" * MOST_HEAD_BYTES, "sends a head that is too long"),
    ],
)
def test_what_is_no_answer(answer: bytes, said: str) -> None:
    async def ask(upstream: HttpUpstream) -> None:
        with pytest.raises(UpstreamError, match=said):
            await body_of(upstream)

    talk([answer], ask)


def test_a_connection_is_used_again_and_one_that_was_closed_is_replaced() -> None:
    answer = OK + b"Content-Length: 2\r\n\r\nso"

    async def ask(upstream: HttpUpstream) -> None:
        for _ in range(3):
            assert await body_of(upstream) == (200, b"so")

    assert talk([answer] * 3, ask) == 1
    assert talk([answer], ask) == 3
    assert talk([answer + OK] * 3, ask, then_closes=False) == 3  # what nobody asked for is no answer to the next


def test_what_nobody_takes_is_not_kept_without_end() -> None:
    async def ask(upstream: HttpUpstream) -> None:
        answer = await upstream.send("GET", "/", [])
        size = 0
        async for piece in answer.chunks:
            size += len(piece)
            await asyncio.sleep(0)
        assert size == 8_000_000

    talk([OK + b"Content-Length: 8000000\r\n\r\n" + b"x" * 8_000_000], ask)


def test_a_line_break_gets_into_no_head() -> None:
    async def ask(upstream: HttpUpstream) -> None:
        with pytest.raises(UpstreamError, match="line break"):
            await upstream.send("GET", "/a\r\nHost: other", [])

    assert talk([OK], ask) == 0
