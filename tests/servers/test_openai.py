"""A server that speaks OpenAI's API, behind our front: what is asked of it, what it tells, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from conftest import VirtualLoop
from fake_ollama import FakeOllama
from fake_openai import DONE, SO, FakeOpenAi, Part, ended, said, thought, used
from quiet import Quiet
from servers.asgi import AppTransport

from harness.drivers.chat import Chat
from harness.errors import ServerFailure, UserError
from harness.measure.burst_design import EFFORTS
from harness.measure.calibrate import ToCalibrate, calibrate
from harness.measure.others import slots_of_others
from harness.measure.probe import find_slots, look_alone
from harness.measure.sender import Endpoint
from harness.servers.front.app import CACHED_HEADER, QUEUE_HEADER, create_app
from harness.servers.launch import launched
from harness.servers.openai_api import slots_working, way_to
from harness.servers.openai_engine import OpenAiConfig, OpenAiEngine
from harness.servers.running import server_at
from harness.servers.spec import RunningServer
from harness.workload.overrides import at_url
from harness.workload.schema import LlamaCppServer, OllamaServer, OpenAiServer, kind_hint

URL = "http://up:8000/v1"
PNG = b"\x89PNG\r\n\x1a\n"
KEY = "sk-not-to-be-told-1234"
TIMINGS = {"cache_n": 6, "prompt_n": 4, "prompt_ms": 12.5, "predicted_n": 2, "predicted_ms": 30.25}


def front(fake: FakeOpenAi, **more: Any) -> AppTransport:
    facts: dict[str, Any] = {"context_tokens": None, "template": None, "dialect": "openai", "sees_images": False}
    config = {"model_name": "m", "url": URL, "key_variable": None, "version": "OpenAI API"} | facts | more
    return AppTransport(create_app(OpenAiEngine(OpenAiConfig(**config), fake.transport())))


def ask(fake: FakeOpenAi, body: dict[str, Any] | None = None, path: str = "/api/chat", **more: Any) -> httpx.Response:
    async def steps() -> httpx.Response:
        async with httpx.AsyncClient(transport=front(fake, **more), base_url="http://front") as client:
            asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
            return await client.post(path, json=asked | (body or {}))

    return asyncio.run(steps())


def error(fake: FakeOpenAi, body: dict[str, Any] | None = None, **more: Any) -> tuple[int, str]:
    response = ask(fake, body, **more)
    return response.status_code, response.json()["error"]


def test_a_request_says_in_openais_words_what_was_asked() -> None:
    fake, schema = FakeOpenAi(), {"type": "object"}
    options = {"num_predict": 7, "seed": 3, "temperature": 0, "top_p": 0.5, "stop": ["END"], "num_ctx": 512, "top_k": 1}
    ask(fake, {"options": options, "format": schema})
    assert fake.chats == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            "top_p": 0.5,
            "max_tokens": 7,
            "seed": 3,
            "stop": ["END"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            },
        }
    ]


def test_nothing_is_said_of_what_nobody_asked() -> None:
    fake = FakeOpenAi()
    ask(fake, {"think": False})
    assert not {"max_tokens", "seed", "stop", "response_format", "chat_template_kwargs"} & set(fake.chats[0])
    ask(fake, {"think": True, "format": "json"})
    assert fake.chats[1]["chat_template_kwargs"] == {"enable_thinking": True}
    assert fake.chats[1]["response_format"] == {"type": "json_object"}
    ask(fake, {"think": False}, dialect="vllm")
    assert fake.chats[2]["chat_template_kwargs"] == {"enable_thinking": False}


def test_each_server_is_told_what_it_knows_beyond_openais_api() -> None:
    fake = FakeOpenAi()
    options = {"top_k": 1, "min_p": 0.1, "repeat_penalty": 1.5, "ignore_eos": True, "cache_prompt": False}
    for dialect in ("openai", "vllm", "llama-server"):
        ask(fake, {"options": options}, dialect=dialect)
    usual = set(fake.chats[0])
    assert {key: value for key, value in fake.chats[1].items() if key not in usual} == {
        "top_k": 1,
        "min_p": 0.1,
        "repetition_penalty": 1.5,
        "ignore_eos": True,
    }
    assert {key: value for key, value in fake.chats[2].items() if key not in usual} == {
        "top_k": 1,
        "min_p": 0.1,
        "repeat_penalty": 1.5,
        "ignore_eos": True,
        "cache_prompt": False,
        "typical_p": 1.0,
        "repeat_last_n": 64,
    }


def test_the_limit_gets_its_newer_name_where_the_server_asks_for_it() -> None:
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."

    def old(body: dict[str, Any]) -> tuple[int, Any] | None:
        return (400, {"error": {"message": words}}) if "max_tokens" in body else None

    fake, engine = FakeOpenAi(misbehave=old), {"options": {"num_predict": 7}}
    assert ask(fake, engine).status_code == 200
    assert [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in fake.chats] == [
        (7, None),
        (None, 7),
    ]
    stubborn = FakeOpenAi(misbehave=lambda _: (400, {"error": words}))
    assert error(stubborn, engine)[0] == 400 and len(stubborn.chats) == 2


def test_images_become_parts_of_the_message() -> None:
    fake, image = FakeOpenAi(), base64.b64encode(PNG).decode()
    message: dict[str, Any] = {"role": "user", "content": "What is it?", "images": [image]}
    assert ask(fake, {"messages": [message]}, sees_images=True).status_code == 200
    assert fake.chats[0]["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
            ],
        }
    ]
    assert error(fake, {"messages": [message]}) == (400, "messages[0]: this model does not support images")
    wrong = {"messages": [message | {"images": ["no base64!"]}]}
    assert error(fake, wrong, sees_images=True) == (400, "an image of the request is no base64")
    wrong = {"messages": [message | {"images": [3]}]}
    assert error(fake, wrong, sees_images=True) == (400, "messages[0].images must be an array of strings in base64")
    assert len(fake.chats) == 1


def test_what_a_server_does_not_tell_is_not_told() -> None:
    fake = FakeOpenAi(parts=lambda _: (said("so"), ended("length"), DONE))
    response = ask(fake)
    body = response.json()
    assert (body["message"]["content"], body["done_reason"]) == ("so", "length")
    untold = ("prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
    assert not set(untold) & set(body)
    assert not {QUEUE_HEADER, CACHED_HEADER} & set(response.headers)


def test_counts_of_openai_and_times_of_llama_server() -> None:
    counted = ask(FakeOpenAi())
    body = counted.json()
    assert (body["prompt_eval_count"], body["eval_count"], counted.headers[CACHED_HEADER]) == (10, 2, "4")
    assert not {"prompt_eval_duration", "eval_duration"} & set(body)
    timed = ask(FakeOpenAi(parts=lambda _: (said("so"), ended(), used(timings=TIMINGS), DONE)))
    body = timed.json()
    assert (body["prompt_eval_duration"], body["eval_duration"]) == (12_500_000, 30_250_000)
    assert timed.headers[CACHED_HEADER] == "6"


def test_thinking_comes_before_the_answer_in_both_forms() -> None:
    fake = FakeOpenAi(parts=lambda _: (thought("hm"), thought("m"), said("so"), said("!"), *SO[1:]))
    message = ask(fake, {"think": True}).json()["message"]
    assert (message["thinking"], message["content"]) == ("hmm", "so!")
    lines = [json.loads(line)["message"] for line in ask(fake, {"think": True, "stream": True}).text.splitlines()]
    assert [(line.get("thinking"), line["content"]) for line in lines] == [
        ("hm", ""),
        ("m", ""),
        (None, "so"),
        (None, "!"),
        (None, ""),
    ]


def test_llama_server_tells_what_was_cached_before_a_stream() -> None:
    progress = {"choices": [], "prompt_progress": {"total": 10, "cache": 3, "processed": 3}}
    fake = FakeOpenAi(parts=lambda _: (progress, *SO))
    response = ask(fake, {"stream": True}, dialect="llama-server")
    assert fake.chats[0]["return_progress"] is True
    assert response.headers[CACHED_HEADER] == "3"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, {"error": {"message": "too\n long"}}, (400, "refused the call: 400 (too long)")),
        (401, {"error": f"no {KEY[:9]}"}, (401, "asks for an API key (401); name its variable with `api_key_env`")),
        (404, {"detail": "Not Found"}, (404, "refused the call: 404 (Not Found)")),
        (429, {"message": "slow down"}, (503, "is too busy: 429 (slow down)")),
        (503, {"error": "Loading model"}, (503, "is too busy: 503 (Loading model)")),
        (307, {}, (502, "answers from another address (307); name that one in `url`")),
        (500, {"error": {}}, (500, "refused the call: 500 ({})")),
    ],
)  # fmt: skip
def test_a_refusal_is_one_clear_line(status: int, body: Any, told: tuple[int, str]) -> None:
    assert error(FakeOpenAi(misbehave=lambda _: (status, body))) == (told[0], f"{URL} {told[1]}")


def test_a_model_that_went_away_names_those_that_are_there() -> None:
    fake = FakeOpenAi(models=["mm", "other"])
    assert error(fake) == (404, f'{URL} has no model "m"; did you mean "mm"? It has 2 models: mm, other')
    assert error(FakeOpenAi(models=[])) == (404, f'{URL} has no model "m"; it lists none')


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((said("so"),), " ended its answer without saying why (finish_reason)"),
        ((b"data: {oops\n\n",), ": the answer is no stream of OpenAI's API; expected data: {...}, found {oops"),
        ((b'{"a": 1}',), ': the answer is no stream of OpenAI\'s API; expected data: {...}, found {"a": 1}'),
        ((b"data: [1]\n\n",), ": the answer is no stream of OpenAI's API; expected data: {...}, found [1]"),
        (tuple(said("x") for _ in range(100)), " goes on after 2 tokens, which is all that was asked for (max_tokens)"),
        ((b"data: " + b"x" * (5 << 20),), " sent an answer that is too large"),
    ],
)  # fmt: skip
def test_a_stream_that_is_wrong(parts: tuple[Part, ...], told: str) -> None:
    assert error(FakeOpenAi(parts=lambda _: parts), {"options": {"num_predict": 2}}) == (502, URL + told)


def test_an_error_in_the_middle_of_a_stream() -> None:
    fake = FakeOpenAi(parts=lambda _: (said("so"), {"error": {"code": 400, "message": "context is full"}}))
    assert error(fake) == (400, f"{URL} refused the call: 400 (context is full)")
    lines = ask(fake, {"stream": True}).text.splitlines()
    assert json.loads(lines[-1]) == {"error": f"{URL} refused the call: 400 (context is full)"}


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (httpx.ConnectError("refused"), 502, f"nothing listens at {URL}: start the server, or fix `url`"),
        (httpx.RemoteProtocolError("cut"), 502, f"{URL} closed the connection before the end of its answer"),
        (httpx.ReadTimeout("late"), 504, f"{URL} sent nothing for too long"),
    ],
)
def test_a_connection_that_fails(raised: Exception, status: int, told: str) -> None:
    def misbehave(_: dict[str, Any]) -> None:
        raise raised

    assert error(FakeOpenAi(misbehave=misbehave)) == (status, told)


def test_the_key_is_sent_and_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    fake = FakeOpenAi(key=KEY)
    assert ask(fake, key_variable="THE_KEY").status_code == 200
    assert fake.keys == [f"Bearer {KEY}"]
    repeats = FakeOpenAi(misbehave=lambda _: (500, {"error": {"message": f"odd: {KEY} and Bearer {KEY}"}}))
    assert KEY not in error(repeats, key_variable="THE_KEY")[1]
    wrong = FakeOpenAi(key="another")
    told = f"{URL} does not take the API key (401); check the environment variable THE_KEY"
    assert error(wrong, key_variable="THE_KEY") == (401, told)


def test_raw_prompts_are_refused() -> None:
    assert ask(FakeOpenAi(), {"prompt": "x"}, "/api/generate").json()["response"] == "so"
    status = ask(FakeOpenAi(), {"prompt": "x", "raw": True, "messages": None}, "/api/generate").status_code
    assert status == 400


def test_it_says_no_size_and_no_context_that_it_does_not_know() -> None:
    async def steps() -> tuple[Any, Any, Any]:
        async with httpx.AsyncClient(transport=front(FakeOpenAi()), base_url="http://front") as client:
            loaded = (await client.get("/api/ps")).json()["models"][0]
            listed = (await client.get("/api/tags")).json()["models"][0]
            shown = (await client.post("/api/show", json={"model": "m"})).json()
            return loaded, listed, shown

    loaded, listed, shown = asyncio.run(steps())
    assert not {"size", "size_vram", "context_length"} & {*loaded, *listed}
    assert (shown["parameters"], shown["capabilities"]) == ("", ["completion", "thinking"])


# --- slots, from outside ------------------------------------------------------------------------------------------


def found(fake: FakeOpenAi, tells_times: bool) -> tuple[int, Any]:
    server = RunningServer(
        "s", "openai", "http://front", "m", None, False, "x", False, False, {}, tells_times=tells_times
    )

    async def steps() -> tuple[int, Any]:
        chat = Chat("http://front", "m", asyncio.get_running_loop().time, transport=front(fake))
        try:
            endpoint = Endpoint(server, chat, None, 600.0)
            return (await find_slots(endpoint, rounds=1)).number, (await look_alone(endpoint)).baseline
        finally:
            await chat.close()

    loop = VirtualLoop()
    try:
        return loop.run_until_complete(steps())
    finally:
        loop.close()


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_slots_are_counted_where_no_times_are_told(slots: int) -> None:
    answer: tuple[Part, ...] = (0.25, said("so"), 1.0, said("!"), *SO[1:])
    assert found(FakeOpenAi(slots=slots, parts=lambda _: answer), tells_times=False) == (slots, None)


def test_slots_are_counted_by_the_times_that_are_told() -> None:
    told = used(timings={"prompt_ms": 250.0, "predicted_ms": 1000.0})
    answer: tuple[Part, ...] = (0.25, said("so"), 1.0, said("!"), ended(), told, DONE)
    slots, baseline = found(FakeOpenAi(slots=2, parts=lambda _: answer), tells_times=True)
    assert slots == 2 and baseline is not None


# --- its launcher -------------------------------------------------------------------------------------------------


def up(fake: FakeOpenAi, change: Callable[[str], str] = str, **more: Any) -> RunningServer:
    async def steps(url: str) -> RunningServer:
        spec = OpenAiServer.model_validate({"kind": "openai", "url": change(url), "model": "m"} | more)
        async with launched("mine", spec, say=lambda _: None) as (server, *_):
            return server

    with fake.listening() as url:
        return asyncio.run(steps(url))


def test_a_running_server_is_named_and_asked_only() -> None:
    fake = FakeOpenAi()
    server = up(fake)
    assert (server.kind, server.model, server.version) == ("openai", "m", "OpenAI API")
    assert (server.slots_asked, server.managed, server.exact_queue, server.can_pin_output) == (
        None,
        False,
        False,
        False,
    )
    assert set(server.details) == {"upstream"} and not server.tells_times
    assert server.shown == server.details["upstream"] != server.url  # people are told its address, not the front's
    assert [body["max_tokens"] for body in fake.chats] == [1]


def test_llama_server_and_vllm_tell_more() -> None:
    props = {"total_slots": 2, "default_generation_settings": {"n_ctx": 4096}, "build_info": "b10488"}
    server = up(FakeOpenAi(owned_by="llamacpp", props=props), slots=3)
    assert (server.version, server.tells_times, server.slots_asked) == ("llama-server b10488", True, 3)
    assert server.can_pin_output and not server.embedded
    assert up(FakeOpenAi(owned_by="llamacpp", props=props)).slots_asked == 2  # as it tells itself
    assert {key: server.details[key] for key in ("context_tokens", "slots_told")} == {
        "context_tokens": 4096,
        "slots_told": 2,
    }
    server = up(FakeOpenAi(owned_by="vllm", more={"max_model_len": 8192}))
    assert (server.version, server.details["context_tokens"], server.tells_times) == ("vllm", 8192, False)


def test_what_stands_in_the_way_of_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r'^mine: http://127.* has no model "m". It has 1 model: other$'):
        up(FakeOpenAi(models=["other"]))
    with pytest.raises(
        ServerFailure, match=r"/models does not answer as OpenAI's API does \(404: no such path: /models\)"
    ):
        up(FakeOpenAi(), lambda url: url.removesuffix("/v1"))
    with pytest.raises(UserError, match="the environment variable NO_KEY_HERE is not set"):
        up(FakeOpenAi(), api_key_env="NO_KEY_HERE")
    monkeypatch.setenv("THE_KEY", KEY)
    with pytest.raises(
        UserError, match=r"does not take the API key .401.; check the environment variable THE_KEY$"
    ) as wrong:
        up(FakeOpenAi(key="another"), api_key_env="THE_KEY")
    assert KEY not in str(wrong.value)
    with pytest.raises(UserError, match=r"asks for an API key .401.; name its variable with `api_key_env`$"):
        up(FakeOpenAi(key="another"))
    with pytest.raises(ServerFailure, match=r"^mine: nothing listens at http://127.0.0.1:9/v1: start the server"):
        up(FakeOpenAi(), lambda _: "http://127.0.0.1:9/v1")


def test_the_key_reaches_the_server_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    fake = FakeOpenAi(key=KEY)
    server = up(fake, api_key_env="THE_KEY")
    assert set(fake.keys) == {f"Bearer {KEY}"} and len(fake.keys) == 2
    assert KEY not in repr(server)


def test_a_server_that_tells_no_times_is_not_calibrated() -> None:
    async def steps(url: str) -> None:
        spec = OpenAiServer(kind="openai", url=url, model="m")
        await calibrate("p", [ToCalibrate("mine", spec)], EFFORTS["quick"], Quiet())

    with (
        FakeOpenAi().listening() as url,
        pytest.raises(ServerFailure, match=r"^mine: OpenAI API does not tell how long"),
    ):
        asyncio.run(steps(url))


# --- by its URL ---------------------------------------------------------------------------------------------------


def test_a_url_tells_which_api_is_there() -> None:
    with FakeOpenAi().listening() as url:
        spec = OpenAiServer(kind="openai", model="m", url=url)
        for given in (url, url.removesuffix("/v1"), f"{url}/"):
            assert asyncio.run(server_at(given, None)) == spec
    with FakeOpenAi(models=["a", "b"]).listening() as url:
        with pytest.raises(UserError, match=r"/v1 has 2 models: a, b\. Choose one with --model$"):
            asyncio.run(server_at(url, None))
        assert asyncio.run(server_at(url, "b")).model == "b"
    with FakeOllama().listening() as url:
        assert asyncio.run(server_at(url, None)) == OllamaServer(kind="ollama", model="m", url=url)


def test_a_server_named_at_a_url_stays_what_it_is_or_becomes_what_is_there() -> None:
    there = {"url": "http://there:1/v1", "model": "m", "kind": "openai"}
    ours = OpenAiServer(kind="openai", model="m", url=URL, api_key_env="THE_KEY", slots=2)
    moved = at_url("mine", ours, "http://there:1/v1")
    assert moved == OpenAiServer.model_validate(there | {"slots": 2, "api_key_env": "THE_KEY"})
    embedded = LlamaCppServer(kind="llamacpp", model="m", slots=2, batch_tokens=64)
    assert at_url("mine", embedded, "http://there:1", None, "http://there:1/v1") == OpenAiServer.model_validate(
        there | {"slots": 2}
    )
    assert at_url("mine", embedded, "http://there:1") == OllamaServer(
        kind="ollama", model="m", slots=2, batch_tokens=64, url="http://there:1"
    )


def test_llama_server_tells_whether_it_works_for_others() -> None:
    busy = [[True, False], [True, True], [True, False], [False, False]]  # what it says, one after the other
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=[{"is_processing": one} for one in busy[len(asked) - 1]])

    endpoint = Endpoint(
        RunningServer("s", "openai", "http://front", "m", 2, False, "v", False, True, {}),
        Chat(URL, "m", time.monotonic),
        None,
        working=partial(slots_working, way_to("s", URL, None), httpx.MockTransport(handle)),
    )

    async def steps() -> tuple[int, int, int]:
        ours = endpoint._replace(server=endpoint.server._replace(managed=True))
        return await slots_of_others(endpoint), await slots_of_others(endpoint), await slots_of_others(ours)

    # One worked both times; what ended in between was ours; a server of ours is not asked.
    assert asyncio.run(steps()) == (1, 0, 0)
    assert asked == ["/slots"] * 4


@pytest.mark.parametrize("answer", [(501, {"error": "off"}), (200, {"no": "list"}), (200, [3, {"is_processing": 1}])])
def test_what_a_server_does_not_say_of_its_slots_is_not_known(answer: tuple[int, Any]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(answer[0], json=answer[1]))
    assert not asyncio.run(slots_working(way_to("s", URL, None), transport))


def test_a_kind_that_people_look_for_is_named_as_it_is_here() -> None:
    said = "; vLLM is `kind: openai` with `url:`; on the command line --server URL"
    assert kind_hint("vllm") == kind_hint("vLLM", ["ollama"]) == said
    assert "ollama" in kind_hint("olama") and kind_hint("xyz") == ""
