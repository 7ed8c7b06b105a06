"""An engine that says fixed text at a fixed pace: for tests and benchmarks of the front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from harness.servers.front.engine import EngineError, Final, GenerateRequest, Model, Piece, Thought

__all__ = ["CannedEngine", "Event", "canned_model"]


class Event(NamedTuple):
    """What truly happened in the engine, in order."""

    what: str  # "start", "end" (ran to the end), "cut" (closed before it)
    prompt: str


def canned_model(name: str = "canned") -> Model:
    """Return a model that exists on paper only."""
    return Model(
        name=name,
        digest="0" * 64,
        modified_at="2026-01-01T00:00:00Z",
        file_bytes=1000,
        memory_bytes=2000,
        vram_bytes=0,
        family="canned",
        parameter_size="1K",
        quantization="F16",
        template="{{ messages }}",
        thinking=False,
        info={"general.architecture": "canned"},
    )


class CannedEngine:
    """Say `words` over and over, one a token, up to `num_predict`.

    A prompt "gate NAME" waits, before its first token, until `gates["NAME"]` is set; "fail" is refused and
    "break" fails after its first token.
    """

    def __init__(
        self, slots: int = 1, words: tuple[str, ...] = (" sea", " salt", " sun"), pause_s: float = 0.0
    ) -> None:
        self.model = canned_model()
        self.slots = slots
        self.context_tokens = 256
        self.version = "canned 1"
        self.emulated = False
        self.words = words
        self.pause_s = pause_s
        self.gates: dict[str, asyncio.Event] = {}
        self.log: list[Event] = []
        self.requests: list[GenerateRequest] = []
        self.running = 0
        self.running_most = 0

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield the words."""
        prompt = request.prompt if request.messages is None else str(request.messages[-1]["content"])
        self.requests.append(request)
        self.log.append(Event("start", prompt))
        self.running += 1
        self.running_most = max(self.running_most, self.running)
        what = "cut"
        try:
            word, _, name = prompt.partition(" ")
            if word == "gate":
                await self.gates.setdefault(name, asyncio.Event()).wait()
            if word == "fail":
                raise EngineError(400, "request (300 tokens) exceeds the available context size (256 tokens)")
            for n in range(request.num_predict):
                await asyncio.sleep(self.pause_s)
                piece = self.words[n % len(self.words)]
                yield Thought(piece) if n < request.thinking_tokens else piece
                if word == "break":
                    raise EngineError(500, "the engine broke")
            what = "end"
            yield Final("length", len(prompt.split()), 0, 3000, request.num_predict, 1000)
        finally:
            self.running -= 1
            self.log.append(Event(what, prompt))
