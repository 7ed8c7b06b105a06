"""A front that lets everything through to one server, and notes what was asked, what was answered, and when.

Bodies go through as they come, byte for byte. Of the headers one is read, the job's name; none is kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from harness.gateway.reading import HELD, Tail, read_request
from harness.gateway.upstream import Headers, Upstream, UpstreamError, without
from harness.servers.access import Access, preflight, shared
from harness.servers.asgi import Caller, TooLarge, read_body

__all__ = ["JOB_HEADER", "Exchange", "RecordingApp"]

JOB_HEADER = b"x-slotwise-job"
MOST_ANSWER_BYTES = 4 << 20  # that are kept of one answer; its end is looked at whatever its length


class Exchange(NamedTuple):
    """One call of a model that went through. Times are seconds on the clock of the recorder."""

    path: str
    asked: Mapping[str, object]  # the body of the request
    job: str  # as a header named it
    start_s: float
    end_s: float
    status: int  # 0: there was no answer
    answer: bytes  # its body, cut at `MOST_ANSWER_BYTES`
    pieces: int  # in which it came
    input_tokens: int | None
    output_tokens: int | None
    failed: str  # why; "" = it did not


class RecordingApp:
    """The front as an ASGI app.

    Args:
        upstream: the server.
        keep: is given every call of a model when it has ended.
        clock: seconds, growing.
        access: who is let in.
        answers_as: the model of the server, which answers whatever model is asked for; "" = the one that is.
    """

    def __init__(
        self,
        upstream: Upstream,
        keep: Callable[[Exchange], None],
        clock: Callable[[], float],
        access: Access,
        answers_as: str = "",
    ) -> None:
        self._upstream, self._keep, self._clock, self._access = upstream, keep, clock, access
        self._answers_as = answers_as

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if refusal := self._access.refusal(headers):
            await _error(send, 403, refusal)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _send(send, 204, preflight(headers), b"")
        else:
            await self._through(scope, headers, receive, send)

    async def _through(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        start_s = self._clock()
        try:
            data = await read_body(receive)
        except TooLarge as error:
            await _error(send, 413, str(error))
            return
        if data is None:  # the client has gone
            return
        path, method = scope["path"], scope["method"]
        asked = read_request(path, data) if method == "POST" and path in HELD else None
        noted = _Noted(asked is not None and asked.holds)
        if asked is not None and self._answers_as:
            data = json.dumps({**asked.body, "model": self._answers_as}).encode()
        client = Caller(receive)
        try:
            await self._relay(scope, headers, data, send, client, noted)
        except UpstreamError as error:
            noted.failed = "the server broke off" if noted.status else "the server did not answer"
            if not noted.status:
                await _error(send, 502, str(error))
        except asyncio.CancelledError:
            noted.failed = "given up by the program"
            if not client.gone:
                raise
            client.forgive()
        finally:
            client.leave()
            if asked is not None and noted.wanted:
                job = headers.get(JOB_HEADER, b"").decode("latin-1")[:200]
                self._keep(noted.exchange(path, asked.body, job, start_s, self._clock()))

    async def _relay(
        self, scope: Scope, headers: dict[bytes, bytes], data: bytes, send: Send, client: Caller, noted: _Noted
    ) -> None:
        target = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        onward = without(list(scope["headers"]), [b"host", b"origin", b"expect", b"content-length", JOB_HEADER])
        answer = await self._upstream.send(scope["method"], target.decode("latin-1"), onward, data)
        try:
            noted.status = answer.status
            own = [*without(answer.headers, [b"access-control-allow-origin"]), *shared(headers)]
            await send({"type": "http.response.start", "status": answer.status, "headers": own})
            async for chunk in answer.chunks:
                noted.add(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            client.expected()  # servers also say "disconnect" when a response is complete
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.close()


class _Noted:
    """What is kept of an answer as it goes through."""

    def __init__(self, wanted: bool) -> None:
        self.wanted, self.status, self.failed = wanted, 0, ""
        self._parts: list[bytes] = []
        self._bytes = 0
        self._tail = Tail()

    def add(self, chunk: bytes) -> None:
        if self.wanted and self._bytes < MOST_ANSWER_BYTES:
            self._parts.append(chunk[: MOST_ANSWER_BYTES - self._bytes])
            self._bytes += len(chunk)
        self._tail.add(chunk)

    def exchange(self, path: str, asked: Mapping[str, object], job: str, start_s: float, end_s: float) -> Exchange:
        failed = self.failed
        if not failed and (self.status >= 400 or self._tail.is_error):
            failed = f"the server answered {self.status}" if self.status >= 400 else "the server answered an error"
        input_tokens, output_tokens = self._tail.tokens()
        answer = b"".join(self._parts)
        return Exchange(
            path, asked, job, start_s, end_s, self.status, answer, len(self._parts), input_tokens, output_tokens, failed
        )


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _error(send: Send, status: int, message: str) -> None:
    await _send(send, status, [(b"content-type", b"application/json")], json.dumps({"error": message}).encode())
