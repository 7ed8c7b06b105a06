"""LangGraphs as a draft: what was read of each (`reading`), as pipelines of one workload.

LangGraph itself is never imported here: anyone with such a graph has it.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.imports.account import ImportAccount, ImportCounts, ImportLoss, loss_line
from harness.imports.clients import ClientRead
from harness.imports.draft import Draft, DraftNote, Flow, Names, PipelineDraft, ask, note, walk
from harness.imports.node_work import OUTPUT_TOKENS, PROMPT_TOKENS, WorkDrafter
from harness.imports.reading.graph import read_graph
from harness.imports.reading.run import read_targets
from harness.imports.reading.targets import TargetError, load_target
from harness.imports.reading.work import CALLS, TOOLS, parts_of
from harness.imports.topology import count_graph, flow_of

__all__ = ["draft_of", "draft_of_read", "load_graph", "read_graphs"]

CONTEXT_TOKENS = 2048  # of a slot, at least

# For another environment: of Slotwise it sees the reading part alone, which needs nothing but Python.
_ALONE = """
import sys, types
for name, path in (("harness", []), ("harness.imports", [sys.argv[1]])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = path
sys.path.insert(0, "")
from harness.imports.reading.run import main
main(sys.argv[2:])
"""


def load_graph(target: str) -> Any:
    """Import what a target names and return its graph, compiled or not; UserError where that fails."""
    try:
        return load_target(target)
    except TargetError as error:
        raise UserError(str(error)) from None


def read_graphs(targets: Sequence[str], python: Path | None = None) -> dict[str, dict[str, Any]]:
    """Import what the targets name and return their graphs as plain data, by the names of targets.

    Args:
        targets: MODULE:GRAPH, FILE.py:GRAPH, FILE.ipynb:GRAPH, or a langgraph.json.
        python: the interpreter of another environment that reads them; left out: this one.

    Raises:
        UserError: something cannot be imported.
    """
    if python is not None:
        found = _read_elsewhere(targets, python)
    else:
        try:
            found = read_targets(list(targets))
        except TargetError as error:
            raise UserError(str(error)) from None
    return {
        (target if target in targets else f"{target} ({name})"): {**read, "called": name}
        for name, target, read in found
    }


def _read_elsewhere(targets: Sequence[str], python: Path) -> list[tuple[str, str, dict[str, Any]]]:
    if python.is_dir():
        python = python / "bin" / "python"
    if not python.is_file():
        raise UserError(f"--python {python}: expected an interpreter or a virtual environment, found none")
    try:
        done = subprocess.run(  # noqa: S603 - the person's own interpreter, which reads what they named
            [str(python), "-c", _ALONE, str(Path(__file__).parent), *targets], stdout=subprocess.PIPE, check=False
        )
        answer = json.loads(done.stdout.splitlines()[-1] if done.stdout.strip() else b"")
    except (OSError, ValueError):
        raise UserError(f"--python {python}: it did not read the graph; what it said stands above") from None
    if "error" in answer:
        raise UserError(f"--python {python}: {answer['error']}")
    return [(name, target, read) for name, target, read in answer["graphs"]]


def draft_of(graph: Any, target: str, items: Mapping[str, int] | None = None) -> Draft:
    """Return the draft of a graph; UserError where it cannot be read."""
    return draft_of_read({target: _read(graph, target)}, items or {})


def _read(graph: Any, target: str) -> dict[str, Any]:
    try:
        return read_graph(graph)
    except Exception as error:  # noqa: BLE001 - objects of any version of a library
        raise UserError(f"{target}: its graph cannot be read: {type(error).__name__}: {error}") from None


def draft_of_read(
    reads: Mapping[str, Mapping[str, Any]], items: Mapping[str, int], interactive: Sequence[str] = ()
) -> Draft:
    """Return the draft of graphs that were read.

    Args:
        reads: by target, such as `app.py:graph`.
        items: of nodes, how many items they have.
        interactive: graphs for whose jobs a person waits, by name.

    Raises:
        UserError: a graph has no node that can be reached, or an answer names nothing.
    """
    stubs_call = not any(_sees_calls(read) for read in reads.values())
    drafter = WorkDrafter(items, stubs_call=stubs_call)
    drafter.flow_of = lambda read, name: flow_of(read, name, drafter)
    names = Names()
    pipelines: dict[str, PipelineDraft] = {}
    left_out: list[str] = []
    for target, read in reads.items():
        called = read.get("called") or target.rpartition(":")[2]
        name = names(read["name"] if read["name"] not in ("", "LangGraph") else called)
        flow = flow_of(read, target, drafter)
        if not any(step.kind in ("agent", "embed") for step in walk(flow)):
            tools = count_graph(read, TOOLS, drafter)
            drafter.losses.append(ImportLoss(f"the graph {name} calls no model, so it is left out", tools=tools))
            left_out.append(name)
            continue
        pipelines[name] = _pipeline(name, target, flow, interactive)
    _check_interactive(interactive, [*pipelines, *left_out], list(reads))
    used = {step.target for pipeline in pipelines.values() for step in walk(pipeline.flow) if step.kind == "agent"}
    agents = {name: spec for name, spec in drafter.agents.items() if name in used}
    if not pipelines:
        those = ", ".join(reads)
        raise UserError(f"{those}: expected a graph with a node that may call a model, found none")
    calls, tools = (sum(count_graph(read, kinds, drafter) for read in reads.values()) for kinds in (CALLS, TOOLS))
    drafter.check_items()
    lost = tuple(drafter.losses)
    for first in list(agents)[:1]:
        agents[first] = (agents[first][0], (*_asked(drafter), *agents[first][1]))
    agents = _asked_once(agents)
    targets = ", ".join(reads)
    return Draft(
        name=next(iter(pipelines)),
        description=f"Imported from the LangGraph {targets}.",
        head=(*_head(targets, drafter), *(note(f"{loss_line(one)}.") for one in lost)),
        pipelines=pipelines,
        agents=agents,
        inputs=_inputs(drafter, pipelines),
        servers={name: _server(slots, agents, drafter.used) for name, slots in (("one-slot", 1), ("four-slot", 4))},
        account=ImportAccount(
            ImportCounts(calls=calls + drafter.run_again, tools=tools), _made(pipelines, drafter), lost
        ),
    )


def _check_interactive(interactive: Sequence[str], names: Sequence[str], targets: Sequence[str]) -> None:
    known = {*names, *(target.rpartition(":")[2] for target in targets)}
    for name in interactive:
        if name not in known:
            raise UserError(f"--interactive {name}: there is no such graph; those of this import: {', '.join(names)}")


def _pipeline(name: str, target: str, flow: Flow, interactive: Sequence[str]) -> PipelineDraft:
    if {name, target.rpartition(":")[2]} & set(interactive):
        keys: dict[str, Any] = {"path": "interactive", "jobs": 10, "arrival": {"closed": 1, "think_s": 5}}
        asked = ask(
            "how many people use it, how many jobs do they start, and how long do they think between two?",
            "one person, 10 jobs, 5 s",
        )
        return PipelineDraft(keys, flow, key_notes={"jobs": (asked,)})
    waits = note("nobody waits for an answer; --interactive if a person does")
    asked = ask("How often is your program started at the same time? 1 = one run at a time", "1")
    keys = {"path": "batch", "jobs": 1, "arrival": {"every_s": 0}}
    return PipelineDraft(keys, flow, key_notes={"path": (waits,), "jobs": (asked,)})


def _head(targets: str, drafter: WorkDrafter) -> tuple[DraftNote, ...]:
    client = "What the ChatOllama of a node says stands at its agent, model and context too."
    return (
        note(f"Imported from the LangGraph {targets}. What a graph does not say is marked QUESTION."),
        note(
            "LangGraph runs in supersteps: what comes next waits for everything of the step before. "
            "Here a node starts as soon as what it waits for is done."
        ),
        *([note(client)] if drafter.used else []),
    )


def _asked_once(agents: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the same question of the first agent alone."""
    seen: set[DraftNote] = set()
    once: dict[str, Any] = {}
    for name, (spec, notes) in agents.items():
        once[name] = (spec, tuple(one for one in notes if one not in seen))
        seen |= set(notes)
    return once


def _asked(drafter: WorkDrafter) -> list[DraftNote]:
    told = any("output_tokens" in one.keys for one in drafter.used)
    long = f"{PROMPT_TOKENS} tokens, and {OUTPUT_TOKENS} tokens{' or what num_predict allows' if told else ''}"
    asked = [
        ask(
            "which prompts, and how long are they and their answers? A graph holds none. Write your own; {NODE} stands "
            "for the answer of a node.",
            long,
        )
    ]
    if drafter.nameless:
        those = ", ".join(dict.fromkeys(drafter.nameless))
        asked.append(ask(f"which models do {those} call? The program does not say.", "the server's own"))
    if drafter.stubs:
        those = ", ".join(dict.fromkeys(drafter.stubs))
        guess = "one each" if drafter.stubs_call else "none"
        asked.append(ask(f"how many calls do {those} make? Their code only gives constants, or nothing.", guess))
    return asked


def _inputs(drafter: WorkDrafter, pipelines: Mapping[str, PipelineDraft]) -> dict[str, dict[str, Any]]:
    steps = [step for pipeline in pipelines.values() for step in walk(pipeline.flow)]
    used = {step.keys.get("over") for step in steps} | {step.embed.get("texts") for step in steps} | {"prompt-text"}
    return {name: spec for name, spec in drafter.inputs.items() if name in used}


def _sees_calls(read: Mapping[str, Any]) -> bool:
    works = [node["work"] for node in read["nodes"].values()]
    works += [route["work"] for route in read["routes"] if "work" in route]
    for work in works:
        for part in parts_of(work):
            if part["do"] in ("call", "embed") or (part["do"] == "graph" and _sees_calls(part["graph"])):
                return True
    return False


def _made(pipelines: Mapping[str, PipelineDraft], drafter: WorkDrafter) -> ImportCounts:
    flows = [pipeline.flow for pipeline in pipelines.values()]
    calls, tools = (sum(_count(flow, kinds, drafter) for flow in flows) for kinds in (("agent", "embed"), ("tool",)))
    return ImportCounts(calls=calls, tools=tools)


def _count(flow: Flow, kinds: Collection[str], drafter: WorkDrafter) -> float:
    """Count the nodes of these kinds, each as often as it has items; a node that stands twice counts once.

    A tool that takes no time stands for a choice, or for a node that calls nothing.
    """
    total = 0.0
    for step in flow:
        if step.again:
            continue
        inside = _count(step.body, kinds, drafter) if step.kind == "graph" else float(step.kind in kinds)
        if step.kind == "tool" and not step.delay_s:
            inside = 0.0
        if "over" in step.keys:
            inside *= drafter.inputs[step.keys["over"]]["synthetic"]["count"]
        repeat = step.keys.get("repeat", {})
        total += inside * (repeat["max"] if "max" in repeat and "until" not in repeat else 1)
    return total


def _server(slots: int, agents: Mapping[str, Any], used: Sequence[ClientRead]) -> dict[str, Any]:
    """Return a server for all agents: the embedded engine, or an Ollama where clients name models of one."""
    if not used:
        return {"kind": "llamacpp", "slots": slots, "context_tokens": CONTEXT_TOKENS}
    keys = ("output_tokens", "thinking_tokens")
    most = PROMPT_TOKENS + max(sum(spec.get(key, 0) for key in keys) for spec, _ in agents.values())
    context = max(CONTEXT_TOKENS, 1 << int(1.25 * most).bit_length())
    models = Counter(read.keys["model"] for read in used)
    return {"kind": "ollama", "model": models.most_common(1)[0][0], "slots": slots, "context_tokens": context}
