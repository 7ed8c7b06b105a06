"""The embedded engine, end to end: a real model, a process of its own, real inference on one thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from harness.errors import SlotwiseError
from harness.servers import models
from harness.servers.front.app import CACHED_HEADER, QUEUE_HEADER, THINKING_HEADER
from harness.servers.launch import launched
from harness.servers.spec import RunningServer
from harness.workload.schema import LlamaCppServer

pytestmark = pytest.mark.engine

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
def model() -> str:
    """Return the default model's name, fetched; skip where that cannot be."""
    pytest.importorskip("xllamacpp", reason="the embedded engine (xllamacpp) is not installed")
    try:
        models.ensure("smollm2-135m", say=lambda _: None)
    except SlotwiseError as error:
        pytest.skip(f"the default model is not there and cannot be fetched: {error}")
    return "smollm2-135m"


@asynccontextmanager
async def engine(model: str, slots: int, **levers: str) -> AsyncIterator[tuple[RunningServer, Ask]]:
    size = {"slots": slots, "context_tokens": 256, "batch_tokens": 64, "threads": 1}
    spec = LlamaCppServer.model_validate({"kind": "llamacpp", "model": model, "levers": levers, **size})
    async with (
        launched("tiny", spec, say=lambda _: None) as (server, *_),
        httpx.AsyncClient(base_url=server.url, timeout=120) as client,
    ):

        async def ask(prompt: str, /, *, path: str = "/api/chat", **more: Any) -> httpx.Response:
            options = {"temperature": 0, "seed": 1, "num_predict": 4} | more.pop("options", {})
            said: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
            if path == "/api/generate":
                said = {"prompt": prompt}
            body = {"model": model, "stream": False, "options": options} | said | more
            return await client.post(path, json=body)

        yield server, ask


@pytest.mark.parametrize("draft", [False, True], ids=["ngram", "a draft model"])
def test_it_speculates(draft: bool, model: str) -> None:
    """A model may be its own draft: all its guesses are right then, and nothing is gained."""
    guess = str(models.ensure(model, say=lambda _: None)) if draft else "ngram"

    async def steps() -> None:
        async with engine(model, 1, speculation=guess) as (server, ask):
            assert server.details["speculation"] == guess
            told = (await ask("one two three one two three one two", options={"num_predict": 20})).json()
            assert (told["done"], told["eval_count"] > 0) == (True, True)

    asyncio.run(steps())


def test_a_draft_model_has_to_be_there(model: str) -> None:
    async def steps() -> None:
        async with engine(model, 1, speculation="nowhere.gguf"):
            raise AssertionError

    with pytest.raises(SlotwiseError, match=r"^nowhere\.gguf: no such model file$"):
        asyncio.run(steps())


def test_one_server_many_questions(model: str) -> None:
    async def steps() -> None:
        async with engine(model, 2) as (server, ask):
            assert (server.slots_asked, server.managed, server.exact_queue) == (2, True, True)
            assert server.details["context_tokens"] == 256
            assert server.details["threads"] == 1
            assert server.details["kv_bytes_per_token"] == 2 * 30 * 3 * (64 + 64)  # SmolLM2-135M's shape

            # exactly as many tokens as asked, whatever the model wants; and the times add up
            long = await ask("Say hi.", options={"num_predict": 24, "ignore_eos": True, "cache_prompt": False})
            body = long.json()
            assert (body["eval_count"], body["done_reason"]) == (24, "length")
            parts = ("load_duration", "prompt_eval_duration", "eval_duration")
            assert all(isinstance(body[key], int) for key in parts)
            queue = int(long.headers[QUEUE_HEADER])
            assert body["total_duration"] >= sum(body[key] for key in parts) + queue

            # streamed and whole say the same, and the prompt counts whole although it is cached now
            whole = (await ask("Name a colour.", options={"num_predict": 6})).json()
            streamed = await ask("Name a colour.", stream=True, options={"num_predict": 6})
            lines = [json.loads(line) for line in streamed.text.splitlines()]
            assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"]
            assert lines[-1]["prompt_eval_count"] == whole["prompt_eval_count"]
            assert lines[-1]["eval_count"] == whole["eval_count"]

            # a single token takes no time between first and last: the field is left out, as zero is
            assert "eval_duration" not in (await ask("Hi", options={"num_predict": 1})).json()

            # the template applies to generate, unless raw
            chat = (await ask("Hi")).json()
            generated = (await ask("Hi", path="/api/generate")).json()
            raw = (await ask("Hi", path="/api/generate", raw=True)).json()
            assert generated["response"] == chat["message"]["content"]
            assert generated["prompt_eval_count"] == chat["prompt_eval_count"] > raw["prompt_eval_count"]

            # stop strings end the text before them
            first = whole["message"]["content"]
            cut = (await ask("Name a colour.", options={"num_predict": 6, "stop": [first[-1]]})).json()
            assert first[-1] not in cut["message"]["content"]
            assert cut["done_reason"] == "stop"

            # a schema holds, also where an exact length was asked for
            schema = {"type": "object", "properties": {"n": {"enum": [7]}}, "required": ["n"]}
            shaped = await ask("Seven?", format=schema, options={"num_predict": 60, "ignore_eos": True})
            assert json.loads(shaped.json()["message"]["content"])["n"] == 7
            refused = await ask("Seven?", format={"type": "no such type"})
            assert refused.status_code == 400
            assert "no such type" in refused.json()["error"]

            # too long is refused, and the slot is free again
            over = await ask("word " * 400)
            assert over.status_code == 400
            assert "exceeds the available context size (256 tokens)" in over.json()["error"]

            # more calls than slots: every one is answered, and its wait is accounted for
            options = {"num_predict": 12, "ignore_eos": True, "cache_prompt": False}
            replies = await asyncio.gather(*(ask(f"{n} sheep", options=options) for n in range(3)))
            assert [reply.json()["eval_count"] for reply in replies] == [12, 12, 12]
            for reply in replies:
                body = reply.json()
                busy = sum(body[key] for key in parts) + int(reply.headers[QUEUE_HEADER])
                assert body["total_duration"] >= busy

    asyncio.run(steps())


