"""An Ollama that is one function: answers ChatOllama through httpx without a socket, and logs what truly happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx


class Served(NamedTuple):
    """What the fake server did, on its own clock."""

    user: str  # the user message
    options: dict[str, Any]
    arrived_s: float
    ended_s: float


class FakeOllama(httpx.AsyncBaseTransport):
    """Takes `duration(user_message)` seconds for each call, half of it before the first token."""

    def __init__(self, clock: Callable[[], float], duration: Callable[[str], float], **fields: Any) -> None:
        self._clock = clock
        self._duration = duration
        self._fields = fields
        self.served: list[Served] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        user = body["messages"][-1]["content"]
        arrived_s, duration_s = self._clock(), self._duration(user)
        await asyncio.sleep(duration_s / 2)

        async def lines() -> AsyncIterator[bytes]:
            base = {"model": body["model"], "created_at": "2026-01-01T00:00:00Z"}
            if body["stream"]:
                yield _line({**base, "message": {"role": "assistant", "content": "so"}, "done": False})
            await asyncio.sleep(duration_s / 2)
            self.served.append(Served(user, body["options"], arrived_s, self._clock()))
            half_ns = int(duration_s / 2 * 1e9)
            final = {
                "done": True,
                "done_reason": "length",
                "total_duration": 2 * half_ns,
                "prompt_eval_count": 10,
                "prompt_eval_duration": half_ns,
                "eval_count": 2,
                "eval_duration": half_ns,
            }
            message = {"role": "assistant", "content": "" if body["stream"] else "so"}
            yield _line({**base, "message": message, **final, **self._fields})

        kind = "application/x-ndjson" if body["stream"] else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, content=lines())


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
