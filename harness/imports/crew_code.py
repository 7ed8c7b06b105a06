"""The Python of a CrewAI project, read with `ast` and never executed: what it says of agents, tasks and the crew."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["CodedCrew", "CodedLlm", "CodedPart", "coded_crews", "kicked_off"]

_TASKS = ("Task", "ConditionalTask")
_SETTINGS = ("temperature", "max_tokens", "num_ctx", "num_predict")
MOST_HOPS = 8  # from a name to what it stands for


class CodedLlm(NamedTuple):
    """A model as code names it; "" = it cannot be seen."""

    model: str = ""
    settings: Mapping[str, float] = {}


class CodedPart(NamedTuple):
    """An agent or a task: the method's name, its key in the YAML file, and what its call says. None = it does not."""

    method: str
    key: str
    kind: str  # Agent, Task, ConditionalTask
    texts: Mapping[str, str]  # role, goal, description, ...
    flags: Mapping[str, Any]  # constants: allow_delegation, max_iter, async_execution, human_input, ...
    tools: tuple[str, ...] | None = None
    llm: CodedLlm | None = None
    agent: str | None = None  # of a task, by its method's name
    context: tuple[str, ...] | None = None
    given: frozenset[str] = frozenset()  # all arguments


class CodedCrew(NamedTuple):
    """A class with a crew: its parts in their order, and the arguments of the crew itself."""

    name: str
    configs: Mapping[str, str]  # agents_config and tasks_config, where they are written as texts
    agents: tuple[CodedPart, ...]
    tasks: tuple[CodedPart, ...]
    order: tuple[str, ...] | None  # methods of the tasks, where the crew lists them
    process: str  # sequential or hierarchical
    manager_llm: CodedLlm | None
    manager_agent: str | None
    flags: Mapping[str, Any]
    given: frozenset[str]


def coded_crews(module: ast.Module) -> list[CodedCrew]:
    """Return the crews of a module."""
    known = dict(_assigned(module.body))
    found = []
    for item in module.body:
        if isinstance(item, ast.ClassDef):
            crew = _crew(item, known)
            if crew.agents or crew.tasks:
                found.append(crew)
    return found


