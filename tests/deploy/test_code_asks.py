"""What agents say of num_ctx, keep_alive and thinking, as it is sent: by a run, and by the code that it prints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import VirtualLoop
from deploy.copied import RunVirtual
from deploy.uses import ONE, candidate, used
from fake_ollama import FakeOllama

from harness.analysis.analyse import analyse
from harness.analysis.model import AgentUse, CandidateSummary, PoolUse, ServerUse
from harness.app.options import RunOptions
from harness.app.run import run
from harness.core.placement import PLACEMENT
from harness.deploy.settings import settings_for
from harness.drivers.chat import Chat
from harness.drivers.embedder import Embedder

WORKLOAD = """
version: 1
name: asks
pipelines:
  ask:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 0}
    nodes:
      plain: {agent: plain}
      read: {agent: reader, after: [plain]}
      inner: {pipeline: deep, after: [read]}
      bulk: {agent: {prompt: "For a while.", output_tokens: 4, keep_alive: 0}, after: [inner]}
subpipelines:
  deep: {nodes: {thought: {agent: thinker}}}
agents:
  plain: {prompt: "As it is.", output_tokens: 4}
  reader: {prompt: "A long one.", output_tokens: 4, num_ctx: 8192, keep_alive: 5m}
  thinker: {prompt: "Slowly.", output_tokens: 4, think: low, thinking_tokens: 8, num_ctx: 4096}
servers:
  one: {kind: ollama, model: m, slots: 1, url: "URL"}
compare: {one: {placement: one}}
measure: {repeats: 1, warmup: 0}
"""
# By what the prompt ends with: what is asked for beside it, and who asks.
EXPECTED: dict[str, dict[str, Any]] = {
    "As it is.": {"think": False},
    "A long one.": {"think": False, "num_ctx": 8192, "keep_alive": "5m"},
    "Slowly.": {"think": "low", "num_ctx": 4096},
    "For a while.": {"think": False, "keep_alive": 0},
}
AGENTS = {"As it is.": None, "A long one.": "reader", "Slowly.": "thinker", "For a while.": "ask.bulk"}


def asked(body: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for beside its prompt, the length of its answer and the way that it is sampled."""
    told = {"think": body.get("think"), "keep_alive": body.get("keep_alive")}
    told["num_ctx"] = (body.get("options") or {}).get("num_ctx")
    return {key: value for key, value in told.items() if value is not None}


def by_prompt(fake: FakeOllama) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for body in fake.chats:
        prompt = body["messages"][-1]["content"]
        if end := next((end for end in EXPECTED if prompt.endswith(end)), None):
            found.setdefault(end, []).append(asked(body))
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeOllama, CandidateSummary]]:
    """A run over HTTP, and how it used its server."""
    folder, fake = tmp_path_factory.mktemp("asks"), FakeOllama()
    with fake.listening() as url:
        path = folder / "asks.yaml"
        path.write_text(WORKLOAD.replace("URL", url), encoding="utf-8")
        measured = run(path, RunOptions(out=folder / "runs"))
    yield fake, analyse(measured.run).candidates[0]


def test_a_run_sends_what_its_agents_say(ran: tuple[FakeOllama, CandidateSummary]) -> None:
    fake, _ = ran
    assert by_prompt(fake) == {prompt: [expected] * 2 for prompt, expected in EXPECTED.items()}


def printed(kind: str, chosen: CandidateSummary) -> dict[str, Any]:
    (text,) = (text for text in settings_for(chosen).texts if text.kind == kind)
    made: dict[str, Any] = {}
    exec(compile(text.text, kind, "exec"), made)
    return made


def connect(client: Any, fake: FakeOllama) -> None:
    client._transport, client._mounts = fake.transport(), {}


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_the_printed_code_sends_what_the_run_sent(
    kind: str, ran: tuple[FakeOllama, CandidateSummary], run_virtual: RunVirtual
) -> None:
    chosen = ran[1]
    assert [use.agent for use in chosen.servers[0].agents] == ["reader", "thinker", "ask.bulk"]
    made = printed(kind, chosen)
    fake = FakeOllama(models=[made["MODEL"]])
    if kind == "asyncio":
        connect(made["one_server"]._client, fake)
    for model in made.get("one_models", {}).values():
        connect(model._async_client._client, fake)

    async def steps(_: VirtualLoop) -> None:
        for prompt, agent in AGENTS.items():
            if kind == "langgraph":
                await made["call_one"](prompt, agent=agent)
            else:
                await made["ask_all_one"]([prompt], agent=agent)

    run_virtual(steps)
    assert by_prompt(fake) == {prompt: [expected] for prompt, expected in EXPECTED.items()}
    assert [body.get("model") for body in fake.chats] == ["m"] * len(AGENTS)


