"""A compiled LangGraph as a draft: its nodes, edges and conditional edges by its own public `get_graph`, and what the
ChatOllama of a node says of its calls (`clients.py`).

What that leaves out is taken from the builder that a compiled graph keeps: joins that wait for all, and conditional
edges without a path map. LangGraph itself is never imported here: anyone with such a graph has it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from harness.errors import UserError, did_you_mean
from harness.imports.clients import ClientRead, client_of
from harness.imports.draft import END, Draft, DraftNote, Flow, Names, PipelineDraft, ask, note, walk
from harness.imports.structure import Vertex, structure

__all__ = ["draft_of", "load_graph"]

START = "__start__"
PROMPT_TOKENS, OUTPUT_TOKENS, TOOL_S = 300, 100, 0.5  # assumed, and asked about
CONTEXT_TOKENS = 2048  # of a slot, at least


def load_graph(target: str) -> Any:
    """Import `module:graph` (or `file.py:graph`) and return the graph; UserError where that fails.

    Importing executes the module's code. What it prints goes to stderr.
    """
    where, _, attribute = target.rpartition(":")
    if not where or not attribute:
        raise UserError(f'{target}: expected MODULE:GRAPH, such as my_app.agent:graph, found no ":"')
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module = _module(where)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's: it may raise anything
        raise UserError(_could_not_import(where, error)) from None
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [name for name in dir(found) if not name.startswith("_")]
            hint = did_you_mean(part, known)
            graphs = [name for name in known if _is_graph(getattr(found, name, None))]
            there = f"; its compiled graphs: {', '.join(graphs)}" if graphs else "; it has no compiled graph"
            raise UserError(f'{target}: {where} has no "{part}"{hint or there}') from None
        except Exception as error:  # noqa: BLE001 - a property of the user's
            raise UserError(_could_not_import(where, error)) from None
    if not _is_graph(found):
        kind = type(found).__name__
        todo = "expected a compiled graph (the result of `.compile()`)"
        if hasattr(found, "compile") and hasattr(found, "add_node"):
            raise UserError(f"{target}: {todo}, found a {kind} that is not compiled; name what `.compile()` returned")
        if callable(getattr(found, "get_graph", None)):
            raise UserError(f"{target}: {todo}, found a {kind}, which has no nodes and edges to read")
        raise UserError(f"{target}: {todo}, found {'an' if kind[:1] in 'aeiou' else 'a'} {kind}")
    return found


def _could_not_import(where: str, error: BaseException) -> str:
    at, frame = "", error.__traceback__
    while frame:
        name = frame.tb_frame.f_code.co_filename
        if "importlib" not in name and not name.startswith("<"):
            at = f" ({name}:{frame.tb_lineno})"
        frame = frame.tb_next
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return f"{where} could not be imported, so nothing was written: {said}{at}"


def _module(where: str) -> ModuleType:
    if not where.endswith(".py"):
        with _first_on_path(Path.cwd()):
            return importlib.import_module(where)
    path = Path(where)
    if not path.is_file():
        raise FileNotFoundError(f"no file {where}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{where} is no Python file")
    module = importlib.util.module_from_spec(spec)
    with _first_on_path(path.resolve().parent):
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(path.stem, None)  # never half-imported
            raise
    return module


@contextlib.contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_graph(found: Any) -> bool:
    return callable(getattr(found, "get_graph", None)) and hasattr(found, "builder") and hasattr(found.builder, "nodes")


def draft_of(graph: Any, target: str) -> Draft:
    """Return the draft of a compiled graph; UserError where it cannot be read."""
    graphs, clients = Names(), _Clients()
    flow = _flow(graph, target, graphs, clients)
    agents: dict[str, Any] = {}
    prompt = {"prompt": "{prompt-text}", "output_tokens": OUTPUT_TOKENS}
    used: list[ClientRead] = []
    for step in walk(flow):
        if step.kind == "agent" and step.target not in agents:
            read = clients.known.get(step.target)
            agents[step.target] = (prompt, ()) if read is None else ({**prompt, **read.keys}, read.notes)
            used += [] if read is None else [read]
    if not agents:
        raise UserError(f"{target}: expected a graph with a node that may call a model, found none")
    first = next(iter(agents))
    spec, notes = agents[first]
    agents[first] = (
        spec,
        (
            ask(
                f"which prompts, and how long? A graph holds none: each is made up, {PROMPT_TOKENS} tokens long, and "
                f"each answer is {OUTPUT_TOKENS} tokens"
                f"{', or what num_predict allows' if any('output_tokens' in one.keys for one in used) else ''}. "
                "Write your own; {NODE} stands for the answer of a node."
            ),
            ask("which of these nodes call no model? Give those `tool: {delay_s: ...}` in place of `agent`."),
            *notes,
        ),
    )
    name = Names()(str(getattr(graph, "name", "") or "") if graph.name != "LangGraph" else target.rpartition(":")[2])
    pipeline = PipelineDraft(
        {"path": "batch", "jobs": 4, "arrival": {"every_s": 0}},
        flow,
        key_notes={"path": (ask("does a person wait for it (interactive)? How many jobs, and when do they come?"),)},
    )
    return Draft(
        name=name,
        description=f"Imported from the LangGraph {target}.",
        head=(
            note(f"Imported from the LangGraph {target}. What a graph does not say is marked QUESTION."),
            note(
                "LangGraph runs in supersteps: what comes next waits for everything of the step before. "
                "Here a node starts as soon as what it waits for is done."
            ),
            *([note("What the ChatOllama of a node says stands at its agent, model and context too.")] if used else []),
        ),
        pipelines={name: pipeline},
        agents=agents,
        inputs={"prompt-text": {"synthetic": {"count": 1, "tokens": PROMPT_TOKENS}}},
        servers={name: _server(slots, agents, used) for name, slots in (("one-slot", 1), ("four-slot", 4))},
    )


def _server(slots: int, agents: Mapping[str, Any], used: Sequence[ClientRead]) -> dict[str, Any]:
    """Return a server for all agents: the embedded engine, or an Ollama where clients name models of one."""
    if not used:
        return {"kind": "llamacpp", "slots": slots, "context_tokens": CONTEXT_TOKENS}
    keys = ("output_tokens", "thinking_tokens")
    most = PROMPT_TOKENS + max(sum(spec.get(key, 0) for key in keys) for spec, _ in agents.values())
    context = max(CONTEXT_TOKENS, 1 << int(1.25 * most).bit_length())
    models = Counter(read.keys["model"] for read in used)
    return {"kind": "ollama", "model": models.most_common(1)[0][0], "slots": slots, "context_tokens": context}


class _Clients:
    """What the clients of nodes say, by the names of their agents."""

    def __init__(self) -> None:
        self.known: dict[str, ClientRead | None] = {}

    def agent(self, name: str, runnable: Any) -> str:
        """Return the name of a node's agent: another one where nodes of one name have different clients."""
        read = client_of(name, runnable)
        if self.known.get(name, read) != read:
            name = Names(self.known)(name)
        self.known[name] = read
        return name


