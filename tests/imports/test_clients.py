"""The ChatOllama of a LangGraph's nodes, read into the workload."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, TypedDict

import pytest

from harness.imports.draft import walk
from harness.imports.langgraph import draft_of
from harness.imports.write import questions, render, write
from harness.workload.load import load_workload

pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")

from langchain_ollama import ChatOllama, OllamaEmbeddings
from langgraph.graph import START, StateGraph


@pytest.fixture(autouse=True, scope="module")
def certificates_read_once() -> Iterator[None]:
    """Every client reads all certificates, which takes 20 ms, and none of these tests opens a connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


class State(TypedDict):
    text: str


def graph(**nodes: Any) -> Any:
    """A sequence of these nodes."""
    builder: Any = StateGraph(State)
    before = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    return builder.compile()


def agents(compiled: Any, folder: Path) -> dict[str, dict[str, Any]]:
    """The agents of the workload as it is written, without what a graph cannot say; it passes every check."""
    draft = draft_of(compiled, "app:graph")
    write(draft, folder / "out.yaml", force=True)
    load_workload(folder / "out.yaml")
    said = {step.target for step in walk(draft.pipelines["graph"].flow) if step.kind == "agent"}
    assert said == set(draft.agents)
    return {name: {k: v for k, v in spec.items() if k != "prompt"} for name, (spec, _) in draft.agents.items()}


SMALL = ChatOllama(model="qwen3:0.6b", num_ctx=4096, keep_alive="10m", temperature=0.5, num_predict=64)
LARGE = ChatOllama(model="llama3.2:3b", num_ctx=8192, keep_alive=-1)
READ_SMALL = {"model": "qwen3:0.6b", "num_ctx": 4096, "keep_alive": "10m", "temperature": 0.5, "output_tokens": 64}
READ_LARGE = {"model": "llama3.2:3b", "num_ctx": 8192, "keep_alive": -1, "output_tokens": 100}


def of_globals(state: State) -> State:
    return {"text": str(SMALL.invoke(state["text"]).content)}


def by_a_helper(state: State) -> State:
    return {"text": helper(state["text"])}


def helper(text: str) -> str:
    return str(LARGE.invoke(text).content)


async def asynchronous(state: State) -> State:
    async def later() -> str:
        return str((await SMALL.ainvoke(state["text"])).content)

    return {"text": await later()}


def of_a_closure(client: Any) -> Any:
    def node(state: State) -> State:
        return {"text": client.invoke(state["text"]).content}

    return node


def of_a_partial(client: Any, state: State) -> State:
    return {"text": client.invoke(state["text"]).content}


