"""What `slotwise import` says of the workload that it has written: what was recovered, and what is left open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.imports.draft import Draft, DraftStep, walk
from harness.report.text import plain
from harness.units import count

__all__ = ["imported_plain", "print_imported"]


def imported_plain(
    draft: Draft, workload: Path, files: Sequence[Path], noticed: Sequence[str], questions: Sequence[str]
) -> dict[str, Any]:
    """Return the answer for `--json`."""
    return {
        "workload": str(workload),
        "files": [str(path) for path in files],
        "description": draft.description,
        "pipelines": {
            name: {"keys": dict(pipeline.keys), "nodes": [_node(step) for step in walk(pipeline.flow)]}
            for name, pipeline in draft.pipelines.items()
        },
        "agents": {name: {**spec, "notes": [n.text for n in notes]} for name, (spec, notes) in draft.agents.items()},
        "noticed": list(noticed),
        "questions": list(questions),
        **draft.account._replace(asked=tuple(questions)).plain(),
    }


def print_imported(
    draft: Draft,
    workload: Path,
    files: Sequence[Path],
    noticed: Sequence[str],
    questions: Sequence[str],
    console: Console,
) -> None:
    """Print what was recovered: a table for each pipeline; what was noticed, what to answer, and what to do next."""
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
    for title, lines in (("Noticed", noticed), ("Open questions, marked in the file", questions)):
        if lines:
            console.print()
            console.print(Text(title, style="bold"))
            for i, line in enumerate(lines, start=1):
                console.print(Text(f"{i:3}. {plain(line)}"))
    console.print()
    for path in files:
        console.print(Text(f"wrote {path}"), soft_wrap=True)
    todo = f"{count(len(questions), 'question')} to answer first" if questions else "nothing is left open"
    console.print(Text(f"Next: slotwise check {workload}   ({todo})"), soft_wrap=True)
    console.print(Text("Then, on your running server:"))
    run = f"  slotwise run {workload} --server http://127.0.0.1:11434 --until resolved"
    console.print(Text(run), soft_wrap=True)
    if draft.description.startswith("Imported from the LangGraph"):
        console.print(Text("To measure prompts and answers while your program runs, not to guess them:"))
        console.print(Text("  slotwise import record -- python FILE"))


def _node(step: DraftStep) -> dict[str, object]:
    what = {"agent": step.target} if step.kind == "agent" else {"pipeline": step.target} if step.kind == "graph" else {}
    delay = {"tool": {"delay_s": step.delay_s}} if step.kind == "tool" else {}
    embed = {"embed": dict(step.embed)} if step.kind == "embed" else {}
    return {"name": step.name, **what, **delay, **embed, "after": list(step.after), **step.keys}


def _found(step: DraftStep, draft: Draft) -> str:
    parts = []
    if step.kind == "graph":
        parts.append("sub-pipeline")
    elif step.kind == "tool":
        parts.append("tool")
    elif step.kind == "embed":
        spec = draft.inputs[step.embed["texts"]]["synthetic"]
        parts.append(f"embeds {count(spec['count'], 'text')} with {step.embed['model']}")
    if "branch" in step.keys:
        parts.append("branch " + ", ".join(f"{label} {share:.0%}" for label, share in step.keys["branch"].items()))
    if "repeat" in step.keys:
        parts.append(_loop(step))
    if "over" in step.keys:
        spec = draft.inputs.get(step.keys["over"])
        width = f"of {spec['synthetic']['count']}" if spec else f"of up to {step.keys['items']['max']}"
        parts.append(f"fan-out {width}")
    if "retry" in step.keys:
        parts.append(f"retries up to {step.keys['retry']['times']}")
    parts += [
        item.text for item in step.notes if item.text.startswith(("tool time", "each call sends", "tokens of a text"))
    ]
    if step.kind == "agent":
        parts += [
            item.text for item in draft.agents[step.target][1] if " tokens: " in item.text or "model:" in item.text
        ]
    return "; ".join(parts)


def _loop(step: DraftStep) -> str:
    repeat = step.keys["repeat"]
    if "max" not in repeat:
        return next((f"loop, {item.text}" for item in step.notes if item.text.startswith("passes: ")), "loop")
    until = repeat.get("until")
    share = until["p"] if isinstance(until, dict) else until
    return f"loop, at most {repeat['max']}" + ("" if share is None else f", {share:.0%} end it")
