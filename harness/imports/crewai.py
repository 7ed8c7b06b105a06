"""A CrewAI project: its agents.yaml and tasks.yaml, with what the code beside them says. Nothing of it is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.errors import UserError
from harness.imports.crew_code import CodedCrew, CodedLlm, CodedPart, coded_crews, kicked_off

__all__ = ["Crew", "CrewAgent", "CrewTask", "read_crews"]

MAX_BYTES = 1 << 20  # of one file
MAX_FILES = 2000  # that are looked at in the folder
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "tests"}


class CrewAgent(NamedTuple):
    """An agent. `tools` are names; `model` is as the project writes it, "" = it does not."""

    name: str
    role: str
    goal: str
    backstory: str
    tools: tuple[str, ...]
    model: str
    settings: Mapping[str, float]
    max_iter: int | None
    flags: Mapping[str, Any]  # allow_delegation, reasoning, memory, ...


class CrewTask(NamedTuple):
    """A task. `agent` names one of the crew's, "" = none; `context` None: all tasks before it, as CrewAI has it."""

    name: str
    description: str
    expected_output: str
    agent: str
    context: tuple[str, ...] | None
    is_async: bool
    conditional: bool
    tools: tuple[str, ...]
    flags: Mapping[str, Any]


class Crew(NamedTuple):
    """A crew, its tasks in their order. `lost`: why tasks of the files are not used, and how many."""

    name: str
    source: str
    agents: Mapping[str, CrewAgent]
    tasks: tuple[CrewTask, ...]
    hierarchical: bool
    manager: str  # an agent's name; "" = CrewAI's own
    manager_model: str
    flags: Mapping[str, Any]  # planning, memory, ...
    started: str  # how the code starts it; "" = it does not
    has_code: bool
    lost: tuple[tuple[str, int], ...] = ()


def read_crews(folder: Path) -> list[Crew]:
    """Read every crew below a folder. Raises UserError where there is none, or a file cannot be read."""
    if not folder.is_dir():
        raise UserError(f"{folder}: expected the folder of a CrewAI project, found {_what(folder)}")
    files = list(_files(folder))
    code = {path: module for path in files if path.suffix == ".py" and (module := _module(path)) is not None}
    crews = []
    for path in files:
        if path.name in ("agents.yaml", "agents.yml"):
            tasks = next(
                (path.with_name(name) for name in ("tasks.yaml", "tasks.yml") if path.with_name(name) in files), None
            )
            if tasks is not None:
                coded = _coded(path, _table(path), _table(tasks), code)
                used = {
                    part.key for crew in coded for part in crew.tasks if not crew.order or part.method in crew.order
                }
                crews += [_crew(folder, path, tasks, code, one, used) for one in coded or (None,)]
    if not crews:
        raise UserError(
            f"{folder}: expected config/agents.yaml and config/tasks.yaml of a CrewAI project, found none below it; a "
            "crew that is written in Python alone is imported by running it: slotwise import record -- python main.py"
        )
    return crews


def _what(folder: Path) -> str:
    return "a file" if folder.exists() else "nothing"


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    stack = [folder]
    while stack:
        try:
            entries = sorted(stack.pop().iterdir())
        except OSError:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SKIPPED or entry.is_symlink():
                continue
            if entry.is_dir():
                if not (entry / "pyvenv.cfg").exists():
                    stack.append(entry)
            elif entry.suffix in (".py", ".yaml", ".yml"):
                seen += 1
                if seen > MAX_FILES:
                    raise UserError(
                        f"{folder}: expected a project, found more than {MAX_FILES} files; name its own folder"
                    )
                yield entry


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None


def _table(path: Path) -> dict[str, dict[str, Any]]:
    text = _text(path)
    if text is None:
        raise UserError(f"{path}: expected YAML of at most 1 MiB in UTF-8, found something else")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # PyYAML's own int() and chr() too
        mark = getattr(error, "problem_mark", None)
        at = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}"
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{at}: expected YAML, found none ({said})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected names with what they mean, found {type(found).__name__}")
    return {str(name): spec for name, spec in found.items() if isinstance(spec, dict)}


