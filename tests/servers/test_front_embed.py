"""/api/embed of the front: with the embedding model of a simulated server, and without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from servers.asgi import AppTransport

from harness.core.step_costs import StepCosts
from harness.servers.front.app import QUEUE_HEADER, create_app
from harness.servers.front.canned import CannedEngine
from harness.servers.front.engine import TextEngine
from harness.servers.simulated_embedder import SimulatedEmbedding
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine

COSTS = StepCosts(decode_s=(0.0, 0.25), prefill=((1, 0.125),), batch_tokens=512)
EMBEDDING = SimulatedEmbedding("vectors", text_s=0.5, token_s=0.125, stretch=2.0)
CONFIG = SimulatedConfig("sim", "test", COSTS, 4096, embedding=EMBEDDING)

Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]


def with_front(engine: TextEngine, talk: Talk) -> tuple[Any, float]:
    """Talk to a front on a virtual clock; return what came of it, and when."""
    loop = VirtualLoop()

    async def main() -> Any:
        app = create_app(engine, lambda: round(loop.time() * 1e9))
        async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://front") as client:
            return await talk(client)

    try:
        begun_s = loop.time()
        return loop.run_until_complete(main()), loop.time() - begun_s
    finally:
        loop.close()


def embed(model: str, texts: Any) -> Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/api/embed", json={"model": model, "input": texts})

    return ask


@pytest.mark.parametrize("name", ["vectors", "vectors:latest"])
def test_a_vector_for_each_text_when_the_model_is_done(name: str) -> None:
    response, took_s = with_front(SimulatedEngine(CONFIG), embed(name, ["12345678", "1"]))
    body = response.json()
    assert response.status_code == 200 and body["model"] == name
    assert [len(vector) for vector in body["embeddings"]] == [384, 384]
    assert body["embeddings"][0] != body["embeddings"][1]
    assert (body["prompt_eval_count"], body["total_duration"]) == (3, 1_375_000_000)  # 2 texts, 2 + 1 tokens
    assert "load_duration" not in body and response.headers[QUEUE_HEADER] == "0"
    assert took_s == 1.375


def test_requests_wait_for_each_other() -> None:
    async def two(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await asyncio.gather(embed("vectors", ["12345678"] * 2)(client), embed("vectors", "1")(client))

    (first, second), took_s = with_front(SimulatedEngine(CONFIG), two)
    assert first.json()["total_duration"] == 1_500_000_000
    assert second.headers[QUEUE_HEADER] == "1500000000"
    assert took_s == 1.5 + 0.625


def test_it_and_the_model_that_answers_slow_each_other() -> None:
    async def both(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        asked = {"model": "sim", "prompt": "1234", "options": {"num_predict": 3}, "stream": False}
        return await asyncio.gather(embed("vectors", "1")(client), client.post("/api/generate", json=asked))

    (embedded, answer), took_s = with_front(SimulatedEngine(CONFIG), both)
    assert embedded.json()["total_duration"] == 1_250_000_000  # 0.625 s alone
    # 0.125 s to read and 2 steps of 0.25 s are 0.625 s of work too.
    assert answer.json()["total_duration"] == 1_250_000_000 and took_s == 1.25


def test_a_client_that_hangs_up_lets_the_others_go_on_after_the_text_that_is_embedded() -> None:
    async def one_gives_up(client: httpx.AsyncClient) -> httpx.Response:
        long = asyncio.create_task(embed("vectors", ["1"] * 10)(client))
        await asyncio.sleep(0.25)
        after = asyncio.create_task(embed("vectors", "1")(client))
        await asyncio.sleep(0.5)  # in the middle of the second text
        long.cancel()
        return await after

    response, took_s = with_front(SimulatedEngine(CONFIG), one_gives_up)
    assert response.status_code == 200 and took_s == 3 * 0.625


def test_it_is_listed() -> None:
    async def looked(client: httpx.AsyncClient) -> list[Any]:
        shown = await client.post("/api/show", json={"model": "vectors"})
        return [(await client.get("/api/tags")).json(), (await client.get("/api/ps")).json(), shown.json()]

    (tags, loaded, shown), _ = with_front(SimulatedEngine(CONFIG), looked)
    assert [(one["name"], one["capabilities"]) for one in tags["models"]] == [
        ("sim:latest", ["completion", "thinking"]),
        ("vectors:latest", ["embedding"]),
    ]
    assert [one["name"] for one in loaded["models"]] == ["sim:latest", "vectors:latest"]
    assert shown["capabilities"] == ["embedding"]


@pytest.mark.parametrize("texts", ["", [], None])
def test_nothing_to_embed_is_how_a_model_is_loaded(texts: Any) -> None:
    response, took_s = with_front(SimulatedEngine(CONFIG), embed("vectors", texts))
    assert (response.status_code, response.json()) == (200, {"model": "vectors", "embeddings": []})
    assert took_s == 0


@pytest.mark.parametrize(
    ("model", "texts", "status", "error"),
    [
        ("sim", "a", 501, "This server does not support embeddings. Start it with `--embeddings`"),
        ("other", "a", 404, "model 'other' not found"),
        ("vectors", ["a", 3], 400, "invalid input type"),
        ("vectors", {"a": 1}, 400, "invalid input type"),
    ],
)
def test_what_cannot_be_embedded(model: str, texts: Any, status: int, error: str) -> None:
    response, _ = with_front(SimulatedEngine(CONFIG), embed(model, texts))
    assert (response.status_code, response.json()) == (status, {"error": error})


def test_an_engine_without_embeddings_says_what_ollama_says() -> None:
    response, _ = with_front(CannedEngine(), embed("canned", "a"))
    assert (response.status_code, response.json()["error"][:42]) == (501, "This server does not support embeddings. S")


def test_the_config_goes_through_json() -> None:
    assert SimulatedConfig.from_json(CONFIG.to_json()) == CONFIG
