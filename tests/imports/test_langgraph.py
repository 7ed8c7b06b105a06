"""Graphs of the real LangGraph, imported: the calls come in the order in which LangGraph itself makes them."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from imports.orders import Order, orders

from harness.errors import UserError
from harness.imports.draft import walk
from harness.imports.langgraph import draft_of, load_graph
from harness.imports.write import questions, render, write
from harness.workload.load import Loaded, load_workload

langgraph = pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")
from langchain_core.language_models import FakeListChatModel  # noqa: E402
from langgraph.graph import (  # noqa: E402
    END,
    START,
    MessagesState,
    StateGraph,
)
from langgraph.prebuilt import ToolNode  # noqa: E402
from langgraph.types import Command, Send  # noqa: E402


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def build(names: str, answers: dict[str, list[str]] | None = None) -> Any:
    """Return a graph builder with a node for each name; each asks a fake model, which gives these answers in turn."""
    builder = StateGraph(State)
    for name in names.split():
        model = FakeListChatModel(responses=(answers or {}).get(name, [name]))

        def call(state: State, name: str = name, model: Any = model) -> dict[str, list[str]]:
            return {"said": [str(model.invoke(name).content)]}

        builder.add_node(name, call)
    return builder


def last(state: State) -> str:
    return state["said"][-1]


def executed(graph: Any) -> Order:
    """Return LangGraph's own order: the nodes of each superstep."""
    steps: dict[int, set[str]] = {}
    for event in graph.stream({"said": []}, stream_mode="debug"):
        if event["type"] == "task":
            steps.setdefault(event["step"], set()).add(event["payload"]["name"])
    return tuple(frozenset(steps[step]) for step in sorted(steps))


def imported(graph: Any, folder: Path) -> Loaded:
    path = folder / "out.yaml"
    write(draft_of(graph, "app:graph"), path, force=True)
    return load_workload(path)


def test_a_sequence(tmp_path: Path) -> None:
    builder = build("a b c")
    for edge in ((START, "a"), ("a", "b"), ("b", "c"), ("c", END)):
        builder.add_edge(*edge)
    graph = builder.compile()
    assert orders(imported(graph, tmp_path)) == {executed(graph)}


def test_parallel_branches_that_join(tmp_path: Path) -> None:
    builder = build("plan cost risk facts edit")
    builder.add_edge(START, "plan")
    for critic in ("cost", "risk", "facts"):
        builder.add_edge("plan", critic)
    builder.add_edge(["cost", "risk", "facts"], "edit")
    graph = builder.compile()
    loaded = imported(graph, tmp_path)
    assert orders(loaded) == {executed(graph)}
    assert set(loaded.graphs["graph"].predecessors("edit")) == {"cost", "risk", "facts"}


def router(answer: str) -> Any:
    builder = build("triage bill tech answer", {"triage": [answer]})
    builder.add_edge(START, "triage")
    builder.add_conditional_edges("triage", last, {"billing": "bill", "technical": "tech", "other": "answer"})
    builder.add_edge("bill", "answer")
    builder.add_edge("tech", "answer")
    builder.add_edge("answer", END)
    return builder.compile()


def test_a_conditional_edge_takes_each_of_its_ways(tmp_path: Path) -> None:
    loaded = imported(router("other"), tmp_path)
    assert orders(loaded, 30) == {executed(router(way)) for way in ("billing", "technical", "other")}
    assert loaded.graphs["graph"].nodes["triage"]["labels"] == ("billing", "technical", "other")


def reflection(passes: int) -> Any:
    builder = build("write critic publish", {"critic": ["again"] * (passes - 1) + ["done"]})
    builder.add_edge(START, "write")
    builder.add_edge("write", "critic")
    builder.add_conditional_edges("critic", last, {"again": "write", "done": "publish"})
    builder.add_edge("publish", END)
    return builder.compile()


def test_a_loop_of_several_nodes(tmp_path: Path) -> None:
    loaded = imported(reflection(1), tmp_path)
    assert orders(loaded, 200) == {executed(reflection(passes)) for passes in range(1, 6)}


def polishing(passes: int) -> Any:
    builder = build("polish", {"polish": ["again"] * (passes - 1) + ["done"]})
    builder.add_edge(START, "polish")
    builder.add_conditional_edges("polish", last, {"again": "polish", "done": END})
    return builder.compile()


def test_a_loop_of_one_node(tmp_path: Path) -> None:
    assert orders(imported(polishing(1), tmp_path), 200) == {executed(polishing(passes)) for passes in range(1, 6)}


def tools(rounds: int) -> Any:
    builder = build("agent search", {"agent": ["search"] * rounds + ["done"]})
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", last, {"search": "search", "done": END})
    builder.add_edge("search", "agent")
    return builder.compile()


