"""`slotwise init`: copy a shipped workload, its data and its agents, to start from."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Target folder; created if missing.")] = Path(),
    from_: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Starting point; default: choose from a list.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the starting points and stop.")] = False,
) -> None:
    """Copy a workload with its data and agents, to change and to run. Never overwrites anything."""
    from harness.app.init import DEFAULT
    from harness.app.init import init as begin

    if list_:
        _show()
        return
    if from_ is None:
        from_ = _choose(DEFAULT) if sys.stdin.isatty() and sys.stdout.isatty() else DEFAULT
    begun = begin(folder, from_)
    for path in begun.written:
        typer.echo(f"wrote {path}")
    if not begun.written:
        typer.echo(f"{begun.workload} and what it needs exist already; nothing was written")
    typer.echo("")
    typer.echo("Next:")
    typer.echo(f"  slotwise check {begun.workload}    what it asks for, before anything runs")
    typer.echo(f"  slotwise run {begun.workload}    measure it and get a verdict")
    typer.echo(f"Change the workload, and the prompts in {folder / 'agents'}.")


def _show() -> list[str]:
    """List the starting points: a number, a name, and the question that each answers; return their names."""
    from harness.app.init import question, starting_points

    workloads = starting_points()
    columns = max(map(len, workloads)) + 6
    for number, (name, path) in enumerate(workloads.items(), start=1):
        lines = textwrap.wrap(question(path), 79 - columns) or [""]
        typer.echo(f"{number:>3}  {name:<{columns - 5}}{lines[0]}")
        for line in lines[1:]:
            typer.echo(f"{'':<{columns}}{line}")
    return list(workloads)


def _choose(default: str) -> str:
    """Let a person choose, by number or by name."""
    names = _show()
    typer.echo("")
    answer: str = typer.prompt("Which one, by number or name?", default=str(names.index(default) + 1)).strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    return answer
