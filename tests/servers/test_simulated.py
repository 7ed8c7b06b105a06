"""Simulated servers: text, lengths, clients, faults. When things happen is in test_simulated_equivalence.py."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from conftest import VirtualLoop
from langchain_ollama import ChatOllama
from servers.asgi import AppTransport
from starlette.types import ASGIApp

from harness.core.records import ChatRequest, Reply
from harness.core.step_costs import PassCosts, RamCache, StepCosts, sped_up
from harness.drivers.chat import Chat
from harness.errors import UserError, WorkloadError
from harness.profiles.compile import noise
from harness.servers.faults import Faults, Faulty, fault_of
from harness.servers.front.app import create_app
from harness.servers.fronts import child, children
from harness.servers.launch import launched
from harness.servers.simulated import contention, emulation, profile_of, simulated
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine, read_truth
from harness.workload.schema import FAULTS, SimulatedServer

Serve = Callable[[ASGIApp], AbstractAsyncContextManager[str]]
RunVirtual = Callable[[Callable[[VirtualLoop], Any]], Any]

COSTS = StepCosts(decode_s=(0.0, 0.5, 0.75), prefill=((1, 0.125),))
QUICK = sped_up(COSTS, 1000)
PUBLISHED = SimulatedServer(
    kind="simulated", profile="m1-published", slots=4, assume={"prefill_s_per_token": 0.001}, speed_up=500
)


PAIR = """
version: 1
name: pair
origin: assumed
source: made up
date: null
machine: none
engine: none
model: none
slots:
  1: {step_s: {1: 0.01}, prefill_s_per_token: 0.001, prefill_batch_tokens: 64, context_s_per_token: 0.0,
      before_s: 0.002, after_s: 0.001}
half:
  1: {step_s: {1: 0.02}, prefill_s_per_token: 0.002, prefill_batch_tokens: 64, context_s_per_token: 0.0,
      before_s: 0.002, after_s: 0.001, noise: 0.05}