def test_an_agent_that_calls_tools_until_it_is_done(tmp_path: Path) -> None:
    """The way out is at the entry: the agent runs once more than its tools, and may need none."""
    assert orders(imported(tools(0), tmp_path), 400) == {executed(tools(rounds)) for rounds in range(6)}


def test_a_choice_at_the_start(tmp_path: Path) -> None:
    def graph(way: str) -> Any:
        builder = build("a b c")
        builder.add_conditional_edges(START, lambda state: way, ["a", "b"])
        for name in "ab":
            builder.add_edge(name, "c")
        return builder.compile()

    assert orders(imported(graph("a"), tmp_path), 30) == {executed(graph(way)) for way in "ab"}


def test_a_command_with_destinations(tmp_path: Path) -> None:
    def graph(way: Literal["b", "c"]) -> Any:
        builder = build("b c")

        def choose(state: State) -> Command[Literal["b", "c"]]:
            return Command(goto=way)

        builder.add_node("a", choose)
        builder.add_edge(START, "a")
        return builder.compile()

    expected = {executed(graph("b"))[1:], executed(graph("c"))[1:]}  # `choose` calls no model
    assert orders(imported(graph("b"), tmp_path), 30) == expected


def test_a_graph_within_a_graph(tmp_path: Path) -> None:
    inner = build("x y")
    for edge in ((START, "x"), ("x", "y")):
        inner.add_edge(*edge)
    builder = build("a b")
    builder.add_node("inner", inner.compile())
    for edge in ((START, "a"), ("a", "inner"), ("inner", "b")):
        builder.add_edge(*edge)
    loaded = imported(builder.compile(), tmp_path)
    assert list(loaded.graphs["graph"]) == ["a", "inner/x", "inner/y", "b"]
    assert orders(loaded) == {tuple(frozenset(name) for name in "axyb")}


def test_a_loop_within_a_loop(tmp_path: Path) -> None:
    def graph(outer: int, inner: int) -> Any:
        builder = build(
            "plan try judge",
            {"try": (["again"] * (inner - 1) + ["enough"]) * outer, "judge": ["again"] * (outer - 1) + ["done"]},
        )
        builder.add_edge(START, "plan")
        builder.add_edge("plan", "try")
        builder.add_conditional_edges("try", last, {"again": "try", "enough": "judge"})
        builder.add_conditional_edges("judge", last, {"again": "plan", "done": END})
        return builder.compile()

    found = orders(imported(graph(1, 1), tmp_path), 300)
    assert {executed(graph(outer, inner)) for outer in (1, 2) for inner in (1, 2)} <= found


def test_two_exits_of_a_loop_are_marked_as_near_enough_or_not(tmp_path: Path) -> None:
    builder = build("a b c")
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", last, ["b", "c"])
    builder.add_conditional_edges("b", last, ["a", "c"])
    draft = draft_of(builder.compile(), "app:graph")
    assert any("is left or closed at several nodes" in text for text in questions(draft))
    write(draft, tmp_path / "out.yaml")


def test_send_is_a_fan_out_whose_width_is_asked_where_nobody_can_say(tmp_path: Path) -> None:
    def three(state: State) -> list[Send]:
        return [Send("work", state) for _ in range(3)]

    def any_number(state: State) -> list[Send]:
        return [Send("work", {"said": [one]}) for one in state["said"]]

    for source, path_map in (("plan", ["work"]), ("plan", None), (START, ["work"]), (START, None)):
        for fan in (three, any_number):
            builder = build("plan work join")
            builder.add_edge(START, "plan")
            builder.add_conditional_edges(source, fan, path_map)
            builder.add_edge("work", "join")
            draft = draft_of(builder.compile(), "app:graph")
            asked = [text for text in questions(draft) if "how many items does work have" in text]
            assert len(asked) == (fan is any_number)
            steps = {step.name: step for step in walk(draft.pipelines["graph"].flow)}
            assert steps["work"].keys == {"over": "work-items"}
            assert steps["work"].after == (() if source == START else ("plan",))
            assert steps["join"].after == ("work",)
            assert draft.inputs["work-items"]["synthetic"]["count"] == 3
            write(draft, tmp_path / "out.yaml", force=True)
            told = draft_of(builder.compile(), "app:graph", {"work": 8})
            assert told.inputs["work-items"]["synthetic"]["count"] == 8
            assert not any("how many items" in text for text in questions(told))
            assert draft.account.missing() == {} and told.account.missing() == {}


def test_items_of_a_node_that_has_none_are_refused() -> None:
    builder = build("a")
    builder.add_edge(START, "a")
    with pytest.raises(UserError, match="--items b: b has no items; no node of this graph has any"):
        draft_of(builder.compile(), "app:graph", {"b": 3})


