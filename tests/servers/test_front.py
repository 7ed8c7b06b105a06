"""The front against a canned engine: what goes over the wire, and what the engine's own log says happened."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from harness.servers.front.app import CACHED_HEADER, QUEUE_HEADER, THINKING_HEADER, create_app
from harness.servers.front.canned import CannedEngine

Serve = Callable[[Starlette], AbstractAsyncContextManager[str]]
RFC3339_NS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")


@asynccontextmanager
async def client(engine: CannedEngine) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that reaches the app without a socket."""
    transport = httpx.ASGITransport(create_app(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://front") as it:
        yield it


async def post(engine: CannedEngine, path: str, body: Any) -> httpx.Response:
    async with client(engine) as it:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await it.post(path, content=content)


def ask(engine: CannedEngine, path: str, body: Any) -> httpx.Response:
    return asyncio.run(post(engine, path, body))


def chat(prompt: str = "hi", /, *, tokens: int = 2, **more: Any) -> dict[str, Any]:
    options = {"num_predict": tokens} | more.pop("options", {})
    return {
        "model": "canned",
        "messages": [{"role": "user", "content": prompt}],
        "stream": False,
        "options": options,
    } | more


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so, within a bound."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never became so")


# --- replies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["canned", "canned:latest"])
def test_chat_in_one_piece(name: str) -> None:
    response = ask(CannedEngine(), "/api/chat", chat("one two three", model=name))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body = response.json()
    assert RFC3339_NS.match(body.pop("created_at"))
    total, load = body.pop("total_duration"), body.pop("load_duration")
    queue = int(response.headers[QUEUE_HEADER])
    assert response.headers[CACHED_HEADER] == "0"
    assert isinstance(total, int)
    assert isinstance(load, int)
    assert total >= load + queue
    assert body == {
        "model": name,
        "message": {"role": "assistant", "content": " sea salt"},
        "done": True,
        "done_reason": "length",
        "prompt_eval_count": 3,
        "prompt_eval_duration": 3000,
        "eval_count": 2,
        "eval_duration": 1000,
    }


def test_chat_streams_one_line_a_piece() -> None:
    response = ask(CannedEngine(), "/api/chat", chat(tokens=3, stream=True))
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.text.endswith("}\n")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["message"]["content"] for line in lines] == [" sea", " salt", " sun", ""]
    assert [line["done"] for line in lines] == [False, False, False, True]
    assert "eval_count" not in lines[0]
    assert lines[-1]["eval_count"] == 3


def test_streaming_is_the_default_as_on_ollama() -> None:
    body = chat()
    del body["stream"]
    assert ask(CannedEngine(), "/api/chat", body).headers["content-type"] == "application/x-ndjson"


def test_generate_applies_the_template_unless_raw() -> None:
    engine = CannedEngine()
    body = {"model": "canned", "prompt": "p", "system": "s", "stream": False, "options": {"num_predict": 1}}
    response = ask(engine, "/api/generate", body)
    assert response.json()["response"] == " sea"
    assert "message" not in response.json()
    del body["system"]
    ask(engine, "/api/generate", body | {"raw": True})
    templated, raw = engine.requests
    assert templated.messages == [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]
    assert (raw.messages, raw.prompt) == (None, "p")


def test_odd_text_survives() -> None:
    words = ('"\\\n\t', "\x00\x1f", "é☃", "😀", "</script>")
    response = ask(CannedEngine(words=words), "/api/chat", chat(tokens=5, stream=True))
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert tuple(line["message"]["content"] for line in lines[:-1]) == words


def test_zero_fields_are_left_out() -> None:
    response = ask(CannedEngine(), "/api/chat", chat(""))
    assert "prompt_eval_count" not in response.json()  # the canned engine counts words


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_nothing_to_say_loads_and_keep_alive_0_unloads(path: str) -> None:
    async def steps() -> None:
        async with client(CannedEngine()) as it:
            reply = (await it.post(path, json={"model": "canned"})).json()
            assert (reply["done"], reply["done_reason"]) == (True, "load")
            assert "total_duration" not in reply
            assert len((await it.get("/api/ps")).json()["models"]) == 1
            reply = (await it.post(path, json={"model": "canned", "keep_alive": 0})).json()
            assert reply["done_reason"] == "unload"
            assert (await it.get("/api/ps")).json() == {"models": []}
            await it.post(path, json={"model": "canned"})
            assert len((await it.get("/api/ps")).json()["models"]) == 1

    asyncio.run(steps())


