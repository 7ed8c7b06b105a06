"""`slotwise init`: copy a shipped workload, its data and its agents, to start from."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import device_option, model_option
from harness.errors import UserError, did_you_mean

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Target folder; created if missing.")] = Path(),
    from_: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Starting point; default: choose from a list.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the starting points and stop.")] = False,
    device: Annotated[
        str | None,
        device_option("Also estimate a profile of this machine; default: ask, on a terminal.", metavar="NAME"),
    ] = None,
    model: Annotated[str | None, model_option("With --device: a model of `slotwise profile models`.")] = None,
) -> None:
    """Copy a workload with its data and agents, to change and to run. Never overwrites anything."""
    from harness.app.init import DEFAULT
    from harness.app.init import init as begin

    if list_:
        _show()
        return
    asking = sys.stdin.isatty() and sys.stdout.isatty()
    if model is not None and device is None:
        raise UserError("--model goes with --device")
    if from_ is None:
        from_ = _choose(DEFAULT) if asking else DEFAULT
        if asking and device is None:
            device, model = _machine()
    profile = None if device is None else _estimated(device, model, folder)
    begun = begin(folder, from_)
    for path in begun.written:
        typer.echo(f"wrote {path}")
    if not begun.written:
        typer.echo(f"{begun.workload} and what it needs exist already; nothing was written")
    typer.echo("")
    typer.echo("Next:")
    typer.echo(f"  slotwise check {begun.workload}    what it asks for, before anything runs")
    if profile is not None:
        typer.echo(f"  slotwise simulate {begun.workload} --model {profile[1]} --profile {profile[0]}")
    typer.echo(f"  slotwise run {begun.workload}    measure it and get a verdict")
    typer.echo(f"Change the workload, and the prompts in {folder / 'agents'}.")


def _machine() -> tuple[str | None, str | None]:
    """Ask which machine the workload is for, and with which model, until both are known; nothing is a fine answer."""
    from harness.app.estimate import EstimateOptions, estimated

    text = "For a machine that you do not have here: its name, such as RTX 4090 (empty: none)"
    while device := typer.prompt(text, default="", show_default=False).strip():
        try:
            estimated(EstimateOptions(device=device))
            break
        except UserError as error:
            typer.echo(f"{error}. Or leave it empty.")
    if not device:
        return None, None
    while True:
        model = typer.prompt("Which model will it serve?", default="llama3.1:8b").strip()
        try:
            estimated(EstimateOptions(device=device, model=model))
            return device, model
        except UserError as error:
            typer.echo(f"{error}.")


def _estimated(device: str, model: str | None, folder: Path) -> tuple[str, str]:
    """Estimate a profile beside the workload, unless it is there; return its name and its model's."""
    from harness.app.estimate import EstimateOptions, device_name, estimated, new_profile

    name = device_name(device)
    out = folder / "profiles" / f"{name}.yaml"
    options = EstimateOptions(device=device, model=model or "llama3.1:8b", name=name, out=out)
    profile = estimated(options)  # mistakes first
    if not out.exists():
        typer.echo(f"wrote {new_profile(options).path} (estimated: nothing was measured)")
    return name, profile.model_id or options.model


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
    while True:
        answer = typer.prompt("Which one, by number or name?", default=str(names.index(default) + 1)).strip()
        if answer.isdecimal() and 1 <= int(answer) <= len(names):
            return names[int(answer) - 1]
        if answer in names:
            return str(answer)
        hint = did_you_mean(answer, names) or f": expected 1 to {len(names)}, or a name."
        typer.echo(f'No "{answer}" in the list{hint}')