def test_a_join_of_uneven_ways_is_a_question() -> None:
    builder = build("a b c d")
    for edge in ((START, "a"), ("a", "b"), ("b", "c"), ("a", "d"), ("c", "d")):
        builder.add_edge(*edge)
    graph = builder.compile()
    assert sum("d" in step for step in executed(graph)) == 2
    assert any("LangGraph runs d again for each of a, c" in text for text in questions(draft_of(graph, "app:graph")))


def test_tool_nodes_are_tools() -> None:
    def search(query: str) -> str:
        """Search."""
        return query

    builder = build("agent")
    builder.add_node("tools", ToolNode([search]))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", last, {"tools": "tools", "end": END})
    builder.add_edge("tools", "agent")
    steps = {step.name: step for step in walk(draft_of(builder.compile(), "app:graph").pipelines["graph"].flow)}
    assert steps["tools"].kind == "tool"


def test_an_agent_with_tools_on_messages_is_a_conversation_that_may_grow(tmp_path: Path) -> None:
    def search(query: str) -> str:
        """Search."""
        return query

    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": []})
    builder.add_node("tools", ToolNode([search]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda state: END, {"tools": "tools", "end": END})
    builder.add_edge("tools", "model")
    draft = draft_of(builder.compile(), "app:graph")
    steps = {step.name: step for step in walk(draft.pipelines["graph"].flow)}
    assert list(steps) == ["model-loop", "model", "tools"]
    assert steps["model"].keys["grows"] == {"by": 200}
    assert steps["tools"].after == ("model.tools",)
    assert steps["model"].keys["branch"] == {"tools": 0.7143, "end": 0.2857}  # after all calls but the last
    assert steps["model-loop"].keys["repeat"] == {"passes": [2, 5]}
    assert any("come in between two calls of model" in text for text in questions(draft))
    write(draft, tmp_path / "out.yaml")


def test_names_that_a_workload_does_not_allow(tmp_path: Path) -> None:
    builder = build("item")
    for name in ("node with spaces", "1st", "until", "ünï\x1b[31m"):
        builder.add_node(name, lambda state: {"said": []})
    builder.add_edge(START, "item")
    before = "item"
    for name in ("node with spaces", "1st", "until", "ünï\x1b[31m"):
        builder.add_edge(before, name)
        before = name
    draft = draft_of(builder.compile(), "app:graph")
    names = [step.name for step in walk(draft.pipelines["graph"].flow)]
    assert names == ["item-2", "node-with-spaces", "node-1st", "until-2", "n-31m"]
    write(draft, tmp_path / "out.yaml")
    assert "\x1b" not in render(draft)


# Loading


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module into the working directory and return its name."""
    monkeypatch.chdir(tmp_path)
    made: list[str] = []

    def make(text: str) -> str:
        name = f"app_{abs(hash((text, str(tmp_path))))}"
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


GOOD = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
class S(TypedDict):
    x: int
print("noise at import")
builder = StateGraph(S)
builder.add_node("a", lambda s: {"x": 1})
builder.add_edge(START, "a")
graph = builder.compile()
class Holder:
    inner = graph
"""


def test_a_module_or_a_file_is_imported(module: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = module(GOOD)
    for target in (f"{name}:graph", f"{name}.py:graph", f"{name}:Holder.inner"):
        assert "a" in load_graph(target).get_graph().nodes
    assert capsys.readouterr().out == ""  # what a module prints is not an answer


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        ("grap", 'has no "grap"; did you mean "graph"?'),
        ("zzz", 'has no "zzz"; its graphs: builder, graph'),
        ("START", "or a function that returns one of these; found a str"),
        ("S", "expected a graph: what `.compile()` returned, a builder, or a function"),
    ],
)
def test_the_wrong_attribute(attribute: str, found: str, module: Callable[[str], str]) -> None:
    with pytest.raises(UserError) as caught:
        load_graph(f"{module(GOOD)}:{attribute}")
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\nraise ValueError('no key\\nsecond line')", "ValueError: no key"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def f(:", "SyntaxError: invalid syntax"),
    ],
)
def test_a_module_that_raises(text: str, found: str, module: Callable[[str], str]) -> None:
    name = module(text)
    for target in (f"{name}:graph", f"{name}.py:graph"):
        with pytest.raises(UserError) as caught:
            load_graph(target)
        message = str(caught.value)
        assert found in message and "could not be imported, so nothing was written" in message
        assert "\n" not in message
        if "raise" in text:
            assert message.endswith(f"{name}.py:2)")
        assert name not in sys.modules


@pytest.mark.parametrize("target", ["app", "app:", ":graph"])
def test_no_colon(target: str) -> None:
    with pytest.raises(UserError, match="expected MODULE:GRAPH"):
        load_graph(target)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(UserError, match="not_there_at_all could not be imported"):
        load_graph("not_there_at_all:graph")
    with pytest.raises(UserError, match=r"no file missing\.py"):
        load_graph("missing.py:graph")
