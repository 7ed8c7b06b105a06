"""Requests for embeddings through the real OllamaEmbeddings: what is sent, what is recorded, what becomes of errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from harness.core.records import EmbedRequest, Reply
from harness.drivers.embedder import Embedder

TWO = EmbedRequest(("one text", "another"))


def embedded(answer: Callable[[httpx.Request], httpx.Response], request: EmbedRequest = TWO) -> Reply:
    """Send a request to a server that answers so; the clock goes on by a second each time it is read."""
    ticks = iter(range(100))

    async def send() -> Reply:
        embedder = Embedder(
            "http://it:80", "vectors", lambda: float(next(ticks)), transport=httpx.MockTransport(answer)
        )
        reply = await embedder.embed(request, zero_s=-10.0)
        await embedder.close()
        return reply

    return asyncio.run(send())


def answer(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json=body, headers=headers)


def test_all_texts_go_in_one_request_and_its_counts_are_recorded() -> None:
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        counts = {"total_duration": 750_000_000, "load_duration": 250_000_000, "prompt_eval_count": 7}
        return httpx.Response(200, json={"model": "vectors", "embeddings": [[0.5, 1.0], [1.0, 0.0]], **counts})

    reply = embedded(serve)
    (request,) = seen
    body = json.loads(request.content)
    assert (request.url.path, body["model"], body["input"]) == ("/api/embed", "vectors", ["one text", "another"])
    assert "keep_alive" not in body
    assert reply == Reply("ok", sent_s=10.0, end_s=11.0, prompt_tokens=7, total_s=0.75, load_s=0.25)


def test_a_front_of_ours_tells_the_wait() -> None:
    counts = {"total_duration": 750_000_000, "load_duration": 250_000_000, "prompt_eval_count": 7}
    body = {"embeddings": [[1.0], [1.0]], **counts}
    reply = embedded(answer(body, headers={"x-slotwise-queue-ns": "125000000"}))
    assert (reply.queue_s, reply.prefill_s) == (0.125, 0.375)


@pytest.mark.parametrize(
    ("status", "error", "outcome", "said"),
    [
        (503, "server busy, please try again.  maximum pending requests exceeded", "rejected", "503: server busy"),
        (404, 'model "vectors" not found', "error", '404: model "vectors" not found'),
        (501, "This server does not support embeddings", "error", "501: This server does not support embeddings"),
    ],
)
def test_what_a_server_refuses_is_an_outcome(status: int, error: str, outcome: str, said: str) -> None:
    reply = embedded(answer({"error": error}, status))
    assert reply.outcome == outcome and (reply.error or "").startswith(said)
    assert (reply.sent_s, reply.end_s, reply.prompt_tokens) == (10.0, 11.0, None)


def test_a_vector_for_each_text() -> None:
    reply = embedded(answer({"embeddings": [[1.0]]}))
    assert (reply.outcome, reply.error) == ("error", "expected 2 vectors, one for each text, found 1")


def test_nothing_to_embed_is_no_error() -> None:
    reply = embedded(answer({"embeddings": []}), EmbedRequest(()))
    assert (reply.outcome, reply.prompt_tokens) == ("ok", None)


def test_a_connection_that_breaks_is_an_outcome() -> None:
    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone", request=request)

    assert embedded(breaks).outcome == "error"