def test_keep_alive_moves_expiry() -> None:
    async def steps() -> None:
        async with client(CannedEngine()) as it:

            async def expiry() -> str:
                return str((await it.get("/api/ps")).json()["models"][0]["expires_at"])

            assert (await expiry()).startswith("2318")  # loaded at start, for ever
            await it.post("/api/chat", json=chat(keep_alive="1h30m"))
            assert not (await expiry()).startswith("2318")
            await it.post("/api/chat", json=chat(keep_alive=-1))
            assert (await expiry()).startswith("2318")
            await it.post("/api/chat", json=chat(keep_alive="1us"))
            await asyncio.sleep(0.001)
            assert (await it.get("/api/ps")).json() == {"models": []}

    asyncio.run(steps())


def test_listings() -> None:
    async def steps() -> None:
        async with client(CannedEngine(slots=2)) as it:
            assert (await it.get("/")).text == "Ollama is running"
            assert (await it.head("/")).status_code == 200
            assert (await it.head("/api/version")).status_code == 200
            assert re.match(r"^\d+\.\d+\.\d+$", (await it.get("/api/version")).json()["version"])
            (model,) = (await it.get("/api/tags")).json()["models"]
            assert (model["name"], model["size"]) == ("canned:latest", 1000)
            assert model["details"]["quantization_level"] == "F16"
            shown = (await it.post("/api/show", json={"model": "canned"})).json()
            assert shown["model_info"] == {"general.architecture": "canned"}
            assert shown["capabilities"] == ["completion"]
            (loaded,) = (await it.get("/api/ps")).json()["models"]
            assert (loaded["size"], loaded["size_vram"], loaded["context_length"]) == (2000, 0, 256)

    asyncio.run(steps())


# --- options ----------------------------------------------------------------------------------------------


def test_options_reach_the_engine_with_ollamas_defaults() -> None:
    engine = CannedEngine()
    given = {
        "temperature": 0,
        "seed": 3,
        "stop": ["."],
        "top_k": 5,
        "num_ctx": 128,
        "mirostat": 2,
        "min_p": None,
    }
    ask(engine, "/api/chat", chat(options=given | {"ignore_eos": True, "cache_prompt": False}))
    (request,) = engine.requests
    assert request.options == {
        "temperature": 0,
        "top_k": 5,
        "top_p": 0.9,
        "min_p": 0.0,
        "typical_p": 1.0,
        "repeat_last_n": 64,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": 3,
        "stop": ["."],
    }
    assert (request.ignore_eos, request.cache_prompt) == (True, False)


@pytest.mark.parametrize(("asked", "got"), [(7, 7), (7.9, 7), (-1, 2560), (-2, 2560), (0, 2560), (None, 2560)])
def test_num_predict(asked: float | None, got: int) -> None:
    engine = CannedEngine()
    ask(engine, "/api/chat", chat(options={"num_predict": asked}))
    assert engine.requests[0].num_predict == got


def test_format_turns_ignore_eos_off() -> None:
    engine = CannedEngine()
    ask(engine, "/api/chat", chat(format="json", options={"ignore_eos": True}))
    ask(engine, "/api/chat", chat(format={"type": "object"}))
    assert [(r.format, r.ignore_eos) for r in engine.requests] == [
        ("json", False),
        ({"type": "object"}, False),
    ]


