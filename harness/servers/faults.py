"""Faults on purpose, to see what a client makes of them: by rate and seed.

Which fault a call meets is a pure function of (seed, number of the call). Calls are counted as they come; those that
say `"faults": false` in their options (the harness does, while it warms a server up and counts its slots) are neither
counted nor touched.

    503        refused at once, in Ollama's words
    delay      held up for `delay_s` before it reaches the server
    cut        the connection is closed in the middle of the answer, after one to eight pieces
    malformed  one line of the answer, of the first eight, is no JSON
    hang       nothing is ever answered, until the client gives up; it takes no slot
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.core.draws import integer, uniform
from harness.core.model_swaps import BUSY
from harness.servers.asgi import BODY_BYTES_MAX
from harness.servers.distance import COMPLETIONS
from harness.servers.front.reply import error_line
from harness.workload.schema import FAULTS, FaultName

__all__ = ["Faults", "Faulty", "fault_of"]


WITHIN = 8  # pieces of an answer before it is cut or malformed
MALFORMED = b'{"model":"simulated","message":{"role":"assis\n'


class Faults(NamedTuple):
    """How many of the calls meet which fault."""

    rates: Mapping[str, float]  # by `FaultName`; they add up to 1 at most
    seed: int = 0
    delay_s: float = 5.0


def fault_of(faults: Faults, number: int) -> FaultName | None:
    """Return what happens to call `number` (0, 1, ...)."""
    left = uniform(faults.seed, number, "fault")
    for name in FAULTS:
        left -= faults.rates.get(name, 0.0)
        if left < 0:
            return name
    return None


class Faulty:
    """An app around `app` that lets some of the calls go wrong."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] not in COMPLETIONS:
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        if not await body.read():
            return
        if not body.counts():
            await self._app(scope, body, send)
            return
        number = self._calls
        self._calls += 1
        match fault_of(self._faults, number):
            case "503":
                headers = [(b"content-type", b"application/json; charset=utf-8")]
                await send({"type": "http.response.start", "status": 503, "headers": headers})
                await send({"type": "http.response.body", "body": error_line(BUSY)})
            case "hang":
                while (await receive())["type"] != "http.disconnect":
                    pass
            case "delay":
                await asyncio.sleep(self._faults.delay_s)
                await self._app(scope, body, send)
            case "cut":
                with suppress(_Cut):  # the answer is not complete, so the HTTP server closes the connection
                    await self._app(scope, body, _Cutting(send, integer(WITHIN, self._faults.seed, number, "at")))
            case "malformed":
                await self._app(scope, body, _Garbling(send, integer(WITHIN, self._faults.seed, number, "at")))
            case None:
                await self._app(scope, body, send)


class _Cut(Exception):
    """Ends a call in the middle of its answer."""


class _Cutting:
    def __init__(self, send: Send, pieces: int) -> None:
        self._send = send
        self._left = pieces + 1

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(_without_length(message))
            return
        if not message.get("more_body"):  # the last piece, or the whole of it
            body = message.get("body", b"")
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})
            raise _Cut
        if not self._left:
            raise _Cut
        self._left -= 1
        await self._send(message)


class _Garbling:
    def __init__(self, send: Send, pieces: int) -> None:
        self._send = send
        self._left = pieces

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(_without_length(message))
            return
        if not self._left or (self._left > 0 and not message.get("more_body")):
            message = {**message, "body": MALFORMED}
            self._left = 0
        self._left -= 1
        await self._send(message)


def _without_length(message: Message) -> Message:
    kept = [(name, value) for name, value in message["headers"] if name != b"content-length"]
    return {**message, "headers": kept}


class _Body:
    """The body of a request: read, looked at, and handed on as if it had not been."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def read(self) -> bool:
        """Read it; False: the client has gone."""
        size = 0
        while size <= BODY_BYTES_MAX:  # the front refuses what is longer
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            self._messages.append(message)
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        return True

    def counts(self) -> bool:
        """Tell whether it asks for text and does not ask to be spared."""
        try:
            data: Any = json.loads(b"".join(message.get("body", b"") for message in self._messages))
        except (ValueError, RecursionError):
            return False
        if not isinstance(data, dict) or not (data.get("messages") or data.get("prompt")):
            return False
        options = data.get("options")
        return not (isinstance(options, dict) and options.get("faults") is False)

    async def __call__(self) -> Message:
        """Be the `receive` of the app behind."""
        return self._messages.pop(0) if self._messages else await self._receive()
