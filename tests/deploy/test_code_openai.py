"""The code for a server that speaks OpenAI's API, run as it is copied: with a fake client that counts its calls."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import VirtualLoop
from deploy.copied import PROMPTS, RunVirtual, fan_out
from deploy.uses import ONE, candidate, used

from harness.analysis.model import AgentUse, PoolUse, ServerUse
from harness.core.placement import PLACEMENT
from harness.deploy.settings import settings_for

URL, MODEL = "http://gpu:8000/v1", "meta-llama/Llama-3.2-3B-Instruct"
MINE = used(ONE, server="mine", kind="openai", model=MODEL, url=URL)


class FakeClient:
    """What `AsyncOpenAI` and `ChatOpenAI` have of one that the printed code uses; answers in a second."""

    made: list[FakeClient]

    def __init__(self, **given: Any) -> None:
        self.given, self.asked = given, list[dict[str, Any]]()
        self.in_flight = self.most = 0
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self.made.append(self)

    async def _create(self, **asked: Any) -> Any:
        self.asked.append(asked)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(1)
        self.in_flight -= 1
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content="so"))])

    async def ainvoke(self, prompt: str) -> Any:
        await self._create(prompt=prompt)
        return SimpleNamespace(text="so")

    async def abatch(self, prompts: list[str], config: dict[str, int] | None = None) -> list[Any]:
        room = asyncio.Semaphore((config or {}).get("max_concurrency", len(prompts)))

        async def one(prompt: str) -> Any:
            async with room:
                return await self.ainvoke(prompt)

        return await asyncio.gather(*map(one, prompts))


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> list[FakeClient]:
    """The clients that the code made."""
    for name, called in (("openai", "AsyncOpenAI"), ("langchain_openai", "ChatOpenAI")):
        module: Any = ModuleType(name)
        setattr(module, called, FakeClient)
        monkeypatch.setitem(sys.modules, name, module)
    made: list[FakeClient] = []
    monkeypatch.setattr(FakeClient, "made", made, raising=False)
    return made


def text(kind: str, *uses: ServerUse) -> str:
    return settings_for(candidate(*uses)).whole(kind)


def made(kind: str, *uses: ServerUse) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text(kind, *uses), kind, "exec"), names)
    return names


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
@pytest.mark.parametrize("policies", [("window", "fifo"), ("window", "oldest-job-first"), ("waves", "fifo")])
def test_the_limit_holds_on_the_real_address_and_model(
    kind: str, policies: tuple[str, str], clients: list[FakeClient], run_virtual: RunVirtual
) -> None:
    names = made(kind, used(MINE, *policies))
    assert names["MODEL"] == MODEL and "ollama" not in names and "ChatOllama" not in names

    async def steps(_: VirtualLoop) -> list[Any]:
        answers: list[Any] = await names["ask_all_mine"](PROMPTS)
        return answers

    answers = run_virtual(steps)
    assert [answer if kind == "asyncio" else answer.text for answer in answers] == ["so"] * len(PROMPTS)
    (client,) = clients
    expected = {"base_url": URL, "api_key": "none"}
    if kind == "asyncio":
        assert client.asked[0] == {"model": MODEL, "messages": [{"role": "user", "content": PROMPTS[0]}]}
    else:
        expected["model"] = MODEL
    assert client.given == expected
    assert (len(client.asked), client.most) == (len(PROMPTS), 4)


def test_langgraph(clients: list[FakeClient], run_virtual: RunVirtual) -> None:
    names = made("langgraph", MINE)
    graph = fan_out(names["call_mine"])
    run_virtual(lambda _: graph.ainvoke({"prompts": PROMPTS, "answers": []}))
    assert (clients[0].given["model"], clients[0].most) == (MODEL, 4)


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_the_key_is_read_where_the_workload_says(
    kind: str, clients: list[FakeClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = MINE._replace(key_variable="VLLM_API_KEY")
    monkeypatch.setenv("VLLM_API_KEY", "a secret")
    made(kind, keyed)
    monkeypatch.delenv("VLLM_API_KEY")
    made(kind, keyed)
    assert [client.given["api_key"] for client in clients] == ["a secret", "none"]
    assert "a secret" not in text(kind, keyed)


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_beside_an_ollama_with_another_model(kind: str, clients: list[FakeClient]) -> None:
    names = made(kind, MINE, used(ONE, model="qwen3:8b"))
    assert names["MODEL"] == MODEL and [client.given["base_url"] for client in clients] == [URL]
    assert 'model="qwen3:8b"' in text(kind, MINE, used(ONE, model="qwen3:8b"))


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_an_agent_that_thinks(kind: str, clients: list[FakeClient], run_virtual: RunVirtual) -> None:
    names = made(kind, MINE._replace(agents=(AgentUse("slow", "", 8192, None, True),)))
    call = names["ask_mine" if kind == "asyncio" else "call_mine" if kind == "langgraph" else "ask_all_mine"]
    run_virtual(lambda _: call(["Say 1."] if kind == "langchain" else "Say 1.", agent="slow"))
    (client,) = (client for client in clients if client.asked)
    told = client.asked[0] if kind == "asyncio" else client.given
    assert told["extra_body"] == {"chat_template_kwargs": {"enable_thinking": True}} and "num_ctx" not in str(told)


@pytest.mark.parametrize("kind", ["asyncio", "langchain"])
def test_two_that_take_whatever_comes(kind: str, clients: list[FakeClient], run_virtual: RunVirtual) -> None:
    uses = [used(MINE, server=name, slots=2, url=f"http://{name}:8000/v1") for name in ("half-a", "half-b")]
    chosen, policy = candidate(*uses), PLACEMENT["least-loaded"]
    pools = (PoolUse(each.pipeline, "least-loaded", policy.says, policy.code) for each in chosen.pipelines)
    names: dict[str, Any] = {}
    exec(compile(settings_for(chosen._replace(pools=tuple(pools))).whole(kind), kind, "exec"), names)
    every = names["ask_all_pool" if kind == "asyncio" else "call_all_pool"]
    assert len(run_virtual(lambda _: every(PROMPTS))) == len(PROMPTS)
    assert [client.most for client in clients] == [2, 2]


def test_the_model_of_an_ollama_is_the_one_of_the_run() -> None:
    assert 'MODEL = "qwen3:8b"\n' in text("asyncio", used(ONE, model="qwen3:8b"))
    assert "as `ollama list` names it" in text("asyncio", ONE)


def test_the_gateway_leads_to_the_real_address() -> None:
    line = text("gateway", MINE).splitlines()[-1]
    begun = f"slotwise serve --upstream {URL} --model {MODEL}"
    assert line == f"{begun} --slots 4 --concurrency window --scheduling fifo"
    keyed = text("gateway", MINE._replace(key_variable="VLLM_API_KEY")).splitlines()[-1]
    assert keyed.startswith(f"{begun} --upstream-key-env VLLM_API_KEY --slots 4")


def test_a_server_that_held_nothing_back_stays_as_it_is() -> None:
    free = MINE._replace(slots=64, slots_at_least=True)
    assert text("serve", free) == f"# mine: nothing is to change on the server at {URL}\n"
    assert "--max-num-seqs" not in "".join(settings_for(candidate(free)).remarks)
    assert "nothing is to change" in text("serve", MINE._replace(limit=3))
    for limit in (4, None):
        assert "with 4 slots" in text("serve", MINE._replace(limit=limit))