def _said(key: str, value: bytes) -> bytes:
    """Return a body with a value that no ordinary writer writes."""
    return json.dumps(chat() | {key: "VALUE"}).encode().replace(b'"VALUE"', value)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/api/chat", b"", 400, "missing request body"),
        ("/api/chat", b"{", 400, "invalid JSON in the request body: "),
        ("/api/chat", b"[" * 100_000, 400, "invalid JSON in the request body: nested too deeply"),
        ("/api/chat", b"\xff{}", 400, "invalid JSON in the request body: "),
        ("/api/chat", _said("options", b'{"top_p": NaN}'), 400, "invalid JSON in the request body: NaN is no number"),
        (
            "/api/chat",
            _said("options", b'{"seed": ' + b"9" * 400 + b"}"),
            400,
            "invalid JSON in the request body: a number",
        ),
        (
            "/api/chat",
            _said("keep_alive", b"9" * 400),
            400,
            "invalid JSON in the request body: a number with 400 digits",
        ),
        ("/api/chat", _said("keep_alive", b"1e999"), 400, "invalid JSON in the request body: a number beyond 1e308"),
        ("/api/generate", _said("prompt", b'"\\ud800"'), 400, "invalid JSON in the request body: half of a surrogate"),
        ("/api/embed", _said("input", b'["\\udfff\\ud800"]'), 400, "invalid JSON in the request body: half of a"),
        ("/api/show", _said("name", b'"\\ud800"'), 400, "invalid JSON in the request body: half of a surrogate"),
        (
            "/api/chat",
            _said("format", b'{"a":' * 250 + b"1" + b"}" * 250),
            400,
            "invalid JSON in the request body: nested",
        ),
        ("/api/chat", b"[]", 400, "the request body must be a JSON object, not an array"),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/chat", {"model": 3}, 400, "model must be of type string, not a number"),
        ("/api/chat", {"model": "canne"}, 404, "model 'canne' not found"),
        ("/api/generate", {"model": "canned:7b"}, 404, "model 'canned:7b' not found"),
        ("/api/show", {"model": "x"}, 404, "model 'x' not found"),
        ("/api/show", {}, 400, "model is required"),
        ("/api/chat", chat(messages="x"), 400, "messages must be an array, not a string"),
        ("/api/chat", chat(messages=["x"]), 400, "messages[0] must be an object, not a string"),
        (
            "/api/chat",
            chat(messages=[{"role": "me"}]),
            400,
            "messages[0].role must be system, user, assistant",
        ),
        (
            "/api/chat",
            chat() | {"options": []},
            400,
            "options must be of type object, not an array",
        ),
        ("/api/chat", chat(options={"seed": "x"}), 400, 'option "seed" must be of type integer'),
        ("/api/chat", chat(options={"top_p": "x"}), 400, 'option "top_p" must be of type float32'),
        ("/api/chat", chat(options={"stop": [1]}), 400, 'option "stop" must be of an array of strings'),
        ("/api/chat", chat(options={"ignore_eos": 1}), 400, 'option "ignore_eos" must be of type boolean'),
        (
            "/api/chat",
            chat(format="xml"),
            400,
            'invalid format: "xml"; expected "json" or a valid JSON Schema',
        ),
        ("/api/chat", chat(think=True), 400, '"canned" does not support thinking'),
        ("/api/chat", chat(think=True) | {"options": "x"}, 400, '"canned" does not support thinking'),
        ("/api/chat", chat(think=True, options={"thinking_tokens": "x"}), 400, 'option "thinking_tokens" must be of'),
        ("/api/chat", chat(think="much"), 400, 'invalid think value: "much"'),
        ("/api/chat", chat(tools=[{}]), 400, "canned does not support tools"),
        ("/api/chat", chat(keep_alive="5 minutes"), 400, 'time: invalid duration "5 minutes"'),
        (
            "/api/generate",
            {"model": "canned", "prompt": "p", "suffix": "s"},
            400,
            "canned does not support suffix",
        ),
        (
            "/api/chat",
            chat("fail"),
            400,
            "request (300 tokens) exceeds the available context size (256 tokens)",
        ),
        (
            "/api/chat",
            chat("fail", stream=True),
            400,
            "request (300 tokens) exceeds the available context size",
        ),
        ("/api/chat", chat("break"), 500, "the engine broke"),
    ],
)
def test_error_bodies(path: str, body: Any, status: int, message: str) -> None:
    response = ask(CannedEngine(), path, body)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith(message)


def test_think_false_is_always_accepted() -> None:
    assert ask(CannedEngine(), "/api/chat", chat(think=False)).status_code == 200


def test_first_tokens_can_take_the_place_of_thinking() -> None:
    """Only where the request says how many, with `think`, and without a format."""
    options = {"num_predict": 3, "thinking_tokens": 2}
    response = ask(CannedEngine(), "/api/chat", chat(think="high", options=options))
    assert response.headers[THINKING_HEADER] == "2"
    assert response.json()["message"] == {"role": "assistant", "content": " sun", "thinking": " sea salt"}
    streamed = ask(CannedEngine(), "/api/chat", chat(think=True, stream=True, options=options))
    messages = [json.loads(line)["message"] for line in streamed.text.splitlines()]
    assert [message.get("thinking") for message in messages] == [" sea", " salt", None, None]
    assert [message["content"] for message in messages] == ["", "", " sun", ""]
    engine = CannedEngine()
    plain = ask(engine, "/api/chat", chat(options=options))
    assert THINKING_HEADER not in plain.headers and engine.requests[0].thinking_tokens == 0
    refused = ask(CannedEngine(), "/api/chat", chat(think=True, options=options, format="json"))
    assert refused.status_code == 400 and "cannot be combined with format" in refused.json()["error"]


def test_a_model_that_thinks_decides_itself_how_long() -> None:
    engine = CannedEngine()
    engine.model = engine.model._replace(thinking=True)
    response = ask(engine, "/api/chat", chat(think=True, options={"num_predict": 3, "thinking_tokens": 2}))
    assert THINKING_HEADER not in response.headers
    assert (engine.requests[0].think, engine.requests[0].thinking_tokens) == (True, 0)