class Worker:
    """An object whose methods are nodes."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def one(self, state: State) -> State:
        return {"text": self.first.invoke(state["text"]).content}

    def two(self, state: State) -> State:
        return self.ask(state)

    def ask(self, state: State) -> State:
        return {"text": self.second.invoke(state["text"]).content}

    def __call__(self, state: State) -> State:
        return self.two(state)


def test_clients_are_found_where_nodes_reach_them(tmp_path: Path) -> None:
    worker = Worker(SMALL, LARGE)
    found = agents(
        graph(
            globals=of_globals,
            helper=by_a_helper,
            later=asynchronous,
            closure=of_a_closure(LARGE),
            partial=partial(of_a_partial, SMALL),
            one=worker.one,
            two=worker.two,
            called=worker,
            bound=of_a_closure(LARGE.bind_tools([])),
            chain=SMALL | (lambda answer: {"text": answer.content}),
            nothing=lambda state: {"text": ""},
        ),
        tmp_path,
    )
    small = ("globals", "later", "partial", "one", "chain")
    large = ("helper", "closure", "two", "called", "bound")
    expected = {**dict.fromkeys(small, READ_SMALL), **dict.fromkeys(large, READ_LARGE)}
    assert found == expected


def test_its_servers_have_the_models(tmp_path: Path) -> None:
    compiled = graph(a=of_a_closure(LARGE), b=of_a_closure(LARGE), c=of_a_closure(SMALL))
    draft = draft_of(compiled, "app:graph")
    assert draft.servers["four-slot"] == {
        "kind": "ollama",
        "model": "llama3.2:3b",
        "slots": 4,
        "context_tokens": 2048,
    }
    write(draft, tmp_path / "out.yaml")
    assert load_workload(tmp_path / "out.yaml").models["one-slot"] == ("llama3.2:3b", "qwen3:0.6b")
    long = draft_of(graph(a=of_a_closure(ChatOllama(model="m", num_predict=6000))), "app:graph")
    assert long.servers["one-slot"]["context_tokens"] == 8192
    without = draft_of(graph(a=lambda state: {"text": ""}), "app:graph")
    assert without.servers["one-slot"] == {"kind": "llamacpp", "slots": 1, "context_tokens": 2048}


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (ChatOllama(model="m"), {}),
        (ChatOllama(model="m", reasoning=False), {}),
        (ChatOllama(model="m", reasoning=True), {"think": True, "thinking_tokens": 200}),
        (
            ChatOllama(model="m", reasoning="low", num_predict=100),
            {"think": "low", "thinking_tokens": 50, "output_tokens": 50},
        ),
        (
            ChatOllama(model="m", reasoning=True, num_predict=1000),
            {"think": True, "thinking_tokens": 200, "output_tokens": 800},
        ),
        (ChatOllama(model="m").bind(reasoning="high", keep_alive=0), {"think": "high", "keep_alive": 0}),
        (ChatOllama(model="m", num_predict=-1), {}),
        (ChatOllama(model="m", num_ctx=10), {}),
        (ChatOllama(model="m", keep_alive="soon"), {}),
        (ChatOllama(model="m", temperature=7.0), {}),
    ],
)
def test_what_a_client_says(tmp_path: Path, client: Any, expected: dict[str, Any]) -> None:
    found = agents(graph(a=of_a_closure(client)), tmp_path)
    if "think" in expected:
        expected = {"thinking_tokens": 200, **expected}
    assert found == {"a": {"model": "m", "output_tokens": 100, **expected}}


def test_what_is_left_out_or_guessed_is_said() -> None:
    draft = draft_of(
        graph(a=of_a_closure(ChatOllama(model="m", num_ctx=10, keep_alive="soon", reasoning="much"))), "app:graph"
    )
    text = " ".join(render(draft).replace("#", " ").split())
    assert "num_ctx of a is left out: expected 256 tokens or more, found 10." in text
    assert "keep_alive of a is left out: expected seconds or a time such as 5m, found 'soon'." in text
    assert "reasoning of a is left out: expected True, False, low, medium or high, found 'much'." in text
    thinks = draft_of(graph(a=of_a_closure(ChatOllama(model="m", reasoning=True))), "app:graph")
    assert "how many tokens does a think before it answers? 200 is a guess." in questions(thinks)


def test_of_several_clients_one_is_taken_and_asked_about(tmp_path: Path) -> None:
    def node(state: State) -> State:
        return {"text": (SMALL if len(state["text"]) < 80 else LARGE).invoke(state["text"]).text}

    compiled = graph(choice=node)
    assert agents(compiled, tmp_path) == {"choice": READ_SMALL}
    assert ("choice can reach 2 clients; which one does it call? Here qwen3:0.6b, not llama3.2:3b.") in questions(
        draft_of(compiled, "app:graph")
    )


def test_nodes_of_one_name_in_two_graphs_have_agents_of_their_own(tmp_path: Path) -> None:
    inner = graph(ask=of_a_closure(LARGE))
    found = agents(graph(ask=of_a_closure(SMALL), inner=inner), tmp_path)
    assert found == {"ask": READ_SMALL, "ask-2": READ_LARGE}
    same = agents(graph(ask=of_a_closure(LARGE), inner=inner), tmp_path)
    assert same == {"ask": READ_LARGE}


def test_nothing_of_a_node_is_called_and_what_is_no_client_is_passed_over(tmp_path: Path) -> None:
    class Angry:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

        @property
        def model(self) -> str:
            raise AssertionError

    loop: list[Any] = []
    loop.append(loop)
    embeddings = OllamaEmbeddings(model="e")
    angry = Angry()

    def node(state: State) -> State:
        return {"text": f"{loop} {embeddings} {angry}"}

    assert agents(graph(a=node), tmp_path) == {"a": {"output_tokens": 100}}


def test_an_agent_with_tools(tmp_path: Path) -> None:
    from langgraph.prebuilt import create_react_agent

    def search(query: str) -> str:
        """Search."""
        return query

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has moved; many still have it from here
        compiled: Any = create_react_agent(LARGE, [search])
    draft = draft_of(compiled, "app:graph")
    assert draft.agents["agent"][0]["model"] == "llama3.2:3b"
    assert draft.agents["agent"][0]["num_ctx"] == 8192
    write(draft, tmp_path / "out.yaml")