def test_first_tokens_take_the_place_of_thinking(model: str) -> None:
    """Exactly as many as were asked for, in both forms, also where a character is several tokens; then the answer."""

    async def steps() -> None:
        async with engine(model, 1) as (_, ask):
            exactly = {"num_predict": 16, "ignore_eos": True}
            plain = (await ask("Repeat: 日本語日本語", options=exactly)).json()["message"]
            options = exactly | {"thinking_tokens": 5}
            for path in ("/api/chat", "/api/generate"):
                refused = await ask("Hi", path=path, think=True)
                assert (refused.status_code, refused.json()["error"]) == (400, f'"{model}" does not support thinking')
            whole = await ask("Repeat: 日本語日本語", think=True, options=options)
            said = whole.json()["message"]
            assert said["thinking"] + said["content"] == plain["content"] and said["thinking"] and said["content"]
            assert whole.json()["eval_count"] == 16 and whole.headers[THINKING_HEADER] == "5"
            streamed = await ask("Repeat: 日本語日本語", think=True, stream=True, options=options)
            lines = [json.loads(line) for line in streamed.text.splitlines()]
            assert "".join(line["message"].get("thinking", "") for line in lines) == said["thinking"]
            assert "".join(line["message"]["content"] for line in lines) == said["content"]
            assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 16)
            # without a chat template
            raw = (await ask("The sea", path="/api/generate", raw=True, think=True, options=options)).json()
            assert raw["thinking"] and raw["response"] and raw["eval_count"] == 16

    asyncio.run(steps())


@pytest.mark.parametrize("stream", [False, True])
def test_a_slot_keeps_a_conversation_until_another_call_takes_it(model: str, stream: bool) -> None:
    """Exactly the tokens that the server model counts: the whole last prompt, and its answer but for one token."""

    async def steps() -> None:
        async with engine(model, 1) as (_, ask):
            options = {"num_predict": 8, "ignore_eos": True}
            messages = [{"role": "user", "content": "[1] " + "The river runs slow. " * 8}]

            async def turn() -> tuple[int, int, int]:
                response = await ask("", messages=messages, options=options, stream=stream)
                lines = [json.loads(line) for line in response.text.splitlines()]
                text = "".join(line["message"]["content"] for line in lines)
                messages.extend(({"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}))
                last = lines[-1]
                held = last["prompt_eval_count"] + last["eval_count"] - 1
                return int(response.headers[CACHED_HEADER]), last["prompt_eval_count"], held

            cached, first, held = await turn()
            assert cached < 40  # the beginning that the template gives every prompt, from the warm-up
            cached, second, held_then = await turn()
            assert cached == held > first
            other = await ask("[2] Something else", options=options | {"cache_prompt": False})
            assert other.headers[CACHED_HEADER] == "0"
            cached, third, _ = await turn()
            assert cached < 40 < second < third
            assert held_then > second

    asyncio.run(steps())


def test_hanging_up_stops_the_engine_and_frees_the_slot(model: str) -> None:
    async def steps() -> None:
        async with engine(model, 1) as (server, ask):
            async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
                body = {
                    "model": model,
                    "messages": [{"role": "user", "content": "Count."}],
                    "options": {"num_predict": 100_000, "ignore_eos": True},
                }
                async with client.stream("POST", "/api/chat", json=body) as response:
                    async for _ in response.aiter_lines():
                        break
            assert (await ask("Hi")).status_code == 200  # it would wait for ever behind a call that goes on

    asyncio.run(steps())
