"""The way to a server: an HTTP/1.1 client that hands over each piece as it comes.

What it costs with all the rest: benchmarks/bench_gateway.py. Connections are
used again; one that the server closed meanwhile is replaced without a word.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from harness.gateway.wire import Headers, Wire, WireError
from harness.units import safe_url

__all__ = ["Headers", "HttpUpstream", "Upstream", "UpstreamAnswer", "UpstreamError", "without"]

CONNECT_S = 5.0
MOST_IDLE = 64  # connections kept


class UpstreamError(Exception):
    """A server could not be reached, or has broken off; `refused`: there was no connection at all."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class UpstreamAnswer(NamedTuple):
    """The head of a response, and its body as it comes; `close` gives up what has not come."""

    status: int
    headers: Headers
    chunks: AsyncIterator[bytes]
    close: Any  # a coroutine function


class Upstream(Protocol):
    """A server that requests go on to."""

    @property
    def url(self) -> str:
        """Its base URL, without credentials."""

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        """Send a request and wait for the head of its response.

        Raises:
            UpstreamError: there is none. From `chunks` it comes where the body breaks off.
        """
        ...


class HttpUpstream:
    """A server at a URL.

    Args:
        url: with scheme and port, perhaps with a user and a password, which are sent and never shown.
        key: sent as a bearer token instead; "" = none. It is never shown.
        shown: what it is called; "" = its URL.
    """

    def __init__(self, url: str, key: str = "", shown: str = "") -> None:
        self.url = shown or safe_url(url)
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._own: Headers = [(b"host", parts.netloc.rpartition("@")[2].encode())]
        self._key = _authorization(parts, key)
        self._base = parts.path.rstrip("/")
        self._idle: list[Wire] = []

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        """Send a request; see `Upstream`."""
        if self._key:
            headers = [each for each in headers if each[0] != b"authorization"]
        framed: Headers = [*self._own, *headers, *self._key]
        chunked = False
        if isinstance(body, bytes):
            framed += [(b"content-length", str(len(body)).encode())] if body or method in ("POST", "PUT") else []
        elif not any(name == b"content-length" for name, _ in headers):
            framed.append((b"transfer-encoding", b"chunked"))
            chunked = True
        lines = [f"{method} {self._base}{target} HTTP/1.1".encode("latin-1"), *(b": ".join(each) for each in framed)]
        if any(b"\r" in line or b"\n" in line for line in lines):
            raise UpstreamError("a request with a line break in its head is not sent")
        head = b"\r\n".join([*lines, b"", b""])
        while self._idle:
            wire = self._idle.pop()
            if not wire.open:
                continue
            try:
                return await self._exchange(wire, method, head, body, chunked=chunked)
            except UpstreamError:
                if not isinstance(body, bytes):  # a part of it has gone
                    raise
                break  # it was closed while it was idle, or just now: a new one tells
        return await self._exchange(await self._connect(), method, head, body, chunked=chunked)

    def close(self) -> None:
        """Close idle connections."""
        for wire in self._idle:
            wire.abort()
        self._idle.clear()

    async def _connect(self) -> Wire:
        try:
            async with asyncio.timeout(CONNECT_S):
                loop = asyncio.get_running_loop()
                _, wire = await loop.create_connection(Wire, self._host, self._port, ssl=self._tls)
        except ssl.SSLCertVerificationError as error:
            said = f"{self.url} has a certificate that is not trusted here ({error.verify_message})"
            raise UpstreamError(f"{said}; name its issuer's in SSL_CERT_FILE", refused=True) from None
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"{self.url} does not answer ({_said(error)})", refused=True) from None
        return wire

    async def _exchange(
        self, wire: Wire, method: str, head: bytes, body: bytes | AsyncIterator[bytes], *, chunked: bool
    ) -> UpstreamAnswer:
        try:
            wire.begin(bodiless=method == "HEAD")
            if isinstance(body, bytes):
                wire.write(head + body)
            else:
                wire.write(head)
                async for piece in body:
                    wire.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await wire.drained()
                if chunked:
                    wire.write(b"0\r\n\r\n")
            status, headers = await wire.head()
        except WireError as error:
            wire.abort()
            raise UpstreamError(f"{self.url} {error}") from None
        except BaseException:
            wire.abort()
            raise
        return UpstreamAnswer(status, headers, self._chunks(wire), wire.give_up)

    async def _chunks(self, wire: Wire) -> AsyncIterator[bytes]:
        try:
            while (piece := await wire.piece()) is not None:
                yield piece
        except WireError as error:
            wire.abort()
            raise UpstreamError(f"{self.url} {error}") from None
        if wire.reusable and len(self._idle) < MOST_IDLE:
            wire.rest()
            self._idle.append(wire)
        else:
            wire.abort()


def _authorization(parts: SplitResult, key: str) -> Headers:
    if key:
        return [(b"authorization", b"Bearer " + key.encode())]
    if parts.username is None:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [(b"authorization", b"Basic " + b64encode(pair.encode()))]


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def without(headers: Headers, names: Sequence[bytes]) -> Headers:
    """Return headers without those that are between two neighbours only (RFC 9110, 7.6.1), and without `names`."""
    named = [name.strip().lower() for key, value in headers if key == b"connection" for name in value.split(b",")]
    left_out = {*HOP_BY_HOP, *names, *named}
    return [(key, value) for key, value in headers if key not in left_out]


HOP_BY_HOP = (
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"),
    *(b"te", b"trailer", b"transfer-encoding", b"upgrade"),
)