class _Edges(NamedTuple):
    """What leaves a node."""

    always: dict[str, list[str]]
    choice: dict[str, dict[str, str]]


def _flow(graph: Any, target: str, graphs: Names, clients: _Clients) -> Flow:
    try:
        drawn = graph.get_graph()
    except Exception as error:  # noqa: BLE001 - LangGraph's own errors, of any version
        raise UserError(f"{target}: its graph cannot be drawn: {type(error).__name__}: {error}") from None
    builder = graph.builder
    name_of: dict[str, str] = {START: START, END: END}
    names = Names({"item", "input", "previous", "until", "prompt-text"})
    for key in drawn.nodes:
        if key not in name_of:
            name_of[key] = names(key)
    branches: dict[str, dict[str, Any]] = {k: dict(v) for k, v in getattr(builder, "branches", {}).items()}
    edges, notes = _edges(drawn, branches, name_of)
    for source, to in sorted(getattr(builder, "edges", ())):  # those behind a branch without a path map are not drawn
        if source in name_of and name_of[to] not in edges.always.setdefault(name_of[source], []):
            edges.always[name_of[source]].append(name_of[to])
    for name, text in _joins(builder, edges, name_of):
        notes.setdefault(name, []).append(text)
    vertices: dict[str, Vertex] = {}
    for key, node in drawn.nodes.items():
        if key in (START, END):
            continue
        name = name_of[key]
        always, choice = tuple(edges.always.get(name, ())), edges.choice.get(name, {})
        said = tuple(notes.get(name, ()))
        if _is_graph(node.data):
            sub = graphs(name)
            body = _flow(node.data, f"{target} ({key})", graphs, clients)
            vertices[name] = Vertex(name, "graph", sub, always, choice, body=body, notes=said)
        elif type(node.data).__name__ == "ToolNode":
            asked = ask(f"how long do the tools of {name} take? {TOOL_S} s is a guess.")
            vertices[name] = Vertex(name, "tool", "", always, choice, delay_s=TOOL_S, notes=(*said, asked))
        else:
            agent = clients.agent(name, node.data)
            vertices[name] = Vertex(name, "agent", agent, always, choice, notes=said, chats=_adds_messages(builder))
    entries = [*edges.always.get(START, ()), *edges.choice.get(START, {}).values()]
    if edges.choice.get(START):
        start = names("start")
        vertices = {
            start: Vertex(
                start, "tool", "", tuple(edges.always.get(START, ())), edges.choice[START],
                notes=(note("takes no time: it stands for the choice of where to begin."), *notes.get(START, ())),
            ),
            **vertices,
        }  # fmt: skip
        entries = [start]
    reached = _reached(vertices, entries)
    kept = {name: vertex for name, vertex in vertices.items() if name in reached}
    missing = [name for name in vertices if name not in reached]
    if missing and kept:
        last = next(reversed(kept))
        lost = ask(f"nothing leads to {', '.join(missing)} in the graph, so it is left out. Where does it belong?")
        kept[last] = kept[last]._replace(notes=(*kept[last].notes, lost))
    if not kept:
        raise UserError(f"{target}: expected a graph with nodes, found none that can be reached")
    return structure(kept, entries, graphs)


