"""LangGraphs of many shapes, imported as a person does it: what comes in, what comes out, what is lost and asked.

The figures of each program are written here by hand; the table in docs/how-to/import.md is what the imports gave.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.app.import_ import Imported, import_langgraph
from harness.app.options import GraphImportOptions
from harness.errors import UserError
from harness.imports.draft import DraftStep, walk
from harness.workload.describe import describe
from harness.workload.load import load_workload

pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "import.md"
HEAD = """
import asyncio, operator, warnings
warnings.simplefilter("ignore")
from typing import Annotated, Literal, TypedDict
from langchain_core.language_models import FakeListChatModel
from langchain_ollama import ChatOllama
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent
from langgraph.types import Command, RetryPolicy, Send, interrupt
class S(TypedDict, total=False):
    v: str
    said: Annotated[list, operator.add]
llm = FakeListChatModel(responses=["x"])
def n(s): return {}
def ask(s): return {"said": [llm.invoke("q").content]}
def build(*names, node=n):
    b = StateGraph(S)
    for name in names: b.add_node(name, node)
    return b
def inner_of(*names, node=n):
    b = build(*names, node=node)
    for x, y in zip((START, *names), names): b.add_edge(x, y)
    return b.compile()
def search(q: str) -> str:
    "Search."
    return q
"""


class Shape(NamedTuple):
    """A program, and what is true of it. Loops count once, and so do all ways of a choice."""

    title: str
    text: str
    calls: int
    width: int
    tools: int = 0
    items: tuple[tuple[str, int], ...] = ()


SHAPES = (
    Shape("a choice after a sub-graph", """
b = build("x", "y"); b.add_node("triage", inner_of("think"))
b.add_edge(START, "triage"); b.add_conditional_edges("triage", lambda s: "x", ["x", "y"])
""", 3, 1),
    Shape("an agent that is a sub-graph, and its tools", """
b = build("tools"); b.add_node("agent", inner_of("think"))
b.add_edge(START, "agent"); b.add_edge("tools", "agent")
b.add_conditional_edges("agent", lambda s: END, ["tools", END])
""", 2, 1),
    Shape("a router without a path map: `END` by its name", """
def route(s): return END if s["v"] else "check"
b = build("write", "check"); b.add_edge(START, "write"); b.add_edge("check", "write")
b.add_conditional_edges("write", route)
""", 2, 1),
    Shape("the same, back to itself", """
def route(s): return "write" if s["v"] else "check"
b = build("write", "check"); b.add_edge(START, "write"); b.add_conditional_edges("write", route)
""", 2, 1),
    Shape("the same, of the state: any node", """
def route(s): return s["v"]
b = build("write", "check"); b.add_edge(START, "write"); b.add_edge("check", "write")
b.add_conditional_edges("write", route)
""", 2, 1),
    Shape("the same, of a constant", """
CHECK = "check"
def route(s): return CHECK
b = build("write", "check"); b.add_edge(START, "write"); b.add_conditional_edges("write", route)
""", 2, 1),
    Shape("sub-graphs that nodes call, three at once and one", """
researcher = inner_of("search", "read", "sum_up")
async def delegate(s):
    await asyncio.gather(*[researcher.ainvoke({}) for _ in range(3)])
    return {}
def delegate_sync(s): return researcher.invoke(s)
b = build("plan"); b.add_node(delegate); b.add_node(delegate_sync)
b.add_edge(START, "plan"); b.add_edge("plan", "delegate"); b.add_edge("delegate", "delegate_sync")
""", 13, 3),
    Shape("`Send` in a `Command`", """
def plan(s) -> Command[Literal["section"]]: return Command(goto=[Send("section", {"v": x}) for x in "abc"])
b = build("section", "bind"); b.add_node(plan); b.add_edge(START, "plan"); b.add_edge("section", "bind")
""", 5, 3),
    Shape("`Send` from START, answered with --items", """
def fan(s): return [Send("work", {"v": x}) for x in s["said"]]
b = build("work", "join", node=ask); b.add_conditional_edges(START, fan, ["work"]); b.add_edge("work", "join")
""", 9, 8, items=(("work", 8),)),
    Shape("a router that gives a list", """
def route(s) -> list[str]: return s["said"]
b = build("plan", "cost", "risk", node=ask); b.add_edge(START, "plan")
b.add_conditional_edges("plan", route, ["cost", "risk"])
""", 3, 2),
    Shape("a ReAct agent", """
graph = create_react_agent(ChatOllama(model="qwen3:0.6b"), [search])
""", 1, 1, 1),
    Shape("a router that calls a model", """
def route(s): return "x" if llm.invoke("which?").content == "x" else "y"
b = build("a", "x", "y", node=ask); b.add_edge(START, "a"); b.add_conditional_edges("a", route)
""", 4, 1),
    Shape("a person who is asked twice", """
