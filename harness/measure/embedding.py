"""What embedding costs a server: requests of one and of several texts of two lengths, and of both beside an answer.

`harness.profiles.embedding` fits them, docs/explanation/calibration.md describes both.
"""

from __future__ import annotations

import asyncio
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
from harness.profiles.embedding import EmbeddingSeen, fit_embedding, fit_stretch
from harness.profiles.schema import Embedding, rounded
from harness.profiles.text import Counted, fit_embedded_text
from harness.workload.schema import AgentSpec

__all__ = ["MeasuredEmbedding", "measure_embedding"]

SHORT, LONG, MIDDLE = 8, 80, 32  # words of a text
SEVERAL, SOME = 8, 4  # texts of a request
AT_ONCE = 4  # requests that are sent together
ASKED_WORDS, ANSWER_TOKENS = 120, 64  # of a call beside embeddings: it reads about as long as it writes
BESIDE = 6  # such calls, each once alone and once beside embeddings
MOST_SLOWED = 100  # times; of texts that made no progress that could be seen
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


async def measure_embedding(
    endpoint: Endpoint, model: str, times: int, progress: Progress, *, half: bool = False
) -> MeasuredEmbedding:
    """Measure and fit what embedding costs.

    Args:
        endpoint: a server with the model among those that embed, and another that answers.
        model: as the server was asked for it.
        times: how often each request is sent; the order is drawn.
        progress: is told of every step.
        half: whether the server has half of the cores.

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
    beside = fit_stretch(*await _beside(endpoint, embedder))
    embedding = Embedding(
        model=model,
        half=half,
        request_s=fitted.costs.request_s,
        text_s=fitted.costs.text_s,
        token_s=fitted.costs.token_s,
        stretch=rounded(beside.stretch),
        load_s=None if load_s is None else rounded(load_s),
        text=fit_embedded_text(counted),
        standard_error={**fitted.standard_error, "stretch": beside.standard_error},
        held_out=fitted.held_out,
    )
    note = (
        f"Embedding with {model} beside an answer: the answer took {beside.answers:.2f} times as long, the texts "
        f"{beside.requests:.2f} times; `stretch` is the geometric mean of both."
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


async def _beside(endpoint: Endpoint, embedder: Embedder) -> tuple[list[float], list[float]]:
    """Return by how much answers, and requests, took longer while the other was under way; one of each for each time.

    Requests follow one another from the start of an answer until it ends. What of the last of them is left then goes
    on alone, and is not counted as slowed.
    """
    sizes = _Sizes(SOME, LONG)
    alone = [(await _together(endpoint, embedder, sizes, -2 - number))[0] for number in range(BESIDE)]
    token_s = median(one.wall_s / one.tokens for one in alone)
    answers_s = median([await _answer(endpoint, number) for number in range(BESIDE)])
    clock = asyncio.get_running_loop().time
    answers: list[float] = []
    requests: list[float] = []

    async def timed(number: int) -> tuple[float, float]:
        return await _answer(endpoint, number), clock()

    for number in range(BESIDE):
        began_s, texts_s, sent = clock(), 0.0, 0
        answer = asyncio.create_task(timed(BESIDE + number))
        while not answer.done():
            sent += 1
            (seen,) = await _together(endpoint, embedder, sizes, -100 * (number + 1) - sent)
            texts_s += seen.tokens * token_s
        answer_s, ended_s = await answer
        within_s, after_s = ended_s - began_s, clock() - ended_s
        answers.append(answer_s / answers_s)
        requests.append(within_s / max(texts_s - after_s, within_s / MOST_SLOWED))
    return answers, requests


async def _answer(endpoint: Endpoint, number: int) -> float:
    """Return the seconds of reading a prompt and of answering it."""
    options = options_for(endpoint.server, AgentSpec(prompt="-", output_tokens=ANSWER_TOKENS), seed=number)
    if endpoint.server.emulated:
        options["faults"] = False
    (notes,) = _texts(_Sizes(1, ASKED_WORDS), -1, number)
    user = f"[{number:06d}] {notes}. Write a long, detailed essay about all of it. Do not stop early."
    reply, _ = await endpoint.chat.ask(ChatRequest(None, user, options, stream=False))
    if reply.outcome != "ok" or not reply.decode_s or reply.prefill_s is None:
        raise ServerFailure(f"{endpoint.server.name}: {reply.error or 'it does not tell its times'}")
    return reply.prefill_s + reply.decode_s
