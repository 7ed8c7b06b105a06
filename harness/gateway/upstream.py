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

import h11

from harness.units import safe_url

__all__ = ["Headers", "HttpUpstream", "Upstream", "UpstreamAnswer", "UpstreamError", "without"]

CONNECT_S = 5.0
READ_BYTES = 65536
MOST_IDLE = 64  # connections kept
MOST_HEAD_BYTES = 256 * 1024
Headers = list[tuple[bytes, bytes]]


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


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h11: h11.Connection


class HttpUpstream:
    """A server at a URL.

    Args:
        url: with scheme and port, perhaps with a user and a password, which are sent and never shown.
        key: sent as a bearer token instead; "" = none. It is never shown.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.url = safe_url(url)
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._own: Headers = [(b"host", parts.netloc.rpartition("@")[2].encode())]
        self._key = _authorization(parts, key)
        self._base = parts.path.rstrip("/")
        self._idle: list[_Connection] = []

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | AsyncIterator[bytes] = b""
    ) -> UpstreamAnswer:
        """Send a request; see `Upstream`."""
        if self._key:
            headers = [each for each in headers if each[0] != b"authorization"]
        framed: Headers = [*self._own, *headers, *self._key]
        if isinstance(body, bytes):
            framed += [(b"content-length", str(len(body)).encode())] if body or method in ("POST", "PUT") else []
        elif not any(name == b"content-length" for name, _ in headers):
            framed.append((b"transfer-encoding", b"chunked"))
        request = h11.Request(method=method, target=self._base + target, headers=framed)
        while self._idle:
            connection = self._idle.pop()
            if connection.reader.at_eof() or connection.writer.is_closing():
                connection.writer.close()
                continue
            try:
                return await self._exchange(connection, request, body)
            except UpstreamError:
                if not isinstance(body, bytes):  # a part of it has gone
                    raise
                break  # it was closed while it was idle, or just now: a new one tells
        return await self._exchange(await self._connect(), request, body)

    def close(self) -> None:
        """Close idle connections."""
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls, limit=READ_BYTES * 4
                )
        except ssl.SSLCertVerificationError as error:
            said = f"{self.url} has a certificate that is not trusted here ({error.verify_message})"
            raise UpstreamError(f"{said}; name its issuer's in SSL_CERT_FILE", refused=True) from None
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"{self.url} does not answer ({_said(error)})", refused=True) from None
        return _Connection(reader, writer, h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES))

    async def _exchange(
        self, connection: _Connection, request: h11.Request, body: bytes | AsyncIterator[bytes]
    ) -> UpstreamAnswer:
        writer, machine = connection.writer, connection.h11
        try:
            data = machine.send(request) or b""
            if isinstance(body, bytes):
                if body:
                    data += machine.send(h11.Data(data=body)) or b""
                writer.write(data + (machine.send(h11.EndOfMessage()) or b""))
            else:
                writer.write(data)
                async for piece in body:
                    writer.write(machine.send(h11.Data(data=piece)) or b"")
                    await writer.drain()
                writer.write(machine.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            while True:
                event = await self._next(connection)
                if isinstance(event, h11.Response):
                    break
                if not isinstance(event, h11.InformationalResponse):
                    raise UpstreamError(f"{self.url} closed the connection without an answer")
        except (OSError, h11.ProtocolError) as error:
            writer.close()
            raise UpstreamError(f"{self.url} broke off ({_said(error)})") from None
        except BaseException:
            writer.close()
            raise
        return UpstreamAnswer(
            event.status_code, list(event.headers), self._chunks(connection), lambda: self._give_up(writer)
        )

    async def _chunks(self, connection: _Connection) -> AsyncIterator[bytes]:
        try:
            while isinstance(event := await self._next(connection), h11.Data):
                yield bytes(event.data)
            if not isinstance(event, h11.EndOfMessage):
                raise UpstreamError(f"{self.url} broke off in the middle of an answer")
        except (OSError, h11.ProtocolError) as error:
            connection.writer.close()
            raise UpstreamError(f"{self.url} broke off in the middle of an answer ({_said(error)})") from None
        machine = connection.h11
        if machine.our_state is h11.DONE and machine.their_state is h11.DONE and len(self._idle) < MOST_IDLE:
            machine.start_next_cycle()
            self._idle.append(connection)
        else:
            connection.writer.close()

    async def _next(self, connection: _Connection) -> Any:
        machine = connection.h11
        while (event := machine.next_event()) is h11.NEED_DATA:
            machine.receive_data(await connection.reader.read(READ_BYTES))
        return event

    async def _give_up(self, writer: asyncio.StreamWriter) -> None:
        if writer not in [idle.writer for idle in self._idle]:
            writer.transport.abort()


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
