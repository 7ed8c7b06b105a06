"""What `slotwise import` does, apart from its options."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.imports.draft import Draft, Names, Step, walk
from harness.imports.write import check_target, questions, write
from harness.report.text import plain
from harness.units import count

__all__ = ["import_langgraph", "import_traces"]


def import_langgraph(graph: str, out: Path | None, force: bool, as_json: bool) -> None:
    """Import a compiled LangGraph, after saying that this executes code."""
    from harness.imports.langgraph import draft_of, load_graph

    target = out or Path(f"{Names()(graph.rpartition(':')[2], 'graph')}.yaml")
    check_target(target, force=force)  # before anything is executed
    module = graph.rpartition(":")[0] or graph
    print(plain(f"Importing {module}: this executes its code."), file=sys.stderr, flush=True)
    draft = draft_of(load_graph(graph), graph)
    _finish(draft, target, force, as_json, [])


def import_traces(file: Path, out: Path | None, force: bool, as_json: bool) -> None:
    """Import a file of spans."""
    from harness.imports.read import read_traces
    from harness.imports.traces import draft_traces

    target = out or Path(f"{Names()(file.stem, 'traces')}.yaml")
    check_target(target, force=force)
    read = read_traces(file)
    draft = draft_traces(read, str(file), Names()(target.stem, "traces"))
    _finish(draft, target, force, as_json, read.warnings())


def _finish(draft: Draft, target: Path, force: bool, as_json: bool, warnings: list[str]) -> None:
    written = write(draft, target, force=force)
    asked = questions(draft)
    if as_json:
        answer = {
            "workload": str(target),
            "files": [str(path) for path in written],
            "description": draft.description,
            "pipelines": {
                name: {"keys": dict(pipeline.keys), "nodes": [_node(step) for step in walk(pipeline.flow)]}
                for name, pipeline in draft.pipelines.items()
            },
            "agents": {
                name: {**spec, "notes": [n.text for n in notes]} for name, (spec, notes) in draft.agents.items()
            },
            "noticed": warnings,
            "questions": asked,
        }
        print(json.dumps(answer, indent=2))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    console.print(Text(draft.description, style="bold"))
    for name, pipeline in draft.pipelines.items():
        steps = list(walk(pipeline.flow))
        table = Table(title=Text(plain(name)), title_justify="left", box=None, pad_edge=False, expand=False)
        for column in ("node", "after", "recovered"):
            table.add_column(column, overflow="fold")
        for step in steps:
            table.add_row(Text(plain(step.name)), Text(", ".join(step.after)), Text(_found(step, draft)))
        console.print()
        console.print(table)
    for title, lines in (("Noticed", warnings), ("Open questions, marked in the file", asked)):
        if lines:
            console.print()
            console.print(Text(title, style="bold"))
            for i, line in enumerate(lines, start=1):
                console.print(Text(f"{i:3}. {plain(line)}"))
    console.print()
    for path in written:
        console.print(Text(f"wrote {path}"), soft_wrap=True)
    todo = f"{count(len(asked), 'question')} to answer first" if asked else "nothing is left open"
    console.print(Text(f"Next: slotwise check {target}   ({todo})"), soft_wrap=True)


def _node(step: Step) -> dict[str, object]:
    what = {"agent": step.target} if step.kind == "agent" else {"pipeline": step.target} if step.kind == "graph" else {}
    delay = {"tool": {"delay_s": step.delay_s}} if step.kind == "tool" else {}
    return {"name": step.name, **what, **delay, "after": list(step.after), **step.keys}


def _found(step: Step, draft: Draft) -> str:
    parts = []
    if step.kind == "graph":
        parts.append("sub-pipeline")
    elif step.kind == "tool":
        parts.append("tool")
    if "branch" in step.keys:
        parts.append("branch " + ", ".join(f"{label} {share:.0%}" for label, share in step.keys["branch"].items()))
    if "repeat" in step.keys:
        repeat = step.keys["repeat"]
        until = repeat.get("until")
        share = until["p"] if isinstance(until, dict) else until
        parts.append(f"loop, at most {repeat['max']}" + ("" if share is None else f", {share:.0%} end it"))
    if "over" in step.keys:
        spec = draft.inputs.get(step.keys["over"])
        width = f"of {spec['synthetic']['count']}" if spec else f"of up to {step.keys['items']['max']}"
        parts.append(f"fan-out {width}")
    if "retry" in step.keys:
        parts.append(f"retries up to {step.keys['retry']['times']}")
    parts += [item.text for item in step.notes if item.text.startswith("tool time")]
    if step.kind == "agent":
        parts += [
            item.text for item in draft.agents[step.target][1] if " tokens: " in item.text or "model:" in item.text
        ]
    return "; ".join(parts)
