"""What embedding costs a server: requests of one and of several texts of two lengths, and of both beside an answer.

`harness.profiles.embedding` fits them, docs/calibration.md describes both.
"""

from __future__ import annotations

import asyncio
from math import sqrt
from statistics import median
from typing import NamedTuple

from harness.core.draws import integer, shuffled
from harness.core.records import ChatRequest, EmbedRequest, Reply
from harness.drivers.embedder import Embedder
from harness.errors import ServerFailure
from harness.measure.loads import TIMES, measure_embedding_load
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint, options_for
from harness.measure.texts import PROMPTS
from harness.profiles.embedding import EmbeddingSeen, fit_embedding
from harness.profiles.schema import Embedding, rounded
from harness.profiles.text import Counted, fit_embedded_text
from harness.workload.schema import AgentSpec

__all__ = ["MeasuredEmbedding", "measure_embedding"]

SHORT, LONG, MIDDLE = 8, 80, 32  # words of a text
SEVERAL, SOME = 8, 4  # texts of a request
AT_ONCE = 4  # requests that are sent together
ANSWER_TOKENS = 96
BESIDE = 3  # answers, alone and beside embeddings
WORDS = " ".join(user for _, user in PROMPTS).split()


class MeasuredEmbedding(NamedTuple):
    """What was found, and in words what a reader of the profile should know of it."""

    embedding: Embedding
    note: str


class _Sizes(NamedTuple):
    texts: int
    words: int
    at_once: int = 1
    fitted: bool = True


SIZES = (
    *(_Sizes(texts, words) for texts in (1, SEVERAL) for words in (SHORT, LONG)),
    _Sizes(SOME, MIDDLE, fitted=False),
    _Sizes(1, MIDDLE, at_once=AT_ONCE, fitted=False),
)


async def measure_embedding(endpoint: Endpoint, model: str, times: int, progress: Progress) -> MeasuredEmbedding:
    """Measure and fit what embedding costs.

    Args:
        endpoint: a server with the model among those that embed, and another that answers.
        model: as the server was asked for it.
        times: how often each request is sent; the order is drawn.
        progress: is told of every step.

    Raises:
        ServerFailure: a request failed, or the server does not tell its counts.
    """
    name, embedder = endpoint.server.name, endpoint.embedders[model]
    load_s = None
    if endpoint.server.can_unload:
        progress.say(f"{name}: loading {model} again, {TIMES} times")
        load_s = await measure_embedding_load(endpoint, model)
    progress.say(f"{name}: embedding with {model}, {times} times each of {len(SIZES)} requests")
    counted = [await _count(endpoint, embedder, text) for _, text in PROMPTS]
    await _together(endpoint, embedder, SIZES[-1], -1)  # discarded
    seen: list[EmbeddingSeen] = []
    for repetition in range(times):
        for sizes in shuffled(SIZES, 0, repetition, "embedding"):
            seen += await _together(endpoint, embedder, sizes, repetition)
    fitted = fit_embedding(seen)
    progress.say(f"{name}: embedding while it answers")
    answer, request = await _beside(endpoint, embedder)
    embedding = Embedding(
        model=model,
        request_s=fitted.costs.request_s,
        text_s=fitted.costs.text_s,
        token_s=fitted.costs.token_s,
        stretch=rounded(sqrt(answer * request)),
        load_s=None if load_s is None else rounded(load_s),
        text=fit_embedded_text(counted),
        standard_error=fitted.standard_error,
        held_out=fitted.held_out,
    )
    note = (
        f"Embedding with {model} beside an answer: a token of the answer took {answer:.2f} times as long, a request "
        f"{request:.2f} times; `stretch` is the geometric mean of both."
    )
    return MeasuredEmbedding(embedding, note)


def _texts(sizes: _Sizes, *key: int) -> tuple[str, ...]:
    return tuple(
        " ".join(
            WORDS[integer(len(WORDS), 0, *key, sizes.words, text, word, "embedded")] for word in range(sizes.words)
        )
        for text in range(sizes.texts)
    )


async def _together(endpoint: Endpoint, embedder: Embedder, sizes: _Sizes, repetition: int) -> list[EmbeddingSeen]:
    """Send a request, or several at once, and return what was seen, in the order in which they ended."""
    requests = [EmbedRequest(_texts(sizes, repetition, number)) for number in range(sizes.at_once)]
    replies = await asyncio.gather(*(_embed(endpoint, embedder, request) for request in requests))
    ended = sorted(replies, key=_wall_s)
    found, before = [], 0
    for place, reply in enumerate(ended):
        tokens = reply.prompt_tokens or 0
        kind = f"{sizes.texts}x{sizes.words}/{place}"
        texts = sizes.texts * (place + 1)
        found.append(EmbeddingSeen(kind, texts, before + tokens, _wall_s(reply), sizes.fitted))
        before += tokens
    return found


async def _embed(endpoint: Endpoint, embedder: Embedder, request: EmbedRequest) -> Reply:
    reply = await embedder.embed(request)
    if reply.outcome != "ok" or not reply.prompt_tokens:
        raise ServerFailure(f"{endpoint.server.name}: {reply.error or 'it does not tell its token counts'}")
    return reply


def _wall_s(reply: Reply) -> float:
    assert reply.end_s is not None and reply.sent_s is not None
    return reply.end_s - reply.sent_s


async def _count(endpoint: Endpoint, embedder: Embedder, text: str) -> Counted:
    reply = await _embed(endpoint, embedder, EmbedRequest((text,)))
    return Counted(text, False, reply.prompt_tokens or 0)


async def _beside(endpoint: Endpoint, embedder: Embedder) -> tuple[float, float]:
    """Return by how much an answer and a request take longer while the other is under way, medians."""
    sizes = _Sizes(1, LONG)
    alone_s = [await _answer(endpoint, number) for number in range(BESIDE)]
    requests_s = [(await _together(endpoint, embedder, sizes, -2 - number))[0].wall_s for number in range(BESIDE * 2)]
    beside_s: list[float] = []
    slowed_s: list[float] = []
    for number in range(BESIDE):
        answer = asyncio.create_task(_answer(endpoint, BESIDE + number))
        while not answer.done():
            (seen,) = await _together(endpoint, embedder, sizes, -100 - len(slowed_s))
            if not answer.done() or not slowed_s:
                slowed_s.append(seen.wall_s)
        beside_s.append(await answer)
    return median(beside_s) / median(alone_s), median(slowed_s) / median(requests_s)


async def _answer(endpoint: Endpoint, number: int) -> float:
    """Return the seconds of a token of an answer."""
    options = options_for(endpoint.server, AgentSpec(prompt="-", output_tokens=ANSWER_TOKENS), seed=number)
    if endpoint.server.emulated:
        options["faults"] = False
    user = f"[{number:06d}] Write a long, detailed essay about a ferry. Do not stop early."
    reply, _ = await endpoint.chat.ask(ChatRequest(None, user, options, stream=False))
    if reply.outcome != "ok" or not reply.decode_s or (reply.output_tokens or 0) < 2:
        raise ServerFailure(f"{endpoint.server.name}: {reply.error or 'it does not tell its times'}")
    return reply.decode_s / ((reply.output_tokens or 0) - 1)
