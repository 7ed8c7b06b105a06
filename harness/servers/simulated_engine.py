"""A simulated engine behind the front: a `ServerModel` on the event loop's clock, with plausible text.

The model's seconds are the loop's, so a client's times and the durations that it is told fit together. A speed-up is
in the costs (`step_costs.sped_up`): everything takes less time, and is reported as it was.

The front's FIFO never lets more calls in than there are slots, so the model's own queue is empty but for an instant.
What is left of a wait in the model is the rest of the step that runs: a new call is looked at between steps only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.context import REFUSED, Context
from harness.core.server_model import ServerModel
from harness.core.server_request import Begins, Request
from harness.core.step_costs import PassCosts, RamCache, StepCosts
from harness.profiles.compile import noise
from harness.servers.front.engine import Cached, Embedded, EngineError, Final, GenerateRequest, Model, Piece, Thought
from harness.servers.on_clock import OnClock
from harness.servers.simulated_embedder import SimulatedEmbedder, SimulatedEmbedding
from harness.servers.simulated_text import said
from harness.workload.prompts import estimate_tokens

__all__ = ["ARRIVED_S", "SimulatedConfig", "SimulatedEmbedding", "SimulatedEngine", "Truth", "read_truth", "truth_log"]

ENDS_BY_ITSELF = 128  # tokens of an answer whose length nobody asked for
ARRIVED_S: ContextVar[float | None] = ContextVar("arrived_s", default=None)  # the request came in; for the truth log


class SimulatedConfig(NamedTuple):
    """What to simulate. `costs` are in seconds of the wall clock: already sped up."""

    model_name: str
    profile: str
    costs: StepCosts
    context_tokens: int  # of one slot
    model_bytes: int = 0
    memory_bytes: int = 0
    kv_bytes: int = 0  # of a token
    accelerated: bool = False  # it tells that all of the model is on an accelerator
    noise: float | None = None  # relative standard deviation of a segment's cost
    noise_seed: int = 0
    noise_key: str = ""  # servers of one seed have noise of their own
    embedding: SimulatedEmbedding | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data that `from_json` reads."""
        plain = {**self._asdict(), "costs": self.costs._asdict()}
        return plain if self.embedding is not None else {k: v for k, v in plain.items() if k != "embedding"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SimulatedConfig:
        """Rebuild it after a way through JSON, which knows no tuples."""
        costs = data["costs"]
        rebuilt = {
            "decode_s": tuple(costs["decode_s"]),
            "prefill": tuple((tokens, s) for tokens, s in costs["prefill"]),
        }
        if costs.get("passes"):
            changed_s, settle_s, *rest = costs["passes"]
            rebuilt["passes"] = PassCosts(tuple(changed_s), tuple(settle_s), *rest)
        if costs.get("ram_cache"):
            rebuilt["ram_cache"] = RamCache(*costs["ram_cache"])
        embedding = SimulatedEmbedding(*data["embedding"]) if data.get("embedding") else None
        return cls(**{**data, "costs": StepCosts(**{**costs, **rebuilt}), "embedding": embedding})


class Truth(NamedTuple):
    """What truly happened to a call, on the server's monotonic clock, which other processes here share (loop.time).

    Times of the model end in `_token_s`; those at which the server really handed something over end in `_sent_s`.
    """

    seed: int  # the option of the request: how a client finds its call again
    prompt_tokens: int
    output_tokens: int  # generated; of a cancelled call those until it was let go
    cancelled: bool
    arrived_s: float | None
    slot_s: float  # out of the queue: a slot is its own
    prompt_s: float | None  # the step began that took its prompt up
    first_token_s: float | None
    last_token_s: float | None  # or it was let go
    first_sent_s: float | None  # None: not streamed
    last_sent_s: float | None
    freed_s: float


def truth_log(path: Path) -> Callable[[Truth], None]:
    """Return a writer of a truth log: a line of JSON for every call. It is open as long as the process lives."""
    file = path.open("w", buffering=1, encoding="utf-8")

    def write(truth: Truth) -> None:
        file.write(json.dumps(truth._asdict()) + "\n")

    return write


def read_truth(path: Path) -> list[Truth]:
    """Read a truth log, in the order in which the calls ended."""
    return [Truth(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


class _Call(Request):
    """A request with what waits for its tokens."""

    __slots__ = ("begins", "cached_tokens", "news", "stream", "thread", "tokens")

    def __init__(
        self,
        number: int,
        prompt_tokens: int,
        output_tokens: int,
        stream: bool,
        thread: Hashable | None,
        begins: Begins,
    ) -> None:
        super().__init__(number, prompt_tokens, max(1, output_tokens))
        self.output_tokens = output_tokens
        self.thread, self.begins = thread, begins
        self.cached_tokens = 0
        self.stream = stream
        self.tokens = 0  # there by now; kept up where they are streamed
        self.news = asyncio.Event()


class SimulatedEngine(OnClock):
    """An engine that waits instead of computing: as long as `ServerModel` says.

    Args:
        config: what to simulate.
        on_truth: told what truly happened, when a call has ended and its slot is free.
    """

    def __init__(self, config: SimulatedConfig, on_truth: Callable[[Truth], None] | None = None) -> None:
        self.slots = config.costs.slots
        self.context_tokens = config.context_tokens
        self._context = Context(config.context_tokens)
        self.version = f"simulated {config.profile}"
        self.emulated = True
        self.model = _model(config)
        played = noise(config.noise, config.noise_seed, config.noise_key) if config.noise else None
        super().__init__(ServerModel(config.costs, noise=played))
        self._open: dict[int, _Call] = {}
        self._calls = 0
        self._on_truth = on_truth
        self.embedding_model: Model | None = None
        self._embedder: SimulatedEmbedder | None = None
        if config.embedding is not None:
            self.embedding_model = _embedding_model(config.embedding)
            self._embedder = SimulatedEmbedder(config.embedding)
            self.on_one_machine([self, self._embedder], {2: config.embedding.stretch})

    @staticmethod
    def share(engines: Sequence[SimulatedEngine], stretch: Mapping[int, float]) -> None:
        """Put fresh engines on one machine, where they slow each other, their embedding models too.

        Beyond the largest number of busy servers in `stretch` the factor stays as it is.
        """
        players = [player for engine in engines for player in (engine, engine._embedder) if player is not None]
        last = stretch[max(stretch)]
        OnClock.on_one_machine(players, {busy: stretch.get(busy, last) for busy in range(2, len(players) + 1)})

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; see `SimulatedEmbedder`."""
        assert self._embedder is not None
        return await self._embedder.embed(texts)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield a word a token at the time the model says, or all of them at the end; then the model's timings."""
        loop = asyncio.get_running_loop()
        prompt_tokens, output_tokens = self._lengths(request)
        self._calls += 1
        kept = _thread(request), _begins(request)
        call = _Call(self._calls, prompt_tokens, output_tokens, request.stream, *kept)
        thinking = _thinking(request, output_tokens)
        call.thinking_tokens = thinking
        text = said(request, output_tokens, thinking)
        slot_s = loop.time()
        first_sent_s = last_sent_s = None
        self._advance(slot_s)
        self._open[call.call] = call
        self._server.submit(call, slot_s)
        self._changed(loop, slot_s)
        told = 0
        try:
            while True:
                call.news.clear()
                there = call.tokens if call.end_s is None else output_tokens
                while request.stream and told < there:
                    if not told:
                        if call.thread is not None:
                            yield Cached(call.cached_tokens)
                        first_sent_s = loop.time()
                    yield next(text)
                    told += 1
                if call.end_s is not None:
                    break
                await call.news.wait()
            if output_tokens == REFUSED:
                raise EngineError(400, self._context.refusal(prompt_tokens))
            if not request.stream:
                pieces = list(text)
                if thinking:
                    yield Thought("".join(piece.text for piece in pieces if isinstance(piece, Thought)))
                yield "".join(piece for piece in pieces if isinstance(piece, str))
            assert call.prompt_s is not None and call.first_token_s is not None
            last_sent_s = loop.time()
            yield Final(
                reason="stop" if self._unasked(request) else "length",
                prompt_tokens=prompt_tokens,
                cached_tokens=call.cached_tokens,
                prompt_ns=round((call.first_token_s - call.prompt_s) * 1e9),
                output_tokens=output_tokens,
                output_ns=round((call.end_s - call.first_token_s) * 1e9),
            )
        finally:
            await self._let_go(loop, call)
            if self._on_truth is not None and output_tokens != REFUSED:
                self._on_truth(_truth(call, request, slot_s, first_sent_s, last_sent_s, loop.time()))

    def _lengths(self, request: GenerateRequest) -> tuple[int, int]:
        """Return prompt and output tokens, of a prompt that does not fit `REFUSED`."""
        texts = [request.prompt] if request.messages is None else [str(m["content"]) for m in request.messages]
        read = sum(estimate_tokens(text) for text in texts) + request.image_tokens
        prompt_tokens = request.prompt_tokens or max(1, read)
        asked = ENDS_BY_ITSELF if self._unasked(request) else request.num_predict
        return prompt_tokens, self._context.answered(prompt_tokens, asked)

    def _unasked(self, request: GenerateRequest) -> bool:
        """Tell whether the client left the length open, as ten contexts are what the front then asks for."""
        return request.num_predict == 10 * self.context_tokens and not request.ignore_eos

    def _advance(self, now_s: float) -> None:
        """Let the model go on to now; tell those who have new tokens."""
        for request in self._server.advance(now_s):
            self._open.pop(request.call).news.set()
        streamed = [call for call in self._open.values() if call.stream and call.first_token_s is not None]
        if not streamed:
            return
        steps, _ = self._server.steps_by(now_s)
        for call in streamed:
            tokens = self._server.tokens_of(call) + steps
            if tokens > call.tokens:
                call.tokens = tokens
                call.news.set()

    def _due_s(self, now_s: float) -> float:
        """Return the next token that somebody waits for, else when somebody ends or a prompt does."""
        at_s = self._next_s()
        if any(call.stream for call in self._open.values()):
            at_s = min(at_s, self._server.steps_by(now_s)[1])
        return at_s

    async def _let_go(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        """Give a call up that is not done; its slot is free at the next step boundary, and not before."""
        if call.end_s is None:
            now_s = loop.time()
            self._advance(now_s)
            if call.end_s is None and self._server.cancel(call, now_s):
                self._open.pop(call.call)
            self._changed(loop, now_s)
        while call.end_s is None:
            call.news.clear()
            await call.news.wait()


def _thinking(request: GenerateRequest, output_tokens: int) -> int:
    """Return how many tokens come before the answer: as many as were asked for, or half of all."""
    if not request.think:
        return 0
    return min(request.thinking_tokens or output_tokens // 2, max(0, output_tokens))


def _thread(request: GenerateRequest) -> Hashable | None:
    """Return what tells one conversation from others: how it began. None where the cache must not be used.

    Real servers compare tokens. Of prompts that begin alike and then part, this takes more to be cached than is.
    """
    if not request.cache_prompt:
        return None
    if request.messages is None:
        return request.prompt
    begun = []
    for message in request.messages:
        begun.append(f"{message['role']}:{message['content']}")
        if message["role"] == "user":
            break
    return hashlib.sha256("\0".join(begun).encode()).digest()


def _begins(request: GenerateRequest) -> Begins:
    """Return the system message and its tokens: prompts that begin with the same have that in common."""
    first = request.messages[0] if request.cache_prompt and request.messages else None
    if first is None or first["role"] != "system":
        return ()
    text = str(first["content"])
    return ((text, estimate_tokens(text)),)


def _truth(
    call: _Call,
    request: GenerateRequest,
    slot_s: float,
    first_sent_s: float | None,
    last_sent_s: float | None,
    freed_s: float,
) -> Truth:
    return Truth(
        seed=request.options["seed"],
        prompt_tokens=call.prompt_tokens,
        output_tokens=call.output_tokens,
        cancelled=last_sent_s is None,
        arrived_s=ARRIVED_S.get(),
        slot_s=slot_s,
        prompt_s=call.prompt_s,
        first_token_s=call.first_token_s,
        last_token_s=call.end_s,
        first_sent_s=first_sent_s,
        last_sent_s=last_sent_s,
        freed_s=freed_s,
    )


def _model(config: SimulatedConfig) -> Model:
    shown: dict[str, Any] = {"general.architecture": "simulated", "slotwise.profile": config.profile}
    if config.kv_bytes:  # a header from which as much follows: two bytes for each value of a key and of a value
        sizes = {"key_length": config.kv_bytes // 4, "value_length": config.kv_bytes // 2 - config.kv_bytes // 4}
        shown |= {"simulated.block_count": 1, "simulated.attention.head_count": 1}
        shown |= {f"simulated.attention.{name}": length for name, length in sizes.items()}
    # Passes are told apart where the model is on an accelerator: a calibration of the simulation must see that too.
    accelerated = config.accelerated or config.costs.passes is not None
    taken = max(1, config.memory_bytes) if accelerated else config.memory_bytes  # also where nobody knows how much
    return Model(
        name=config.model_name,
        digest=hashlib.sha256(json.dumps(config.to_json()).encode()).hexdigest(),
        modified_at="2026-01-01T00:00:00Z",
        file_bytes=config.model_bytes,
        memory_bytes=taken,
        vram_bytes=taken if accelerated else 0,
        family="simulated",
        parameter_size="",
        quantization="",
        template="{{ messages }}",
        thinking=True,
        info=shown,
    )


def _embedding_model(config: SimulatedEmbedding) -> Model:
    return Model(
        name=config.model_name,
        digest=hashlib.sha256(json.dumps(config).encode()).hexdigest(),
        modified_at="2026-01-01T00:00:00Z",
        file_bytes=0,
        memory_bytes=0,
        vram_bytes=0,
        family="simulated",
        parameter_size="",
        quantization="",
        template="",
        thinking=False,
        info={"general.architecture": "simulated"},
        embeds=True,
    )
