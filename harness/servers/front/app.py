"""The endpoints: a Starlette app that speaks Ollama's HTTP API over an engine.

Timings are taken on one monotonic clock. `total_duration` runs from the entry of the handler to the engine's
last event, `load_duration` up to the moment the call joins the queue for a slot. The wait in that queue has
no field of its own (as on Ollama), but here the response header `x-slotwise-queue-ns` tells it, as
`x-slotwise-cached-tokens` tells how much of the prompt was found in the cache, and `x-slotwise-thinking-tokens` how
many of the tokens come before the answer, where the request says how many these are to be.

Keep-alive: the engine's memory is never freed while the server runs. `keep_alive` moves `expires_at` in
/api/ps, and a model that has expired (or was sent away with 0) is no longer listed there until the next call,
which is what clients wait for; loading it again costs nothing.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from harness.servers.asgi import Caller, TooLarge, read_body
from harness.servers.front.engine import Cached, Embedded, EmbeddingEngine, EngineError, Final, TextEngine
from harness.servers.front.reply import FrontReply, details, embedded, error_line, known, listing, shown
from harness.servers.front.request import (
    ApiError,
    FrontRequest,
    parse_chat,
    parse_embed,
    parse_generate,
    parse_json,
    same_model,
)
from harness.servers.front.slots import Slots

__all__ = ["CACHED_HEADER", "QUEUE_HEADER", "THINKING_HEADER", "create_app"]

QUEUE_HEADER = "x-slotwise-queue-ns"
CACHED_HEADER = "x-slotwise-cached-tokens"  # prompt tokens found in the cache
THINKING_HEADER = "x-slotwise-thinking-tokens"  # tokens before the answer
OLLAMA_VERSION = "0.33.0"  # the version of the protocol; some clients refuse servers that look old
NDJSON = b"application/x-ndjson"
JSON = b"application/json; charset=utf-8"
FOR_EVER = datetime(2318, 1, 1, tzinfo=UTC)  # about where Ollama's largest duration ends

PARSERS: dict[Literal["chat", "generate"], Callable[[bytes, TextEngine], FrontRequest]] = {
    "chat": parse_chat,
    "generate": parse_generate,
}


def create_app(engine: TextEngine, clock_ns: Callable[[], int] = time.monotonic_ns) -> Starlette:
    """Return the app for one engine; it must be served by one event loop. All timings are taken on `clock_ns`."""
    slots = Slots(engine.slots)
    residency = Residency()
    chat = Completion("chat", engine, slots, residency, clock_ns)
    generate = Completion("generate", engine, slots, residency, clock_ns)
    embedder = engine if isinstance(engine, EmbeddingEngine) and engine.embedding_model is not None else None
    embed = EmbedEndpoint(engine.model.name, embedder, clock_ns)
    embedding = [] if embedder is None or embedder.embedding_model is None else [embedder.embedding_model]

    async def root(_: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(_: Request) -> Response:
        return JSONResponse({"version": OLLAMA_VERSION, "engine": engine.version, "emulated": engine.emulated})

    async def tags(_: Request) -> Response:
        return JSONResponse({"models": [listing(model) for model in (engine.model, *embedding)]})

    async def show(request: Request) -> Response:
        data = parse_json(await _read(request.receive) or b"")
        name = data.get("model") or data.get("name")
        if not isinstance(name, str) or not name:
            raise ApiError(400, "model is required")
        for model in (engine.model, *embedding):
            if same_model(name, model.name):
                return JSONResponse(shown(model, engine.context_tokens))
        raise ApiError(404, f"model '{name}' not found")

    async def ps(_: Request) -> Response:
        expires_at = residency.expires_at(busy=slots.busy > 0)
        if expires_at is None:
            return JSONResponse({"models": []})
        loaded = [
            {
                "name": f"{model.name}:latest",
                "model": f"{model.name}:latest",
                "digest": model.digest,
                "details": details(model),
                "expires_at": expires_at.isoformat().replace("+00:00", "Z"),
                **known(size=model.memory_bytes, size_vram=model.vram_bytes, context_length=engine.context_tokens),
            }
            for model in (engine.model, *embedding)
        ]
        return JSONResponse({"models": loaded})

    return Starlette(
        routes=[
            Route("/", root),
            Route("/api/version", version),
            Route("/api/tags", tags),
            Route("/api/ps", ps),
            Route("/api/show", show, methods=["POST"]),
            Route("/api/chat", chat, methods=["POST"]),
            Route("/api/generate", generate, methods=["POST"]),
            Route("/api/embed", embed, methods=["POST"]),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error},
    )


class Residency:
    """Until when the model counts as loaded; it starts loaded, for ever."""

    def __init__(self) -> None:
        self._keep_s = math.inf
        self._since = datetime.now(UTC)
        self._unloaded = False

    def used(self, keep_alive_s: float | None) -> None:
        """Note the end of a call and the keep-alive it asked for."""
        if keep_alive_s is not None:
            self._keep_s = keep_alive_s
        elif self._unloaded:
            self._keep_s = math.inf
        self._since = datetime.now(UTC)
        self._unloaded = self._keep_s == 0

    def expires_at(self, *, busy: bool) -> datetime | None:
        """Return when the model will count as unloaded, or None when it does."""
        if self._unloaded and not busy:
            return None
        try:
            end = min(self._since + timedelta(seconds=self._keep_s), FOR_EVER)
        except OverflowError:
            return FOR_EVER
        return end if busy or end > datetime.now(UTC) else None


class Completion:
    """/api/chat or /api/generate, on bare ASGI: a streaming response class costs more than a token may."""

    def __init__(
        self,
        kind: Literal["chat", "generate"],
        engine: TextEngine,
        slots: Slots,
        residency: Residency,
        clock_ns: Callable[[], int],
    ) -> None:
        self._clock_ns = clock_ns
        self._kind = kind
        self._engine = engine
        self._slots = slots
        self._residency = residency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        entered_ns = self._clock_ns()
        try:
            body = await _read(receive)
            if body is None:
                return
            call = PARSERS[self._kind](body, self._engine)
        except ApiError as error:
            await _send(send, error.status, JSON, error_line(error.message))
            return
        if call.request is None:
            self._residency.used(call.keep_alive_s)
            reason: Literal["load", "unload"] = "unload" if call.keep_alive_s == 0 else "load"
            await _send(send, 200, JSON, FrontReply(self._kind, call.model).loaded(reason))
            return
        client = Caller(receive)
        queued_ns = self._clock_ns()
        try:
            await self._slots.acquire()
            try:
                await self._generate(call, send, client, entered_ns, queued_ns)
            finally:
                self._residency.used(call.keep_alive_s)
                self._slots.release()
        except asyncio.CancelledError:
            if not client.gone:
                raise
            client.forgive()
        finally:
            client.leave()

    async def _generate(self, call: FrontRequest, send: Send, client: Caller, entered_ns: int, queued_ns: int) -> None:
        """Generate in the slot that is held: the last chunk is written before it is given back."""
        assert call.request is not None
        slot_ns = self._clock_ns()
        reply = FrontReply(self._kind, call.model)
        headers = {} if self._engine.slots is None else {QUEUE_HEADER: slot_ns - queued_ns}
        if not call.request.cache_prompt:
            headers[CACHED_HEADER] = 0
        if call.request.thinking_tokens:
            headers[THINKING_HEADER] = call.request.thinking_tokens
        stream = self._engine.generate(call.request)
        started = False
        texts: list[str] = []
        thoughts: list[str] = []
        final: Final | None = None
        try:
            async for piece in stream:
                if isinstance(piece, Final):
                    final = piece
                    if piece.cached_tokens is not None:
                        headers[CACHED_HEADER] = piece.cached_tokens
                    break
                if isinstance(piece, Cached):
                    headers[CACHED_HEADER] = piece.tokens
                    continue
                if not call.stream:
                    if isinstance(piece, str):
                        texts.append(piece)
                    else:
                        thoughts.append(piece.text)
                    continue
                line = reply.chunk(piece) if isinstance(piece, str) else reply.thought(piece.text)
                if not started:
                    started = True
                    await _start(send, 200, NDJSON, headers)
                await send({"type": "http.response.body", "body": line, "more_body": True})
            if final is None:
                raise EngineError(500, "the engine ended without a result")
        except EngineError as error:
            line = error_line(error.message)
            if not started:
                await _start(send, error.status, JSON, headers)
            await send({"type": "http.response.body", "body": line})
            return
        finally:
            await stream.aclose()
        total_ns = self._clock_ns() - entered_ns
        line = reply.last("".join(texts), "".join(thoughts), final, total_ns, queued_ns - entered_ns)
        client.expected()
        if not started:
            await _start(send, 200, NDJSON if call.stream else JSON, headers)
        await send({"type": "http.response.body", "body": line})


class EmbedEndpoint:
    """/api/embed: the queue is the engine's, as a server has for each of its models."""

    def __init__(self, model: str, engine: EmbeddingEngine | None, clock_ns: Callable[[], int]) -> None:
        self._model = model
        self._engine = engine
        self._clock_ns = clock_ns
        named = None if engine is None else engine.embedding_model
        self._name = None if named is None else named.name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        entered_ns = self._clock_ns()
        try:
            body = await _read(receive)
            if body is None:
                return
            texts = parse_embed(body, self._model, self._name)
        except ApiError as error:
            await _send(send, error.status, JSON, error_line(error.message))
            return
        name = str(parse_json(body)["model"])
        if not texts or self._engine is None:
            await _send(send, 200, JSON, embedded(name, Embedded((), 0, 0), 0, 0))
            return
        client = Caller(receive)
        queued_ns = self._clock_ns()
        try:
            found = await self._engine.embed(texts)
            client.expected()
            total_ns = self._clock_ns() - entered_ns
            line = embedded(name, found, total_ns, queued_ns - entered_ns)
            await _start(send, 200, JSON, {QUEUE_HEADER: found.queue_ns, "content-length": len(line)})
            await send({"type": "http.response.body", "body": line})
        except asyncio.CancelledError:
            if not client.gone:
                raise
            client.forgive()
        finally:
            client.leave()


async def _read(receive: Receive) -> bytes | None:
    try:
        return await read_body(receive)
    except TooLarge as error:
        raise ApiError(413, str(error)) from None


async def _start(send: Send, status: int, kind: bytes, numbers: Mapping[str, int]) -> None:
    headers = [(b"content-type", kind), *((name.encode(), str(number).encode()) for name, number in numbers.items())]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send(send: Send, status: int, kind: bytes, body: bytes) -> None:
    await _start(send, status, kind, {"content-length": len(body)})
    await send({"type": "http.response.body", "body": body})


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse({"error": error.message}, error.status)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "404 page not found", 405: "405 method not allowed"}
    return PlainTextResponse(texts.get(error.status_code, str(error.detail)), error.status_code, error.headers)