def check(s): return {"v": interrupt("ok?")}
b = build("write", "send", node=ask); b.add_node(check)
b.add_edge(START, "write"); b.add_edge("write", "check"); b.add_edge("check", "send")
graph = b.compile(interrupt_before=["send"])
""", 2, 1, 2),
    Shape("sub-graphs with equal names in a loop", """
def route(s): return "one" if s["v"] else END
b = StateGraph(S); b.add_node("one", inner_of("think", "act", node=ask)); b.add_node("two", inner_of("think", node=ask))
b.add_edge(START, "one"); b.add_edge("one", "two"); b.add_conditional_edges("two", route)
""", 3, 1),
    Shape("a supervisor and its workers", """
def lead(s) -> Command[Literal["math", "text", "__end__"]]: return Command(goto=llm.invoke("who?").content)
def back(s) -> Command[Literal["lead"]]: return Command(update=ask(s), goto="lead")
b = build("math", "text", node=back); b.add_node(lead); b.add_edge(START, "lead")
""", 3, 1),
    Shape("a node that nothing leads to", """
b = build("a", "lonely", node=ask); b.add_edge(START, "a"); b.add_edge("a", END)
""", 2, 1),
    Shape("a node that LangGraph runs twice", """
b = build("a", "b", "c", "d", node=ask)
for edge in ((START, "a"), ("a", "b"), ("b", "c"), ("a", "d"), ("c", "d")): b.add_edge(*edge)
""", 5, 2),
    Shape("the same, deferred", """
b = build("a", "b", "c", node=ask); b.add_node("d", ask, defer=True)
for edge in ((START, "a"), ("a", "b"), ("b", "c"), ("a", "d"), ("c", "d")): b.add_edge(*edge)
""", 4, 1),
)  # fmt: skip


def imported(shape: Shape, folder: Path) -> Imported:
    path = folder / "app.py"
    path.write_text(HEAD + shape.text)
    name = "graph" if "\ngraph =" in shape.text else "b"
    options = GraphImportOptions(out=folder / "out.yaml", force=True, items=shape.items)
    return import_langgraph(f"{path}:{name}", options)


def row(shape: Shape, found: Imported) -> str:
    account = found.draft.account
    lost = sum(loss.calls for loss in account.lost)
    width = describe(load_workload(found.workload)).pipelines[0].width
    assert account.missing() == {}
    assert account.found.calls == shape.calls == (account.made.calls or 0) + lost
    assert account.found.tools == shape.tools == (account.made.tools or 0) + sum(loss.tools for loss in account.lost)
    assert width + sum(loss.width for loss in account.lost) == shape.width
    head = [one.text for one in found.draft.head]
    assert all(any(loss.why in text for text in head) for loss in account.lost)
    tools = f"{account.found.tools:g} / {account.made.tools:g}"
    calls = f"{account.found.calls:g} / {account.made.calls:g} / {lost:g}"
    return f"| {shape.title} | {calls} | {shape.width} / {width} | {tools} | {len(found.questions)} |"


def test_the_table_on_the_page_is_what_the_imports_gave(tmp_path: Path) -> None:
    rows = "\n".join(row(shape, imported(shape, tmp_path)) for shape in SHAPES)
    assert rows in PAGE.read_text(encoding="utf-8"), rows


def steps_of(text: str, folder: Path) -> dict[str, DraftStep]:
    found = imported(Shape("", text, 0, 0), folder)
    (pipeline,) = found.draft.pipelines.values()
    return {step.name: step for step in walk(pipeline.flow)}


def test_retries_waits_and_settings_are_read(tmp_path: Path) -> None:
    steps = steps_of(
        """
model = ChatOllama(model="qwen3:0.6b", num_predict=64, num_ctx=4096, temperature=0.2)
def write(s): return {"v": model.invoke("q").content}
b = build("pause"); b.add_node("write", write, retry_policy=RetryPolicy(max_attempts=4))
b.add_edge(START, "write"); b.add_edge("write", "pause")
graph = b.compile(interrupt_after=["write"])
""",
        tmp_path,
    )
    assert steps["write"].keys == {"retry": {"times": 3, "backoff_s": 0.5}}
    assert steps["write-review"].delay_s == 30 and steps["write-review"].after == ("write",)
    text = (tmp_path / "out.yaml").read_text()
    assert (
        "write: {prompt: '{prompt-text}', output_tokens: 64, model: 'qwen3:0.6b', num_ctx: 4096, temperature: 0.2}"
        in text
    )


def test_a_deferred_node_waits_for_every_way(tmp_path: Path) -> None:
    steps = steps_of(
        """