def test_wrong_method_and_unknown_path() -> None:
    async def steps() -> None:
        async with client(CannedEngine()) as it:
            response = await it.get("/api/chat")
            assert (response.status_code, response.text) == (405, "405 method not allowed")
            response = await it.post("/api/tags")
            assert (response.status_code, response.text) == (405, "405 method not allowed")
            response = await it.post("/v1/nothing")
            assert (response.status_code, response.text) == (404, "404 page not found")

    asyncio.run(steps())


def test_a_failure_after_the_first_chunk_is_a_line() -> None:
    response = ask(CannedEngine(), "/api/chat", chat("break", stream=True))
    assert response.status_code == 200
    first, last = (json.loads(line) for line in response.text.splitlines())
    assert first["message"]["content"] == " sea"
    assert last == {"error": "the engine broke"}


# --- slots ------------------------------------------------------------------------------------------------


def test_slots_are_first_in_first_out_and_never_exceeded() -> None:
    async def steps() -> None:
        engine = CannedEngine(slots=2)
        names = ["a", "b", "c", "d", "e", "f"]
        gates = {name: asyncio.Event() for name in names}
        engine.gates = gates
        async with client(engine) as it:
            calls = []
            for name in names:
                calls.append(asyncio.create_task(it.post("/api/chat", json=chat(f"gate {name}"))))
                await until(lambda: len(engine.log) == min(2, len(calls)))
                for _ in range(20):  # the next one must not overtake on its way through the client
                    await asyncio.sleep(0)
            for done, name in enumerate(["b", "a", "c", "d", "e", "f"], 1):
                gates[name].set()
                await until(lambda done=done: sum(e.what == "end" for e in engine.log) == done)  # type: ignore[misc]  # a default's type
            responses = await asyncio.gather(*calls)
        assert engine.running_most == 2
        assert [e.prompt[-1] for e in engine.log if e.what == "start"] == names
        queued = [int(r.headers[QUEUE_HEADER]) for r in responses]
        for response, queue in zip(responses, queued, strict=True):
            body = response.json()
            assert body["total_duration"] >= body["load_duration"] + queue
        assert max(queued[:2]) < min(queued[2:])  # two had a slot at once, four waited for a gate

    asyncio.run(steps())


def test_headers_come_with_the_first_chunk(serve: Serve) -> None:
    async def steps() -> None:
        engine = CannedEngine()
        engine.gates["x"] = asyncio.Event()
        async with serve(create_app(engine)) as url, httpx.AsyncClient(base_url=url, timeout=60) as it:
            request = it.build_request("POST", "/api/chat", json=chat("gate x", stream=True))
            call = asyncio.create_task(it.send(request, stream=True))
            await until(lambda: engine.running == 1)
            await it.get("/api/ps")  # a whole round trip: the headers had their chance
            assert not call.done()
            engine.gates["x"].set()
            response = await call
            assert int(response.headers[QUEUE_HEADER]) >= 0
            assert len([line async for line in response.aiter_lines()]) == 3
            await response.aclose()

    asyncio.run(steps())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_frees_the_slot(serve: Serve, stream: bool) -> None:
    async def steps() -> None:
        engine = CannedEngine(pause_s=0.001)
        async with serve(create_app(engine)) as url, httpx.AsyncClient(base_url=url, timeout=60) as it:
            body = chat("gate never", stream=stream)
            running = asyncio.create_task(it.post("/api/chat", json=body))
            await until(lambda: engine.running == 1)
            waiting = asyncio.create_task(it.post("/api/chat", json=chat("in the queue")))
            last = asyncio.create_task(it.post("/api/chat", json=chat("last")))
            await it.get("/api/ps")
            for call in (waiting, running):
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            assert (await last).status_code == 200
        assert engine.log[:2] == [("start", "gate never"), ("cut", "gate never")]
        assert ("end", "last") in engine.log

    asyncio.run(steps())


def test_hanging_up_in_mid_stream_stops_the_engine(serve: Serve) -> None:
    async def steps() -> None:
        engine = CannedEngine(pause_s=0.001)
        async with serve(create_app(engine)) as url, httpx.AsyncClient(base_url=url, timeout=60) as it:
            async with it.stream("POST", "/api/chat", json=chat("long", tokens=2500, stream=True)) as response:
                async for _ in response.aiter_lines():
                    break
            await until(lambda: engine.log[-1] == ("cut", "long"))
            assert (await it.post("/api/chat", json=chat("next"))).status_code == 200

    asyncio.run(steps())
