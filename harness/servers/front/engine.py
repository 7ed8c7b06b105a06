"""The seam between the front and an engine: one async-generator method and a few plain attributes.

The front owns everything a client sees (queue, timings, error bodies); an engine turns a request into text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

__all__ = [
    "Cached",
    "Embedded",
    "EmbeddingEngine",
    "EngineError",
    "Final",
    "GenerateRequest",
    "Model",
    "Piece",
    "TextEngine",
    "Thought",
]


class Model(NamedTuple):
    """What the front tells about the model that an engine has loaded."""

    name: str  # without a tag; `name` and `name:latest` both reach it
    digest: str  # hex; identifies the file
    modified_at: str  # RFC 3339
    file_bytes: int | None  # None, here and below: not known
    memory_bytes: int | None  # weights and KV cache of all slots
    vram_bytes: int | None  # of these, on a GPU
    family: str
    parameter_size: str  # "135M", "" if unknown
    quantization: str  # "Q4_1", "" if unknown
    template: str  # chat template, "" if none
    thinking: bool  # it can think: its chat template has a switch, or it is simulated
    info: dict[str, Any]  # GGUF metadata, for /api/show
    embeds: bool = False  # and does not answer
    thinking_known: bool = True  # else `thinking` is only that it may
    sees_images: bool = False  # or may


class GenerateRequest(NamedTuple):
    """One call, checked and complete: every option has a value, times are out of it."""

    messages: list[dict[str, Any]] | None  # chat template applies; None: `prompt` goes to the model as it is
    prompt: str
    stream: bool  # False: the engine may hand over the whole text in one piece
    num_predict: int  # at most so many tokens, > 0
    options: dict[str, Any]  # sampling: temperature, top_k, top_p, min_p, seed, stop, ...
    format: dict[str, Any] | Literal["json"] | None
    think: bool | None  # None: the model has no thinking to switch
    ignore_eos: bool
    cache_prompt: bool
    prompt_tokens: int | None = None  # to be counted for the prompt, where nothing reads it: simulated servers
    image_tokens: int = 0  # of images that are not sent, beside the text: simulated servers
    # So many of the first tokens are handed over as thinking, where the model has none of its own; 0: it is not said.
    thinking_tokens: int = 0
    no_limit: bool = False  # the client named none: `num_predict` is only the front's own


class Thought(NamedTuple):
    """A piece of thinking, apart from the answer."""

    text: str


class Cached(NamedTuple):
    """How much of the prompt was in the cache: before any text, where a request may use the cache and is streamed."""

    tokens: int


class Final(NamedTuple):
    """The end of a call: counts in tokens, durations in integer nanoseconds on the engine's clock; None: not known."""

    reason: Literal["stop", "length"]
    prompt_tokens: int | None  # all of them, cached ones included
    cached_tokens: int | None
    prompt_ns: int | None  # processing of the tokens that were not cached, up to the first output token
    output_tokens: int | None
    output_ns: int | None  # from the first output token to the last


Piece = str | Thought | Cached | Final


class EngineError(Exception):
    """A call that the engine refused or lost; `status` is the HTTP status a client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Embedded(NamedTuple):
    """Texts as vectors, one each."""

    vectors: tuple[tuple[float, ...], ...]
    tokens: int  # of all texts
    queue_ns: int  # what the request waited for the texts of others


class TextEngine(Protocol):
    """A model that generates, with a fixed number of slots of a fixed context each."""

    model: Model
    version: str
    emulated: bool  # nothing is computed: what a client times is a model's, and must not be called measured

    @property
    def slots(self) -> int | None:
        """How many; None: not known, and calls wait in a queue of its own, not in the front's."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """Of one slot; None: not known."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield pieces of text, and then one `Final`; raise `EngineError` instead where the call fails.

        Before the text comes `Cached`, where the request may use the cache and is streamed.

        Never called more than `slots` times at once. When the generator is closed early its `aclose` returns
        only after the engine has freed the slot.
        """
        ...


@runtime_checkable
class EmbeddingEngine(Protocol):
    """An engine that may have an embedding model beside the one that generates."""

    embedding_model: Model | None

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; never called where there is no embedding model. It has a queue of its own."""
        ...