b = build("a", "b", "c", node=ask); b.add_node("last", ask, defer=True)
for edge in ((START, "a"), (START, "b"), ("b", "c"), ("a", "last")): b.add_edge(*edge)
""",
        tmp_path,
    )
    assert set(steps["last"].after) == {"a", "c"}


GOOD = "from common import *\nb = StateGraph(S)\nb.add_node('a', n)\nb.add_edge(START, 'a')\ngraph = b.compile()\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "common.py").write_text(HEAD)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "state.py").write_text("from common import *\n")
    (tmp_path / "pkg" / "agent.py").write_text(GOOD.replace("from common", "from .state"))
    (tmp_path / "made.py").write_text(
        GOOD + "def make(): return graph\nasync def later(config): return b\n"
        "from contextlib import asynccontextmanager\n@asynccontextmanager\nasync def opened(config):\n    yield graph\n"
    )
    graphs = {"one": "./pkg/agent.py:graph", "two": {"path": "./made.py:later"}}
    (tmp_path / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    cells = ["%pip install x\n", GOOD, "graph.invoke({})\n", "raise ValueError('of a cell')"]
    book = {"cells": [{"cell_type": "code", "source": [text]} for text in cells]}
    (tmp_path / "book.ipynb").write_text(json.dumps(book))
    yield tmp_path
    for name in [one for one in sys.modules if one.split(".")[0] in ("common", "pkg", "made", "book")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "pipelines"),
    [
        ("pkg/agent.py:graph", ["graph"]),
        ("pkg.agent:graph", ["graph"]),
        ("made.py:b", ["b"]),
        ("made.py:make", ["make"]),
        ("made.py:later", ["later"]),
        ("made.py:opened", ["opened"]),
        ("book.ipynb:graph", ["graph"]),
        ("langgraph.json", ["one", "two"]),
        ("langgraph.json:two", ["two"]),
    ],
)
def test_what_langgraphs_own_server_takes_is_taken(target: str, pipelines: list[str], project: Path) -> None:
    found = import_langgraph(target, GraphImportOptions(out=project / "out.yaml"))
    assert list(found.draft.pipelines) == pipelines
    assert list(found.draft.agents) == ["a"]


def test_another_environment_reads_and_several_graphs_are_one_workload(project: Path) -> None:
    options = GraphImportOptions(out=project / "out.yaml", python=Path(sys.executable), interactive=("make",))
    found = import_langgraph(["made.py:make", "pkg/agent.py:graph"], options)
    assert {name: one.keys["path"] for name, one in found.draft.pipelines.items()} == {
        "make": "interactive",
        "graph": "batch",
    }


def test_an_environment_without_langgraph_says_how_to_get_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "bare.py").write_text("raise ModuleNotFoundError('No module named x', name='langgraph.graph')")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        import_langgraph("bare.py:graph", GraphImportOptions(out=project / "out.yaml"))
    assert f"This environment ({sys.prefix}) has no langgraph" in str(caught.value)
    assert f"{sys.executable} -m pip install langgraph" in str(caught.value)
    assert "--python PATH/TO/bin/python" in str(caught.value)


def test_an_interpreter_that_is_not_there(project: Path) -> None:
    with pytest.raises(UserError, match="expected an interpreter or a virtual environment, found none"):
        import_langgraph("made.py:make", GraphImportOptions(out=project / "out.yaml", python=project / "none"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "text", "agents"),
    [
        (
            "langgraph_supervisor",
            "from langgraph_supervisor import create_supervisor\n"
            "graph = create_supervisor([create_react_agent(M, [search], name='look')], model=M).compile()",
            2,
        ),
        (
            "langgraph_swarm",
            "from langgraph_swarm import create_handoff_tool, create_swarm\n"
            "one = create_react_agent(M, [create_handoff_tool(agent_name='two')], name='one')\n"
            "two = create_react_agent(M, [create_handoff_tool(agent_name='one')], name='two')\n"
            "graph = create_swarm([one, two], default_active_agent='one').compile()",
            2,
        ),
        (
            "deepagents",
            "from deepagents import create_deep_agent\ngraph = create_deep_agent(model=M, tools=[search])",
            1,
        ),
        ("langchain", "from langchain.agents import create_agent\ngraph = create_agent(M, [search])", 1),
    ],
)
def test_frameworks_are_imported_as_they_are_installed(package: str, text: str, agents: int, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (pip install {package.replace('_', '-')})")
    found = imported(Shape("", f"M = ChatOllama(model='qwen3:0.6b')\n{text}\n", 0, 0), tmp_path)
    (pipeline,) = found.draft.pipelines.values()
    assert sum("grows" in step.keys for step in walk(pipeline.flow)) >= agents
    assert found.draft.account.missing() == {}