contention: {2: 1.5}
"""


def engine(costs: StepCosts = COSTS, context_tokens: int = 1024) -> SimulatedEngine:
    return SimulatedEngine(SimulatedConfig("sim", "test", costs, context_tokens))


def ask(run_virtual: RunVirtual, path: str, body: dict[str, Any], costs: StepCosts = COSTS) -> httpx.Response:
    """Send one request on virtual time, and wait for all of its answer."""

    async def main(loop: VirtualLoop) -> httpx.Response:
        app = create_app(engine(costs), lambda: round(loop.time() * 1e9))
        async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://front") as client:
            return await client.post(path, json={"model": "sim", "stream": False, **body})

    response: httpx.Response = run_virtual(main)
    return response


def chat(text: str = "hello there, server", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


# --- what is said ---------------------------------------------------------------------------------------------


def test_lengths_and_timings(run_virtual: RunVirtual) -> None:
    """19 characters are 5 tokens; 4 tokens in all, three of them after the first."""
    body = ask(run_virtual, "/api/chat", chat(options={"num_predict": 4})).json()
    assert (body["prompt_eval_count"], body["eval_count"], body["done_reason"]) == (5, 4, "length")
    assert body["prompt_eval_duration"] == 5 * 125_000_000
    assert body["eval_duration"] == 3 * 500_000_000
    assert body["total_duration"] == body["prompt_eval_duration"] + body["eval_duration"]
    assert len(body["message"]["content"].split()) == 4


def test_an_exact_prompt_length(run_virtual: RunVirtual) -> None:
    body = ask(run_virtual, "/api/chat", chat(options={"num_predict": 1, "prompt_tokens": 100})).json()
    assert (body["prompt_eval_count"], body["prompt_eval_duration"]) == (100, 12_500_000_000)
    assert "eval_duration" not in body  # one token has no second
    response = ask(run_virtual, "/api/chat", chat(options={"prompt_tokens": 0}))
    assert (response.status_code, response.json()) == (400, {"error": 'option "prompt_tokens" must be at least 1'})


def test_a_length_that_nobody_asked_for(run_virtual: RunVirtual) -> None:
    body = ask(run_virtual, "/api/generate", {"prompt": "tell me"}).json()
    assert (body["eval_count"], body["done_reason"]) == (128, "stop")
    body = ask(run_virtual, "/api/generate", {"prompt": "tell me", "options": {"ignore_eos": True}}).json()
    assert (body["eval_count"], body["done_reason"]) == (1024 - 2, "length")  # to the end of the context


def test_a_prompt_that_does_not_fit(run_virtual: RunVirtual) -> None:
    response = ask(run_virtual, "/api/chat", chat("word " * 1000))
    assert response.status_code == 400
    assert "request (1250 tokens) exceeds the available context size (1024 tokens)" in response.json()["error"]


def test_text_is_the_same_for_the_same_seed_and_prompt(run_virtual: RunVirtual) -> None:
    def text(prompt: str, seed: int, stream: bool = False) -> str:
        body = chat(prompt, options={"num_predict": 40, "seed": seed}, stream=stream)
        lines = ask(run_virtual, "/api/chat", body).text.splitlines()
        assert len(lines) == (41 if stream else 1)  # a line a token
        return "".join(json.loads(line)["message"]["content"] for line in lines)

    first = text("one", 7)
    assert text("one", 7, stream=True) == first
    assert len({first, text("one", 8), text("two", 7)}) == 3
    assert first[0].isupper() and first.endswith(".") and ". " in first


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_json_where_json_is_asked_for(run_virtual: RunVirtual, tokens: int) -> None:
    body = ask(run_virtual, "/api/chat", chat(format="json", options={"num_predict": tokens})).json()
    said = json.loads(body["message"]["content"])
    assert len(said.get("text", "").split()) == max(0, tokens - 2)
    assert body["eval_count"] == tokens


def test_noise_is_played_and_is_that_of_its_seed(run_virtual: RunVirtual) -> None:
    """Each prompt and each stretch of decoding has a factor of its own, those of the seed and the server's name."""

    def took(seed: int) -> list[float]:
        async def main(loop: VirtualLoop) -> list[float]:
            config = SimulatedConfig("sim", "test", COSTS, 1024, noise=0.1, noise_seed=seed, noise_key="s")
            app = create_app(SimulatedEngine(config), lambda: round(loop.time() * 1e9))
            async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://front") as client:
                times = []
                options = {"num_predict": 5, "prompt_tokens": 8, "cache_prompt": False}
                for _ in range(3):
                    began_s = loop.time()
                    body = {"model": "sim", "stream": False, **chat(options=options)}
                    await client.post("/api/chat", json=body)
                    times.append(loop.time() - began_s)
                return times

        times: list[float] = run_virtual(main)
        return times

    first = took(1)
    drawn = [noise(0.1, 1, "s")(segment) for segment in range(6)]
    assert first == pytest.approx(
        [prompt * 1.0 + decode * 2.0 for prompt, decode in zip(drawn[::2], drawn[1::2], strict=True)]
    )
    assert took(1) == first
    assert took(2) != first


