"""LangGraph programs as source text, with what is true of them: nothing of it may be lost in silence."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

HEAD = """
import asyncio
import operator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal, TypedDict
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

llm = FakeListChatModel(responses=["x"])


class S(TypedDict, total=False):
    said: Annotated[list, operator.add]
    v: str


def ask(text):
    return llm.invoke(text).content


async def ask_later(text):
    return (await llm.ainvoke(text)).content


@tool
def search(query: str) -> str:
    "Search."
    return query


class Writer:
    def __init__(self, model):
        self.model = model

    def write(self, s):
        first = self.model.invoke("draft").content
        return {"said": [first, self.better(first)]}

    def better(self, text):
        return self.model.with_retry(stop_after_attempt=2).invoke(text).content


WRITER = Writer(llm)
"""


class Program(NamedTuple):
    """A program, and what is true of it: places that call a model (each as often as it has items), calls at once."""

    text: str
    calls: int
    width: int
    asked: tuple[str, ...] = ()  # nodes whose number of items the source does not tell

    def __repr__(self) -> str:
        return f"{self.calls} calls, {self.width} wide\n{self.text}"


class Body(NamedTuple):
    """A node's function: lines, calls, calls at once."""

    lines: tuple[str, ...]
    calls: int
    width: int
    waits: bool = False  # an async function
    tools: int = 0


MORE = ("stream", "chain", "pool", "group", "method", "guard", "local", "tried", "search")


def indented(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"    {line}" for line in lines)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    kind = draw(
        st.sampled_from(
            ["plain", "plain", "helper", "gather", "both", "batch", "loop", "comprehension", "tasks", "graph", *MORE]
        )
    )
    n = draw(st.integers(2, 4))
    match kind:
        case "plain":
            calls = draw(st.integers(0, 3))
            made = tuple(f"a{i} = llm.invoke('q')" for i in range(calls))
            return Body((*made, "return {'said': [len(s.get('said', []))]}"), calls, min(1, calls))
        case "helper":
            return Body(("return {'said': [ask('q')]}",), 1, 1)
        case "gather":
            call = draw(st.sampled_from(["llm.ainvoke('q')", "ask_later('q')", "inner.ainvoke(s)"]))
            many = INNER_CALLS if call.startswith("inner") else 1
            return Body(
                (f"await asyncio.gather(*[{call} for _ in range({n})])", "return {'said': []}"), n * many, n, True
            )
        case "both":
            return Body(
                ("x, y = await asyncio.gather(ask_later('p'), llm.ainvoke('q'))", "return {'said': [x]}"), 2, 2, True
            )
        case "batch":
            items = draw(st.sampled_from([f"['q'] * {n}", repr(["q"] * n)]))
            if "*" in items:
                return Body((f"items = [str(i) for i in range({n})]", "return {'said': llm.batch(items)}"), n, n)
            return Body((f"return {{'said': await llm.abatch({items})}}",), n, n, True)
        case "loop":
            return Body(
                (
                    "out = []",
                    f"for i in range({n}):",
                    "    out.append(llm.invoke(str(i)).content)",
                    "return {'said': out}",
                ),
                n,
                1,
            )
        case "comprehension":
            return Body((f"return {{'said': [ask(q) for q in {list('abcd')[:n]!r}]}}",), n, 1)
        case "tasks":
            return Body(
                ("todo = []", f"for i in range({n}):", "    todo.append(asyncio.create_task(ask_later(str(i))))",
                 "done = await asyncio.gather(*todo)", "return {'said': done}"), n, n, True,
            )  # fmt: skip
        case "stream":
            return Body(("for part in llm.stream('q'):", "    print(part)", "return {'said': []}"), 1, 1)
        case "chain":
            return Body(
                ("chain = RunnableLambda(str) | llm | StrOutputParser()", "return {'said': [chain.invoke('q')]}"), 1, 1
            )
        case "pool":
            return Body(
                (
                    "with ThreadPoolExecutor() as pool:",
                    f"    return {{'said': list(pool.map(ask, {list('abcd')[:n]!r}))}}",
                ),
                n,
                n,
            )
        case "group":
            begun = tuple(f"    t{i} = group.create_task(ask_later('{i}'))" for i in range(n))
            return Body(
                ("async with asyncio.TaskGroup() as group:", *begun, "return {'said': [t0.result()]}"), n, n, True
            )
        case "method":
            return Body(("return WRITER.write(s)",), 2, 1)
        case "guard":
            return Body(
                ("if len(s) > 3:", "    raise ValueError('no')", "return {'said': [ask('q') if s else ask('r')]}"), 1, 1
            )
        case "local":
            return Body(("async def one(q):", "    first = await ask_later(q)", "    return await ask_later(first)",
                         "return {'said': await asyncio.gather(one('a'), one('b'))}"), 4, 2, True)  # fmt: skip
        case "tried":
            return Body(
                ("try:", "    out = ask('q')", "except ValueError:", "    out = ''", "return {'said': [out]}"), 1, 1
            )
        case "search":
            return Body(("found = search.invoke('q')", "return {'said': [ask(found)]}"), 1, 1, tools=1)
        case _:
            return Body(("return inner.invoke(s)",), INNER_CALLS, 1)