def _edges(drawn: Any, branches: dict[str, dict[str, Any]], name_of: dict[str, str]) -> tuple[_Edges, dict[str, Any]]:
    """Read the edges; where a conditional edge has no path map, guess from the names that its function mentions."""
    always: dict[str, list[str]] = {}
    choice: dict[str, dict[str, str]] = {}
    notes: dict[str, list[DraftNote]] = {}
    open_ended = {key for key, specs in branches.items() if any(spec.ends is None for spec in specs.values())}
    for edge in drawn.edges:
        source, to = name_of[edge.source], name_of[edge.target]
        if edge.conditional:
            label = Names(choice.setdefault(source, {}))(str(edge.data or edge.target).strip("_"), "to")
            choice[source][label] = to
        elif not (edge.source in open_ended and to == END):  # such a node is drawn as if it went to the end
            always.setdefault(source, []).append(to)
    for key, specs in branches.items():
        name = name_of[key]
        said = notes.setdefault(name, [])
        if len(specs) > 1:
            said.append(
                ask(f"{name} has {len(specs)} conditional edges, each of which goes somewhere; here one of all.")
            )
        for spec in specs.values():
            if spec.ends is not None:  # drawn in the order of the alphabet; their author had another
                place = [name_of[to] for to in spec.ends.values()]
                ways = choice.get(name, {})
                choice[name] = dict(
                    sorted(ways.items(), key=lambda way: place.index(way[1]) if way[1] in place else -1)
                )
            function = _function(spec.path)
            mentioned = set(_mentioned(function.__code__)) if function else set()
            if spec.ends is None:
                guesses = [other for other in name_of if other in mentioned and other not in (START, key)]
                for other in guesses:
                    label = Names(choice.setdefault(name, {}))(other.strip("_"), "to")
                    choice[name][label] = name_of[other]
                what = f"the names that its function mentions: {', '.join(guesses)}" if guesses else "nowhere"
                said.append(ask(f"a conditional edge of {name} has no path map; here it leads to {what}. Is that so?"))
            if "Send" in mentioned:
                said.append(
                    ask(
                        f"{name} sends its items with Send to as many calls at once as there are; here it is one call. "
                        "If a node answers that list, write `over: THAT-NODE` and `items: {count: [2, 5], max: 8}` on "
                        "the node sent to; if the list is fixed, `over: INPUT`."
                    )
                )
    return _Edges(always, choice), notes


def _adds_messages(builder: Any) -> bool:
    """Tell whether the state has messages that a node's answer is added to, as MessagesState has."""
    reducer = getattr(getattr(builder, "channels", {}).get("messages"), "operator", None)
    return callable(reducer) and "add_messages" in getattr(reducer, "__name__", "")


def _function(path: Any) -> Any:
    """Return the Python function behind a branch's path, or None."""
    for name in ("func", "afunc"):
        function = getattr(path, name, None)
        if function is not None:
            function = getattr(function, "func", function)  # a functools.partial
            if isinstance(getattr(function, "__code__", None), CodeType):
                return function
    return None


def _mentioned(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from (part for part in constant if isinstance(part, str))
        elif isinstance(constant, CodeType):
            yield from _mentioned(constant)


def _joins(builder: Any, edges: _Edges, name_of: dict[str, str]) -> Iterator[tuple[str, DraftNote]]:
    """Yield a question for each node that LangGraph runs once for every edge, and this language once for all."""
    waits = {(name_of[s], name_of[to]) for many, to in getattr(builder, "waiting_edges", ()) for s in many}
    depths: dict[str, int] = {}
    level, now = 0, [START]
    while now and level <= len(name_of):
        for name in now:
            depths.setdefault(name, level)
        now = [to for name in now for to in edges.always.get(name, ()) if to not in depths and to != END]
        level += 1
    for name in name_of.values():
        sources = [s for s, to in edges.always.items() if name in to and (s, name) not in waits and s in depths]
        if name != END and len({depths[s] for s in sources}) > 1:
            yield (
                name,
                ask(
                    f"LangGraph runs {name} again for each of {', '.join(sources)}, which end in different supersteps; "
                    "here it runs once, when all of them are done."
                ),
            )


def _reached(vertices: dict[str, Vertex], entries: list[str]) -> set[str]:
    reached: set[str] = set()
    now = [name for name in entries if name != END]
    while now:
        name = now.pop()
        if name not in reached:
            reached.add(name)
            now += vertices[name].targets
    return reached