def test_a_server_on_half_of_the_cores_and_one_machine_for_all(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/pair.yaml").write_text(PAIR, encoding="utf-8")
    half = SimulatedServer(kind="simulated", profile="pair", slots=1, threads="half")
    config, details = emulation("one-half", half, tmp_path)
    assert SimulatedConfig.from_json(config["engine"]).costs.decode_s == (0.0, 0.02)
    assert config["engine"]["noise"] == 0.05
    assert (details["cores"], details["contention"]) == ("half", 2)
    whole = half.model_copy(update={"threads": None})
    config, details = emulation("one", whole, tmp_path)
    assert SimulatedConfig.from_json(config["engine"]).costs.decode_s == (0.0, 0.01)
    assert "contention" not in details  # that of the profile is for servers with half of the cores
    profile = profile_of(half, tmp_path)
    assert contention(profile, 1) is None
    assert contention(profile, 3) == {2: 1.5, 3: 1.5}

    async def steps() -> list[str]:
        others = {"a": half, "b": half, "c": PUBLISHED}
        async with simulated(others, say=lambda _: None, near=tmp_path) as running:
            async with launched("a", half, say=lambda _: None, near=tmp_path, played=running) as (server, *_):
                assert server.url == running["a"].url
            assert len({server.url for server in running.values()}) == 3
            return [server.version for server in running.values()]

    assert asyncio.run(steps()) == ["simulated pair", "simulated pair", "simulated m1-published"]


def test_servers_on_different_machines_are_different_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/pair.yaml").write_text(PAIR, encoding="utf-8")
    half = SimulatedServer(kind="simulated", profile="pair", slots=1, threads="half")
    named = {"a": "gpu0", "b": "gpu1", "c": "gpu0", "d": None}
    on = {name: half.model_copy(update={"machine": machine}) for name, machine in named.items()}
    started: list[tuple[str, Mapping[int, float] | None]] = []

    @asynccontextmanager
    async def noted(
        names: str, _kind: str, configs: Sequence[object], *, among: Mapping[int, float] | None, **_: object
    ) -> AsyncIterator[list[dict[str, object]]]:
        started.append((names, among))
        yield [{"url": f"http://{names}/{n}", "pid": 1, "version": ""} for n, _ in enumerate(configs)]

    async def start() -> None:
        async with simulated(on, say=lambda _: None, near=tmp_path) as running:
            assert {*running} == {*"abcd"}

    monkeypatch.setattr("harness.servers.simulated.children", noted)
    monkeypatch.setattr("harness.servers.simulated.our_server", lambda name, *_, **__: name)
    asyncio.run(start())
    assert started == [("a, c", {2: 1.5}), ("b", None), ("d", None)]


def test_fronts_of_one_machine_are_one_process() -> None:
    async def steps() -> set[int]:
        config = {"engine": SimulatedConfig("sim", "test", QUICK, 1024).to_json(), "faults": None}
        async with children("two", "simulated", [config, config], among={2: 1.5}) as ready:
            assert len({front["url"] for front in ready}) == 2
            return {front["pid"] for front in ready}

    assert len(asyncio.run(steps())) == 1


def test_a_speed_up_divides_every_time(run_virtual: RunVirtual) -> None:
    costs = COSTS._replace(prompt_step_s=0.25, prompt_context_s=0.125, context_s_per_token=0.0625)
    body = chat(options={"num_predict": 6, "prompt_tokens": 9})
    slow = ask(run_virtual, "/api/chat", body, costs).json()
    fast = ask(run_virtual, "/api/chat", body, sped_up(costs, 8)).json()
    for key in ("total_duration", "prompt_eval_duration", "eval_duration"):
        assert slow[key] == 8 * fast[key]
    faster = sped_up(costs._replace(before_s=1.0, after_s=2.0), 8)
    assert (faster.before_s, faster.after_s, faster.batch_tokens) == (0.125, 0.25, costs.batch_tokens)


# --- clients --------------------------------------------------------------------------------------------------


def test_the_ollama_client(serve: Serve) -> None:
    def talk(url: str) -> None:
        client = ollama.Client(host=url)
        try:
            (loaded,) = client.ps().models
            assert (loaded.model, loaded.context_length) == ("sim:latest", 1024)
            assert client.show("sim").modelinfo == {"general.architecture": "simulated", "slotwise.profile": "test"}
            whole = client.chat("sim", [{"role": "user", "content": "hi"}], options={"num_predict": 9})
            assert (whole.eval_count, whole.done_reason) == (9, "length")
            parts = list(client.chat("sim", [{"role": "user", "content": "hi"}], stream=True))
            assert len(parts) == 129 and parts[-1].done
        finally:
            client._client.close()

    async def steps() -> None:
        async with serve(create_app(engine(QUICK))) as url:
            await asyncio.to_thread(talk, url)

    asyncio.run(steps())


@pytest.mark.parametrize("stream", [False, True])
def test_chat_ollama(serve: Serve, stream: bool) -> None:
    async def steps() -> None:
        async with serve(create_app(engine(QUICK))) as url:
            model = ChatOllama(model="sim", base_url=url, num_predict=7, reasoning=False, temperature=0)
            kwargs: dict[str, Any] = {} if stream else {"stream": False}
            replies = await asyncio.gather(*(model.ainvoke(f"hi {n}", **kwargs) for n in range(6)))
            await model._async_client._client.aclose()
            model._client._client.close()
        for reply in replies:
            assert len(str(reply.content).split()) == 7
            assert reply.usage_metadata == {"input_tokens": 1, "output_tokens": 7, "total_tokens": 8}

    asyncio.run(steps())


# --- faults ---------------------------------------------------------------------------------------------------

SHARES = {"503": 0.15, "delay": 0.15, "cut": 0.15, "malformed": 0.15, "hang": 0.05}


def test_faults_come_at_their_rates() -> None:
    faults = Faults(SHARES, seed=3)
    met = Counter(fault_of(faults, number) for number in range(20_000))
    for name in FAULTS:
        assert met[name] / 20_000 == pytest.approx(SHARES[name], abs=0.01)
    again = [fault_of(faults, number) for number in range(50)]
    assert again == [fault_of(faults, number) for number in range(50)]
    assert again != [fault_of(faults._replace(seed=4), number) for number in range(50)]
    assert {fault_of(Faults({"hang": 1.0}), number) for number in range(50)} == {"hang"}
    assert {fault_of(Faults({}), number) for number in range(50)} == {None}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_a_client_makes_of_each_fault(serve: Serve, stream: bool) -> None:
    """Call by call exactly the faults that the seed says, through the client that the harness measures with."""
    faults = Faults(SHARES, seed=11, delay_s=0.01)
    expected = [fault_of(faults, number) for number in range(60)]
    assert {*expected} == {*FAULTS, None}

    async def steps() -> list[Reply | None]:
        replies: list[Reply | None] = []
        async with serve(Faulty(create_app(engine(QUICK)), faults)) as url:
            one = Chat(url, "sim", asyncio.get_running_loop().time)
            options = {"num_predict": 12, "seed": 1}
            spared = ChatRequest(None, "hi", {**options, "faults": False}, stream)
            request = ChatRequest(None, "hi", options, stream)
            try:
                for fault in expected:
                    reply, _ = await one.ask(spared)
                    assert reply.outcome == "ok"
                    if fault == "hang":
                        with pytest.raises(TimeoutError):
                            await asyncio.wait_for(one.ask(request), 0.2)
                        replies.append(None)
                    else:
                        replies.append((await one.ask(request))[0])
            finally:
                await one.close()
        return replies

    outcomes = {
        "503": ("rejected", "503: server busy, please try again. maximum pending requests exceeded"),
        "cut": ("error", "the server closed the connection"),
        "malformed": ("error", "the answer is no JSON"),
        "delay": ("ok", ""),
        None: ("ok", ""),
    }
    for fault, reply in zip(expected, asyncio.run(steps()), strict=True):
        assert (reply is None) == (fault == "hang")
        if reply is not None:
            outcome, error = outcomes[fault]
            assert reply.outcome == outcome and (reply.error or "").startswith(error), (fault, reply)
            if fault == "cut" and stream:
                assert reply.first_token_s is not None  # it had begun
            if fault == "delay":
                assert reply.end_s is not None and reply.sent_s is not None and reply.total_s is not None
                assert reply.end_s - reply.sent_s >= reply.total_s + 0.009  # in the client's share


def test_a_cut_call_gives_its_slot_back(serve: Serve) -> None:
    async def steps() -> None:
        simulated = engine(QUICK._replace(decode_s=(0.0, 0.0005)))  # one slot
        async with serve(Faulty(create_app(simulated), Faults({"cut": 1.0}))) as url, httpx.AsyncClient() as client:
            body = {"model": "sim", "prompt": "x", "options": {"num_predict": 100}}
            for _ in range(3):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.post(f"{url}/api/generate", json=body, timeout=60)
            body["options"] = {"num_predict": 3, "faults": False}
            assert (await client.post(f"{url}/api/generate", json=body, timeout=60)).status_code == 200

    asyncio.run(steps())


# --- profiles and processes -----------------------------------------------------------------------------------


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(UserError, match='no profile "m1-publishd"; did you mean "m1-published"'):
        emulation("x", PUBLISHED.model_copy(update={"profile": "m1-publishd"}))


def test_what_a_profile_does_not_know_has_to_be_given() -> None:
    with pytest.raises(UserError, match=r"^x: .*does not have prefill_s_per_token .*--assume .*in a workload .*assume"):
        emulation("x", PUBLISHED.model_copy(update={"assume": {}}))
    with pytest.raises(UserError, match=r"^x: .*made with 1, 4 slots, not with 3; .*extrapolate"):
        emulation("x", PUBLISHED.model_copy(update={"slots": 3}))
    _, details = emulation("x", PUBLISHED.model_copy(update={"slots": 3, "extrapolate": True}))
    assert "3 slots are extrapolated" in str(details["assumed"])
    assert "prefill_s_per_token = 0.001 is given, not fitted" in str(details["assumed"])


def test_a_profile_beside_the_workload(tmp_path: Path) -> None:
    text = Path(__file__).parents[2].joinpath("profiles/m1-published.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("name: m1-published", "name: mine"), encoding="utf-8")
    config, details = emulation("x", PUBLISHED.model_copy(update={"profile": "mine.yaml"}), tmp_path)
    assert (details["profile"], config["engine"]["model_name"]) == ("mine", "mine")
    (tmp_path / "mine.yaml").write_text("version: 1\n", encoding="utf-8")
    with pytest.raises(WorkloadError, match=r"mine\.yaml:1:1: name is missing"):
        emulation("x", PUBLISHED.model_copy(update={"profile": "mine.yaml"}), tmp_path)


def test_a_config_survives_json() -> None:
    config, _ = emulation("x", PUBLISHED)
    again = SimulatedConfig.from_json(json.loads(json.dumps(config["engine"])))
    assert again.to_json() == config["engine"]
    assert SimulatedEngine(again).slots == 4
    assert again.costs.decode_s[4] == 0.11 / 500


def test_passes_and_a_ram_cache_survive_json_and_are_played(run_virtual: RunVirtual) -> None:
    costs = COSTS._replace(
        passes=PassCosts((0.0, 0.25, 0.25), (0.0, 0.125, 0.125)), ram_cache=RamCache(0.0, 0.0625, 1000)
    )
    config = SimulatedConfig("sim", "test", costs, 1024)
    assert SimulatedConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    body = chat(options={"num_predict": 4, "prompt_tokens": 9})
    answer = ask(run_virtual, "/api/chat", body, costs).json()
    # The prompt's pass has nine tokens, then one of another shape, one that is repeated, and one like it.
    assert answer["eval_duration"] == 1e9 * (0.5 + 0.25 + 0.5 + 0.125 + 0.5)
    fast = sped_up(costs, 8)
    assert fast.passes == PassCosts((0.0, 0.03125, 0.03125), (0.0, 0.015625, 0.015625))
    assert fast.ram_cache == RamCache(0.0, 0.0078125, 1000)


def test_a_simulated_server_in_a_process_of_its_own(tmp_path: Path, ends: Callable[[int], bool]) -> None:
    """Its truth log is on the clock of this process."""

    async def steps() -> int:
        config, _ = emulation("x", PUBLISHED)
        config["truth_log"] = str(tmp_path / "truth.jsonl")
        clock = asyncio.get_running_loop().time
        async with child("x", "simulated", config) as ready:
            assert (ready["slots"], ready["model"]) == (4, "m1-published")
            one = Chat(ready["url"], ready["model"], clock)
            options = {"num_predict": 5, "seed": 42, "prompt_tokens": 10}
            reply, _ = await one.ask(ChatRequest(None, "hi", options, stream=True))
            await one.close()
        (truth,) = read_truth(tmp_path / "truth.jsonl")
        assert (truth.seed, truth.prompt_tokens, truth.output_tokens, truth.cancelled) == (42, 10, 5, False)
        times = (
            reply.sent_s, truth.arrived_s, truth.slot_s, truth.prompt_s, truth.first_token_s, truth.first_sent_s,
            reply.first_token_s, reply.end_s,
        )  # fmt: skip
        assert list(times) == sorted(times)  # type: ignore[type-var]  # none is None
        assert truth.last_token_s is not None and truth.last_sent_s is not None
        assert truth.last_token_s <= truth.last_sent_s <= truth.freed_s
        return int(ready["pid"])

    assert ends(asyncio.run(steps()))


def test_whoever_meets_it_by_url_is_told_that_nothing_is_measured() -> None:
    from harness.servers.ollama import running
    from harness.workload.schema import OllamaServer

    async def steps() -> None:
        faulty = PUBLISHED.model_copy(update={"faults": {"503": 1.0}})  # loading it is spared
        async with launched("x", faulty, say=lambda _: None) as (server, *_):
            assert (server.emulated, server.kind, server.slots_asked) == (True, "simulated", 4)
            assert server.details["faults"] == "503 1, seed 0"
            found = await running("y", OllamaServer(kind="ollama", model="m1-published"), server.url)
            assert (found.emulated, found.exact_queue, found.managed) == (True, True, False)
        async with child("z", "canned", {}) as ready:
            found = await running("z", OllamaServer(kind="ollama", model="canned"), ready["url"])
            assert not found.emulated

    asyncio.run(steps())