def kicked_off(module: ast.Module) -> str:
    """Return how a module starts crews: the method's name for several inputs, "kickoff" for one, "" for neither."""
    names = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    several = sorted(name for name in names if name.startswith(("kickoff_for_each", "akickoff_for_each")))
    return several[0] if several else "kickoff" if names & {"kickoff", "kickoff_async", "akickoff"} else ""


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and what is assigned to them; `self.x` counts as x."""
    for item in body:
        if isinstance(item, ast.Assign):
            for target in item.targets:
                if name := _name(target):
                    yield name, item.value
        elif isinstance(item, ast.AnnAssign) and item.value is not None and (name := _name(item.target)):
            yield name, item.value


def _crew(item: ast.ClassDef, known: Mapping[str, ast.expr]) -> CodedCrew:
    methods = [one for one in item.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = {**known, **dict(_assigned(item.body))}
    for method in methods:
        if method.name == "__init__":
            names |= dict(_assigned(method.body))
    agents, tasks = [], []
    call: ast.Call | None = None
    for method in methods:
        marks = {_name(mark.func if isinstance(mark, ast.Call) else mark) for mark in method.decorator_list}
        here = {**names, **dict(_assigned(method.body))}
        if "agent" in marks:
            agents.append(_part(method, _call(method, ("Agent",)), here))
        elif "task" in marks:
            tasks.append(_part(method, _call(method, _TASKS), here))
        elif "crew" in marks:
            call, names = _call(method, ("Crew",)), here
    configs = {
        key: value for key in ("agents_config", "tasks_config") if isinstance(value := _constant(names.get(key)), str)
    }
    given = _arguments(call)
    order = _resolved(given.get("tasks"), names)
    listed = tuple(filter(None, map(_called, order.elts))) if isinstance(order, ast.List) else None
    process = _name(given.get("process")) or "sequential"
    return CodedCrew(
        item.name, configs, tuple(agents), tuple(tasks), listed,
        "hierarchical" if process == "hierarchical" else "sequential",
        _llm(given.get("manager_llm"), names) if "manager_llm" in given else None,
        _called(given["manager_agent"]) if "manager_agent" in given else None,
        _flags(given), frozenset(given),
    )  # fmt: skip


def _part(
    method: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call | None, names: Mapping[str, ast.expr]
) -> CodedPart:
    given = _arguments(call)
    config = _resolved(given.get("config"), names)
    key = _constant(config.slice) if isinstance(config, ast.Subscript) else None
    texts = {name: value for name in given if isinstance(value := _constant(_resolved(given[name], names)), str)}
    context = _resolved(given.get("context"), names)
    return CodedPart(
        method.name,
        key if isinstance(key, str) else method.name,
        (_name(call.func) or "") if call is not None else "",
        texts,
        _flags(given),
        _tools(given["tools"], names) if "tools" in given else None,
        _llm(given["llm"], names) if "llm" in given else None,
        _called(given["agent"]) if "agent" in given else None,
        tuple(filter(None, map(_called, context.elts))) if isinstance(context, ast.List | ast.Tuple) else None,
        frozenset(given),
    )


def _call(method: ast.AST, names: Sequence[str]) -> ast.Call | None:
    calls = [one for one in ast.walk(method) if isinstance(one, ast.Call) and _name(one.func) in names]
    return calls[-1] if calls else None


def _arguments(call: ast.Call | None) -> dict[str, ast.expr]:
    return {} if call is None else {one.arg: one.value for one in call.keywords if one.arg}


def _flags(given: Mapping[str, ast.expr]) -> dict[str, Any]:
    return {
        name: value.value
        for name, value in given.items()
        if isinstance(value, ast.Constant) and isinstance(value.value, bool | int | float)
    }


def _name(node: ast.AST | None) -> str:
    """Return the last part of a dotted name; "" where it is none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _called(node: ast.expr) -> str:
    """Return the name of a part: `self.research_task()`, `self.research_task` or `research_task`."""
    return _name(node.func if isinstance(node, ast.Call) else node)


def _constant(node: ast.AST | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _resolved(node: ast.expr | None, names: Mapping[str, ast.expr]) -> ast.expr | None:
    """Follow a name to what was assigned to it."""
    for _ in range(MOST_HOPS):
        name = _name(node)
        if not name or name not in names or names[name] is node:
            break
        node = names[name]
    return node


def _tools(node: ast.expr, names: Mapping[str, ast.expr]) -> tuple[str, ...]:
    """Return the names of tools; what is no list counts as one tool of that name."""
    found = _resolved(node, names)
    if isinstance(found, ast.List | ast.Tuple):
        return tuple(_called(one) or "tool" for one in found.elts)
    if isinstance(found, ast.Constant) and found.value is None:
        return ()
    return (_called(node) or "tools",)


def _llm(node: ast.expr | None, names: Mapping[str, ast.expr]) -> CodedLlm:
    found = _resolved(node, names)
    if isinstance(found, ast.Constant) and isinstance(found.value, str):
        return CodedLlm(found.value)
    if not isinstance(found, ast.Call):
        return CodedLlm()
    if _name(found.func) in ("getenv", "get"):  # os.getenv("MODEL", "ollama/llama3.2")
        return CodedLlm(str(_constant(found.args[1]) or "") if len(found.args) > 1 else "")
    given = _arguments(found)
    named = given.get("model", given.get("model_name", found.args[0] if found.args else None))
    model = _llm(named, names).model if named is not None and named is not found else ""
    settings = {
        name: float(value)
        for name in _SETTINGS
        if isinstance(value := _constant(_resolved(given.get(name), names)), int | float) and value >= 0
    }
    return CodedLlm(f"ollama/{model}" if model and "Ollama" in _name(found.func) else model, settings)
