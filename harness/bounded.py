"""Clients that measure or ask a server: no answer is read for ever, and no proxy lies between."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from harness.units import size

__all__ = ["ANSWER_BYTES", "VECTORS_BYTES", "AnswerTooLong", "Bounded", "asking", "without_proxies"]

ANSWER_BYTES: Final = 64 << 20  # a token takes about 150 bytes of a stream, so this is some 400,000 of them
VECTORS_BYTES: Final = 512 << 20  # of one embedding request: 10,000 texts with 4,096 numbers each
TOLD_BYTES: Final = 64 << 20  # of what a server says of itself


class AnswerTooLong(httpx.ReadError):
    """An answer went on beyond any use, and was given up."""


class Bounded(httpx.AsyncBaseTransport):
    """Reads at most `most_bytes` of each answer that another transport brings."""

    def __init__(self, inner: httpx.AsyncBaseTransport, most_bytes: int) -> None:
        self._inner, self._most_bytes = inner, most_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        response = await self._inner.handle_async_request(request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Counted(response.stream, self._most_bytes)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Counted(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, most_bytes: int) -> None:
        self._inner, self._most_bytes = inner, most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most_bytes
        async for part in self._inner:
            left -= len(part)
            if left < 0:
                raise AnswerTooLong(f"the answer did not end within {size(self._most_bytes)}, and was given up")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def asking(url: str, timeout: float, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return a client for what a server says of itself: without proxies, and no answer is read for ever.

    Args:
        url: of the server.
        timeout: seconds until the next byte.
        transport: for tests: answers instead of the network.
    """
    inner = Bounded(transport or httpx.AsyncHTTPTransport(trust_env=False), TOLD_BYTES)
    return httpx.AsyncClient(base_url=url, timeout=timeout, trust_env=False, transport=inner)


@contextmanager
def without_proxies() -> Iterator[None]:
    """Hide the proxies of the environment: `ollama` makes a client as it is imported, and stumbles over some."""
    names = [name for name in os.environ if name.lower() in ("all_proxy", "http_proxy", "https_proxy")]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
