"""The embedding model of a simulated server: an `EmbeddingModel` on the event loop's clock, with made-up vectors."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from harness.core.embedding import EmbeddingCosts, EmbeddingModel
from harness.core.server_request import Request
from harness.servers.front.engine import Embedded
from harness.servers.on_clock import OnClock
from harness.workload.prompts import estimate_tokens

__all__ = ["SimulatedEmbedder", "SimulatedEmbedding"]

COPIES = 12  # of a digest of 32 bytes: 384 numbers, as many as small embedding models give


class SimulatedEmbedding(NamedTuple):
    """What to simulate. The costs are in seconds of the wall clock: already sped up."""

    model_name: str
    text_s: float
    token_s: float
    stretch: float  # of every step, while the server's other model is busy as well


class _Call(Request):
    """A request with who waits for it."""

    __slots__ = ("done", "texts")

    def __init__(self, number: int, tokens: int, texts: int) -> None:
        super().__init__(number, tokens, 1)
        self.texts = texts
        self.done = asyncio.Event()


class SimulatedEmbedder(OnClock):
    """Waits instead of computing. Requests queue in the model itself: it has one slot, first come, first served."""

    def __init__(self, config: SimulatedEmbedding) -> None:
        super().__init__(EmbeddingModel(EmbeddingCosts(0.0, config.text_s, config.token_s)))
        self._open: dict[int, _Call] = {}
        self._calls = 0

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Return a vector for each text at the time the model says."""
        loop = asyncio.get_running_loop()
        tokens = sum(max(1, estimate_tokens(text)) for text in texts)
        self._calls += 1
        call = self._open[self._calls] = _Call(self._calls, tokens, len(texts))
        now_s = loop.time()
        self._advance(now_s)
        self._server.submit(call, now_s)
        self._changed(loop, now_s)
        try:
            await call.done.wait()
        finally:
            if call.end_s is None:
                self._give_up(loop, call)
        assert call.prompt_s is not None
        queue_ns = round((call.prompt_s - call.queued_s) * 1e9)
        return Embedded(tuple(_vector(text) for text in texts), tokens, queue_ns)

    def _give_up(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        """Nobody waits for it any more; the text that is being embedded is embedded to its end."""
        now_s = loop.time()
        self._advance(now_s)
        if call.end_s is None and self._server.cancel(call, now_s):
            self._open.pop(call.call, None)
        self._changed(loop, now_s)

    def _advance(self, now_s: float) -> None:
        for request in self._server.advance(now_s):
            self._open.pop(request.call).done.set()


def _vector(text: str) -> tuple[float, ...]:
    return tuple(byte / 128 - 1 for byte in hashlib.sha256(text.encode()).digest() * COPIES)
