"""One connection to a server: HTTP/1.1 as llhttp reads it (httptools), each piece of an answer as it comes.

asyncio's streams and h11 would do the same for more CPU a piece than a token of a stream may cost
(benchmarks/bench_gateway.py).
"""

from __future__ import annotations

import asyncio
from collections import deque

import httptools

__all__ = ["Headers", "Wire", "WireError"]

Headers = list[tuple[bytes, bytes]]
MOST_HEAD_BYTES = 256 * 1024
MOST_KEPT_BYTES = 256 * 1024  # of an answer that nobody takes: beyond, the server has to wait


class WireError(Exception):
    """The connection broke off, or what came is no HTTP; the message goes on after the server's address."""


class Wire(asyncio.Protocol):
    """A connection; one request at a time. `begin`, `write`, `head`, `piece` until None, then `rest` for the next."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._lost = False
        self._resting = True  # no request is on its way
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._restart(bodiless=False)

    def _restart(self, *, bodiless: bool) -> None:
        self._bodiless = bodiless
        self._headers: Headers = []
        self._head: tuple[int, Headers] | None = None
        self._head_bytes = 0
        self._pieces: deque[bytes] = deque()
        self._kept_bytes = 0
        self._complete = False
        self._keeps = False
        self._error = ""

    @property
    def open(self) -> bool:
        """Whether a request may be sent."""
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this one, whose answer is complete."""
        return self._complete and self._keeps and self.open and not self._error

    def begin(self, *, bodiless: bool) -> None:
        """Expect the answer to a new request; `bodiless`: it is a HEAD, whose answer has no body."""
        self._resting = False
        self._restart(bodiless=bodiless)

    def rest(self) -> None:
        """Take note that nothing is expected until the next request."""
        self._resting = True

    def write(self, data: bytes) -> None:
        """Send bytes of a request."""
        if not self.open or self._transport is None:
            raise WireError("closed the connection without an answer")
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until more may be written."""
        await self._writable.wait()

    async def head(self) -> tuple[int, Headers]:
        """Return status and headers; WireError where there are none."""
        while self._head is None:
            if self._error or self._lost:
                raise WireError(self._error or "closed the connection without an answer")
            await self._more()
        return self._head

    async def piece(self) -> bytes | None:
        """Return the next piece of the body, None at its end; WireError where it breaks off."""
        while not self._pieces:
            if self._complete:
                return None
            if self._error or self._lost:
                raise WireError(self._error or "broke off in the middle of an answer")
            await self._more()
        piece = self._pieces.popleft()
        self._kept_bytes -= len(piece)
        if self._kept_bytes < MOST_KEPT_BYTES and self._transport is not None and not self._lost:
            self._transport.resume_reading()
        return piece

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def give_up(self) -> None:
        """Close, unless all of the answer has come and been taken."""
        if not self._resting:
            self.abort()

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._resting or self._complete:  # nobody has asked for it
            self._error = "said something that nobody had asked for"
            self.abort()
            return
        if self._head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._error = f"does not speak HTTP ({' '.join(str(error).split())[:120]})"
        if self._head is None and self._head_bytes > MOST_HEAD_BYTES:
            self._error = "sends a head that is too long"
        if self._error:
            self.abort()
        elif self._kept_bytes > MOST_KEPT_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Close; see `connection_lost`."""

    def connection_lost(self, error: Exception | None) -> None:
        """Take note; an answer without a length ends with its connection."""
        self._lost = True
        ends_so = self._head is not None and not self._framed() and error is None
        if ends_so and not self._complete:
            self._complete = True
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._writable.set()

    # --- what the parser calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Keep the head; one that only says that a real one follows is left out."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self._head = status, self._headers
        self._keeps = self._parser.should_keep_alive()
        if self._bodiless:  # the parser would wait for a body
            self._complete, self._keeps = True, False

    def on_body(self, body: bytes) -> None:
        """Keep a piece."""
        if not self._bodiless:
            self._pieces.append(body)
            self._kept_bytes += len(body)

    def on_message_complete(self) -> None:
        """The answer has ended."""
        if self._head is None:
            self._headers = []
        else:
            self._complete = True

    def _framed(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
