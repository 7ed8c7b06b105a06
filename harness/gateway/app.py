"""The gateway as a bare ASGI app: requests come in, wait for their turn where they hold a slot, and go on.

Bodies go through as they come, byte for byte; of an answer only the end is looked at, when it has gone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from harness.core.records import Outcome, Reply
from harness.drivers.gateway import Closing, Gate, QueueFull, Unreachable
from harness.gateway.classes import CLASSES, CallClass, Classes, UnknownClass, said_by
from harness.gateway.health import Health
from harness.gateway.metrics import CONTENT_TYPE, Metrics
from harness.gateway.reading import HELD, AskedFor, Tail, read_request, session_of
from harness.gateway.upstream import Headers, Upstream, UpstreamAnswer, UpstreamError, without
from harness.servers.access import Access, preflight, shared
from harness.servers.asgi import Caller, TooLarge, read_body
from harness.servers.json_body import MOST_LEVELS
from harness.units import safe_text

__all__ = ["VIA_HEADER", "GatewayApp"]

VIA_HEADER = b"x-slotwise-via"  # the gateways that a request has passed
RETRY_AFTER_S = 1, 60  # the least and the most that is said
BUSY = "server busy, please try again. maximum pending requests exceeded"  # Ollama's words
UNREADABLE = (
    "invalid request body; expected a JSON object in UTF-8, "
    f"at most {MOST_LEVELS} levels deep, with numbers of at most 4,300 digits"
)
MOST_VIA_BYTES = 1024
TRIES = 2


class _Refused(Exception):
    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or []


class _Asked(NamedTuple):
    method: str
    path: str  # without the prefix of a class
    target: str  # with the query
    headers: Mapping[bytes, bytes]
    onward: Headers
    by_path: CallClass | None


class GatewayApp:
    """One gateway; it must be served by one event loop.

    Args:
        gate: whose pipelines are the classes, in the order of `CLASSES`.
        upstreams: in the order of the plan's queues.
        health: watches over these.
        classes: who is interactive.
        access: who is let in.
        metrics: shown at /metrics.
        own_id: of this gateway, in `VIA_HEADER`.
        settles: conversations stay on one server.
    """

    def __init__(
        self,
        gate: Gate,
        upstreams: Sequence[Upstream],
        health: Health,
        classes: Classes,
        access: Access,
        metrics: Metrics,
        own_id: str,
        *,
        settles: bool,
    ) -> None:
        self._gate, self._upstreams, self._health, self._classes = gate, upstreams, health, classes
        self._access, self._metrics, self._id, self._settles = access, metrics, own_id.encode(), settles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        try:
            refusal = self._access.refusal(headers)
            if refusal:
                raise _Refused(403, refusal)
            if scope["path"] == "/metrics" and scope["method"] == "GET":
                await _send(send, 200, [(b"content-type", CONTENT_TYPE)], self._metrics.text())
                return
            request = self._read_head(scope, headers)
            if request.method == "OPTIONS" and b"access-control-request-method" in headers:
                await _send(send, 204, preflight(headers), b"")
            elif request.method == "POST" and request.path in HELD:
                await self._held(request, receive, send)
            else:
                await self._passed(request, _body(receive, headers), send)
        except _Refused as refused:
            await _error(send, refused.status, str(refused), refused.headers)

    def _read_head(self, scope: Scope, headers: Mapping[bytes, bytes]) -> _Asked:
        via = [each.strip() for each in headers.get(VIA_HEADER, b"").split(b",") if each.strip()]
        if self._id in via or len(b",".join(via)) > MOST_VIA_BYTES:
            raise _Refused(508, "this gateway leads to itself", [(VIA_HEADER, self._id)])
        target, path = scope.get("raw_path") or scope["path"].encode(), scope["path"]
        by_path: CallClass | None = None
        for name in CLASSES:
            if path.startswith(f"/{name}/"):
                by_path, path, target = name, path[len(name) + 1 :], target[len(name) + 1 :]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        try:
            said_by(headers)  # a mistake is told, even where no class is needed
        except UnknownClass as error:
            raise _Refused(400, str(error)) from None
        left_out = [b"host", b"origin", b"expect", VIA_HEADER]
        if self._classes.is_key(headers):
            left_out.append(b"authorization")  # it is ours, and no server's
        onward = [*without(list(scope["headers"]), left_out), (VIA_HEADER, b", ".join([*via, self._id]))]
        return _Asked(scope["method"], path, target.decode("latin-1"), headers, onward, by_path)

    async def _passed(self, request: _Asked, body: bytes | AsyncIterator[bytes], send: Send) -> None:
        """Let through what holds no slot: to the first server that can be reached."""
        number = next(iter(self._health.up()), 0)
        try:
            if isinstance(body, bytes):
                request = request._replace(onward=without(request.onward, [b"content-length"]))
            elif self._classes.models and request.path == "/api/show":
                body, request = await self._named(body, request)
            answer = await self._upstreams[number].send(request.method, request.target, request.onward, body)
        except UpstreamError as error:
            await self._health.failed(number, error)
            raise _Refused(502, str(error)) from None
        try:
            if self._classes.models and answer.status == 200 and request.path in ("/api/tags", "/v1/models"):
                await self._listed(answer, request, send)
                return
            await self._relay(answer, request, send, Tail())
        except UpstreamError:
            return
        finally:
            await answer.close()

    async def _held(self, request: _Asked, receive: Receive, send: Send) -> None:
        data = await _read(receive)
        if data is None:
            return
        asked = read_request(request.path, data)
        if asked is None:  # some servers read more than we do, and would answer it without a slot
            raise _Refused(400, UNREADABLE)
        model = self._classes.model_of(asked.model)
        if model != asked.model:
            data = json.dumps({**asked.body, "model": model}).encode()
        if not asked.holds:
            await self._passed(request, data, send)
            return
        request = request._replace(onward=without(request.onward, [b"content-length"]))
        client = Caller(receive)
        try:
            await self._in_turn(request, asked, data, send, client)
        except asyncio.CancelledError:
            if not client.gone:
                raise
            client.forgive()
        finally:
            client.leave()

    async def _in_turn(self, request: _Asked, asked: AskedFor, data: bytes, send: Send, client: Caller) -> None:
        """Wait for the turn of a call, send it, and hold its slot until its server is done with it."""
        pipeline = CLASSES.index(self._classes.of(request.headers, request.by_path, asked.model))
        session = session_of(request.headers, asked) if self._settles else -1
        for attempt in range(TRIES):
            try:
                call = await self._gate.enter(pipeline, session)
            except QueueFull:
                raise _Refused(
                    503, "server busy, please try again. maximum pending requests exceeded", self._later()
                ) from None
            except Closing:
                raise _Refused(503, "this gateway is ending, please try again", self._later()) from None
            except Unreachable:
                raise _Refused(502, "no server behind this gateway can be reached") from None
            reply = Reply("cancelled")
            sent_s, tail = self._gate.now_s, Tail()
            try:
                answer = await self._upstreams[call.queue].send(request.method, request.target, request.onward, data)
                try:
                    reply = await self._relay(answer, request, send, tail, client)
                finally:
                    await answer.close()
                return
            except UpstreamError as error:
                reply = Reply("error", error=safe_text(str(error)))
                await self._health.failed(call.queue, error)
                if tail.begun or attempt + 1 == TRIES or not self._gate.others(pipeline, call.queue):
                    if tail.begun:
                        return
                    raise _Refused(502, str(error)) from None
            finally:
                self._gate.left(call, reply._replace(sent_s=sent_s, end_s=self._gate.now_s))

    def _later(self) -> Headers:
        """Return when to come again: after what calls wait here now, in whole seconds."""
        least_s, most_s = RETRY_AFTER_S
        return [(b"retry-after", str(min(max(math.ceil(self._gate.wait_s), least_s), most_s)).encode())]

    async def _relay(
        self, answer: UpstreamAnswer, request: _Asked, send: Send, tail: Tail, client: Caller | None = None
    ) -> Reply:
        """Send an answer on as it comes; UpstreamError where it breaks off, when the client has been told."""
        headers = [*without(answer.headers, [b"access-control-allow-origin"]), *shared(request.headers)]
        kind = dict(headers).get(b"content-type", b"")
        tail.begun, first_s = True, None
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        try:
            async for chunk in answer.chunks:
                if first_s is None:
                    first_s = self._gate.now_s
                tail.add(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (UpstreamError, asyncio.CancelledError) as error:
            if client is not None and client.gone:
                raise
            line = _last_line(kind, str(error) if isinstance(error, UpstreamError) else "this gateway has ended", tail)
            if client is not None:
                client.expected()
            if line is not None:
                await send({"type": "http.response.body", "body": line})
            raise
        if client is not None:
            client.expected()  # servers also say "disconnect" when a response is complete
        await send({"type": "http.response.body", "body": b""})
        outcome: Outcome = "ok"
        if answer.status >= 400 or tail.is_error:
            outcome = "rejected" if answer.status == 503 else "error"
        asked, answered = tail.tokens()
        said = None if outcome == "ok" else f"{answer.status}"
        return Reply(outcome, first_token_s=first_s, error=said, prompt_tokens=asked, output_tokens=answered)

    async def _named(self, body: AsyncIterator[bytes], request: _Asked) -> tuple[bytes, _Asked]:
        data = b"".join([piece async for piece in body])
        asked = read_request(request.path, data)
        if asked is not None:
            named = {key: value for key in ("model", "name") if isinstance(value := asked.body.get(key), str)}
            known = {key: self._classes.model_of(value) for key, value in named.items()}
            data = json.dumps({**asked.body, **known}).encode()
        return data, request._replace(onward=without(request.onward, [b"content-length"]))

    async def _listed(self, answer: UpstreamAnswer, request: _Asked, send: Send) -> None:
        """Send the list of models on, with those that are offered as interactive too."""
        data = b"".join([chunk async for chunk in answer.chunks])
        try:
            listing: dict[str, Any] = json.loads(data)
            entries = listing["models" if request.path == "/api/tags" else "data"]
            for entry in list(entries):
                known = str(entry.get("name") or entry.get("id"))
                if self._classes.model_of(f"interactive/{known}") == known:
                    alias = {key: f"interactive/{known}" for key in ("name", "model", "id") if key in entry}
                    entries.append({**entry, **alias})
            data = json.dumps(listing).encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # it is not a list of models; the client sees what the server said
        headers = [
            *without(answer.headers, [b"content-length", b"access-control-allow-origin"]),
            *shared(request.headers),
        ]
        await _send(send, answer.status, headers, data)


def _body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes | AsyncIterator[bytes]:
    """Return the body of a request that goes through without being looked at."""
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return b""

    async def pieces() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise UpstreamError("the client has gone")
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)

    return pieces()


async def _read(receive: Receive) -> bytes | None:
    try:
        return await read_body(receive)
    except TooLarge as error:
        raise _Refused(413, str(error)) from None


def _last_line(kind: bytes, error: str, tail: Tail) -> bytes | None:
    """Return how a stream says that it has broken off; None where only a closed connection can."""
    start = b"" if tail.ends_line else b"\n"
    if kind.startswith(b"application/x-ndjson"):
        return start + json.dumps({"error": error}).encode() + b"\n"
    if kind.startswith(b"text/event-stream"):
        return start + b"data: " + json.dumps({"error": {"message": error, "type": "server_error"}}).encode() + b"\n\n"
    return None


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _error(send: Send, status: int, message: str, headers: Headers) -> None:
    """Say what is wrong as Ollama does."""
    kind = (b"content-type", b"application/json; charset=utf-8")
    await _send(send, status, [kind, *headers], json.dumps({"error": safe_text(message)}).encode())