def _crew(
    folder: Path,
    agents_file: Path,
    tasks_file: Path,
    code: Mapping[Path, ast.Module],
    coded: CodedCrew | None,
    others: Set[str],
) -> Crew:
    """Return one crew; `others` are keys of tasks that other crews of these files use."""
    agents, tasks = _table(agents_file), _table(tasks_file)
    home = agents_file.parent.parent if agents_file.parent.name == "config" else agents_file.parent
    started = {kicked_off(module) for path, module in code.items() if home in (path.parent, *path.parents)}
    started |= set() if started - {""} else {kicked_off(module) for module in code.values()}
    parts = {part.key: part for part in coded.agents} if coded else {}
    made = {
        (parts[key].method if key in parts else key): _agent(key, spec, parts.get(key)) for key, spec in agents.items()
    }
    for part in coded.agents if coded else ():
        if part.key not in agents and part.texts.get("role"):
            made[part.method] = _agent(part.method, {}, part)
    coded_tasks = {part.key: part for part in coded.tasks} if coded else {}
    by_method = {
        (coded_tasks[key].method if key in coded_tasks else key): _task(key, spec, coded_tasks.get(key))
        for key, spec in tasks.items()
    }
    for part in coded.tasks if coded else ():
        if part.key not in tasks and part.texts.get("description"):
            by_method[part.method] = _task(part.method, {}, part)
    order = [*by_method]
    lost: list[tuple[str, int]] = []
    if coded and coded.tasks:
        used = coded.order if coded.order else tuple(part.method for part in coded.tasks)
        order = [name for name in used if name in by_method]
        if missing := [name for name in used if name not in by_method]:
            lost.append((f"in tasks of the code of which no text can be seen: {', '.join(missing)}", len(missing)))
        if unused := [name for name, task in by_method.items() if name not in order and task.name not in others]:
            lost.append((f"in tasks of {tasks_file.name} that no crew uses: {', '.join(unused)}", len(unused)))
    if not order:
        raise UserError(f"{tasks_file}: expected tasks with a description, found none that the crew uses")
    return Crew(
        name=coded.name if coded else home.name or "crew",
        source=agents_file.parent.relative_to(folder).as_posix(),
        agents=made,
        tasks=tuple(by_method[name]._replace(name=name) for name in order),
        hierarchical=bool(coded and coded.process == "hierarchical"),
        manager=(coded.manager_agent or "") if coded else "",
        manager_model=coded.manager_llm.model if coded and coded.manager_llm else "",
        flags=coded.flags if coded else {},
        started=max(started, key=len, default=""),
        has_code=coded is not None,
        lost=tuple(lost),
    )


def _module(path: Path) -> ast.Module | None:
    """Return a module's tree; None where it is no Python. Nothing is executed."""
    text = _text(path)
    try:
        return None if text is None else ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _coded(
    agents_file: Path, agents: Mapping[str, Any], tasks: Mapping[str, Any], code: Mapping[Path, ast.Module]
) -> list[CodedCrew]:
    """Return the classes that these files belong to: by the paths that they name, else by most of the keys in use."""
    found: list[tuple[bool, int, CodedCrew]] = []
    for path, module in code.items():
        for crew in coded_crews(module):
            named = (path.parent / crew.configs.get("agents_config", "config/agents.yaml")).resolve()
            fits = sum(part.key in agents for part in crew.agents) + sum(part.key in tasks for part in crew.tasks)
            if fits:
                found.append((named == agents_file.resolve(), fits, crew))
    if exact := [crew for is_named, _, crew in found if is_named]:
        return exact
    return [max(found, key=lambda one: one[1])[2]] if found else []


def _agent(key: str, spec: Mapping[str, Any], part: CodedPart | None) -> CrewAgent:
    texts = part.texts if part else {}
    flags = {
        **{name: value for name, value in spec.items() if isinstance(value, bool | int)},
        **(part.flags if part else {}),
    }
    llm = (part.llm if part else None) or CodedLlm(spec["llm"] if isinstance(spec.get("llm"), str) else "")
    tools = part.tools if part and part.tools is not None else _names(spec.get("tools"))
    most = flags.get("max_iter")
    return CrewAgent(
        name=key,
        role=_words(spec, texts, "role") or key,
        goal=_words(spec, texts, "goal"),
        backstory=_words(spec, texts, "backstory"),
        tools=tools or (),
        model=llm.model,
        settings=llm.settings,
        max_iter=most if isinstance(most, int) and most > 0 else None,
        flags=flags,
    )


def _task(key: str, spec: Mapping[str, Any], part: CodedPart | None) -> CrewTask:
    texts = part.texts if part else {}
    flags = {
        **{name: value for name, value in spec.items() if isinstance(value, bool | int)},
        **(part.flags if part else {}),
    }
    agent = (part.agent if part else None) or (spec["agent"] if isinstance(spec.get("agent"), str) else "")
    context = part.context if part and part.context is not None else _names(spec.get("context"))
    tools = part.tools if part and part.tools is not None else _names(spec.get("tools"))
    given = part.given if part else frozenset()
    more = {
        name: True
        for name in ("guardrail", "guardrails", "output_pydantic", "output_json")
        if name in given or name in spec
    }
    return CrewTask(
        name=key,
        description=_words(spec, texts, "description"),
        expected_output=_words(spec, texts, "expected_output"),
        agent=agent,
        context=context,
        is_async=flags.get("async_execution") is True,
        conditional=bool(part and part.kind == "ConditionalTask"),
        tools=tools or (),
        flags={**flags, **more},
    )


def _words(spec: Mapping[str, Any], texts: Mapping[str, str], name: str) -> str:
    value = texts.get(name, spec.get(name))
    return " ".join(value.split()) if isinstance(value, str) else ""


def _names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, list) else None