def test_a_name_that_no_agent_has_is_an_error(
    ran: tuple[FakeOllama, CandidateSummary], run_virtual: RunVirtual
) -> None:
    with pytest.raises(KeyError, match="reder"):
        run_virtual(lambda _: printed("langchain", ran[1])["ask_all_one"](["A long one."], agent="reder"))


SAME = ("reasoning", "keep_alive", "num_ctx", "format", "stop", "mirostat", "top_k", "top_p", "num_thread")


def clients() -> tuple[Any, Any]:
    """The clients of a run: of answers, of vectors."""
    chat, embedder = Chat("http://s:1", "m", lambda: 0.0), Embedder("http://s:1", "m", lambda: 0.0)
    return chat._model, embedder._model


@pytest.mark.parametrize("kind", ["langchain", "langgraph"])
@pytest.mark.parametrize("agents", [(), (AgentUse("thinker", "other", 8192, "5m", True),)], ids=["none", "one"])
def test_the_printed_clients_are_made_as_those_of_a_run(kind: str, agents: tuple[AgentUse, ...]) -> None:
    """Every argument that changes what is sent, but the model, the address and what each call of a run says itself."""
    chat, embeddings = clients()
    made = printed(kind, candidate(used(ONE, "unbounded", embeds=("e",), agents=agents)))
    ours = {name: getattr(chat, name) for name in SAME}
    assert {name: getattr(made["four_slot_model"], name) for name in ours} == ours
    mine, theirs = (
        one.model_dump(exclude={"model", "base_url", "async_client_kwargs", "sync_client_kwargs"})
        for one in (made["four_slot_embeddings"], embeddings)
    )
    assert mine == theirs
    for use in agents:
        model = made["four_slot_models"][use.agent]
        found = (model.model, model.num_ctx, model.keep_alive, model.reasoning)
        assert found == (use.model, use.num_ctx, use.keep_alive, use.think)


@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_servers_that_take_whatever_comes_know_every_agent(kind: str, run_virtual: RunVirtual) -> None:
    """Each server of a pool may have seen the calls of some agents alone."""
    reader, thinker = AgentUse("reader", num_ctx=8192, keep_alive="5m"), AgentUse("thinker", num_ctx=4096, think="low")
    uses: list[ServerUse] = [
        used(ONE, server=name, slots=1, agents=(agent,)) for name, agent in (("half-a", reader), ("half-b", thinker))
    ]
    policy = PLACEMENT["least-loaded"]
    chosen = candidate(*uses)
    pools = (PoolUse(each.pipeline, policy.name, policy.says, policy.code) for each in chosen.pipelines)
    made, fake = printed(kind, chosen._replace(pools=tuple(pools))), FakeOllama(models=["llama3.2"])
    for use in uses:
        if kind == "asyncio":
            connect(made[f"{use.server.replace('-', '_')}_server"]._client, fake)
    for models in made.get("pool_models", {}).values():
        for model in models:
            connect(model._async_client._client, fake)
    ask: Callable[..., Any] = made["ask_pool" if kind == "asyncio" else "call_pool"]

    async def steps(_: VirtualLoop) -> None:
        await asyncio.gather(*(ask(prompt, agent=AGENTS[prompt]) for prompt in list(EXPECTED)[:3]))

    run_virtual(steps)
    assert by_prompt(fake) == {prompt: [EXPECTED[prompt]] for prompt in list(EXPECTED)[:3]}


def test_the_settings_say_that_requests_carry_it(ran: tuple[FakeOllama, CandidateSummary]) -> None:
    (remark,) = (text for text in settings_for(ran[1]).remarks if "reader" in text)
    assert remark == (
        "Calls of reader, thinker and ask.bulk ask for a context, a keep-alive or thinking of their own. That goes "
        "with each request and not into the server's settings: the code has it (--settings asyncio, langchain or "
        "langgraph)."
    )