INNER_CALLS = 2
INNER = """
def inner_one(s):
    return {"said": [llm.invoke("one").content]}


def inner_two(s):
    return {"said": [ask("two")]}


inner = StateGraph(S).add_sequence([inner_one, inner_two]).add_edge(START, "inner_one").compile()
"""


def function(name: str, body: Body, returns: str = "") -> str:
    word = "async def" if body.waits else "def"
    return "\n".join([f"\n\n{word} {name}(s){returns}:", *indented(body.lines)])


def node(text: list[str], wired: list[str], name: str, body: Body) -> None:
    text.append(function(name, body))
    wired.append(f"b.add_node({name!r}, {name})")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw stages one after the other, each of which begins after a node and ends at one."""
    text, wired = [HEAD, INNER], ["b = StateGraph(S)"]
    calls, width, asked, before = 0, 0, [], "START"
    for i in range(draw(st.integers(1, 4))):
        kinds = ["node", "node", "send", "command", "branch", "several", "loop", "parallel", "subgraph"]
        kind = draw(st.sampled_from(kinds))
        name = f"n{i}"
        one, two = draw(bodies()), draw(bodies())

        if kind == "node":
            node(text, wired, name, one)
            wired.append(f"b.add_edge({before}, {name!r})")
            calls, width = calls + one.calls, max(width, one.width)
        elif kind == "subgraph":
            wired += [f"b.add_node({name!r}, inner)", f"b.add_edge({before}, {name!r})"]
            calls, width = calls + INNER_CALLS, max(width, 1)
        elif kind == "send":
            known = draw(st.booleans())
            count = draw(st.integers(2, 4)) if known else 3
            many = f"range({count})" if known else "s['said']"
            node(text, wired, name, one)
            text.append(f"\n\ndef fan{i}(s):\n    return [Send({name!r}, {{'v': x}}) for x in {many}]")
            ends = draw(st.sampled_from(["", f", [{name!r}]"]))
            wired.append(f"b.add_conditional_edges({before}, fan{i}{ends})")
            calls, width = calls + count * one.calls, max(width, count * one.width)
            asked += [] if known or not one.calls else [name]
        elif kind == "command":
            text.append(
                f"\n\ndef {name}(s) -> Command[Literal['{name}x']]:\n"
                f"    return Command(goto=[Send('{name}x', s) for _ in 'abc'])"
            )
            wired += [f"b.add_node({name!r}, {name})", f"b.add_edge({before}, {name!r})"]
            node(text, wired, f"{name}x", one)
            calls, width, name = calls + 3 * one.calls, max(width, 3 * one.width), f"{name}x"
        elif kind in ("branch", "several", "parallel"):
            node(text, wired, f"{name}a", one)
            node(text, wired, f"{name}b", two)
            wired.append(f"b.add_node('{name}', lambda s: {{'said': [len(s)]}})")
            if kind == "parallel":
                wired += [f"b.add_edge({before}, '{name}{side}')" for side in "ab"]
            else:
                text.append(f"\n\nSIDE{i} = '{name}a'")
                way = draw(
                    st.sampled_from(
                        [f"SIDE{i} if s.get('v') else '{name}b'", f"{{1: SIDE{i}, 2: '{name}b'}}[s['v']]"]
                        if kind == "branch"
                        else [f"[SIDE{i}, '{name}b']"]
                    )
                )
                text.append(f"\n\ndef to{i}(s):\n    return {way}")
                ends = draw(st.sampled_from(["", f", ['{name}a', '{name}b']"]))
                wired.append(f"b.add_conditional_edges({before}, to{i}{ends})")
            if kind == "branch":
                wired += [f"b.add_edge('{name}{side}', '{name}')" for side in "ab"]
            else:
                wired.append(f"b.add_edge(['{name}a', '{name}b'], '{name}')")
            wide = max(one.width, two.width) if kind == "branch" else one.width + two.width
            calls, width = calls + one.calls + two.calls, max(width, wide)
        else:
            node(text, wired, name, one)
            wired.append(f"b.add_node('{name}x', lambda s: {{'said': [len(s)]}})")
            way = draw(st.sampled_from([f"'{name}x' if s.get('v') else {name!r}", f"'{name}x'\n    return {name!r}"]))
            test = "    if s.get('v'):\n    " if "\n" in way else ""
            text.append(f"\n\ndef again{i}(s):\n{test}    return {way}")
            ends = draw(st.sampled_from(["", f", [{name!r}, '{name}x']"]))
            wired += [f"b.add_edge({before}, {name!r})", f"b.add_conditional_edges({name!r}, again{i}{ends})"]
            calls, width, name = calls + one.calls, max(width, one.width), f"{name}x"
        before = repr(name)
    wired += [
        "b.add_node('last', lambda s: {'said': [ask('last')]})",
        f"b.add_edge({before}, 'last')",
        "graph = b.compile()",
    ]
    return Program("".join(text) + "\n\n\n" + "\n".join(wired) + "\n", calls + 1, max(width, 1), tuple(asked))
