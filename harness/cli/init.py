"""`slotwise init`: copy a shipped workload, its data and its agents, to start from."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError, did_you_mean

__all__ = ["init"]

DEFAULT = "research-digest"
SCHEMA_LINE = "# yaml-language-server: $schema=../harness/workload/schema.json"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.")] = Path(),
    from_: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Which one; left out: choose from a list.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the starting points and stop.")] = False,
) -> None:
    """Copy a workload with its data and agents, to change and to run. Never overwrites anything."""
    from harness.content import shipped

    workloads = {path.stem: path for path in sorted((shipped() / "workloads").glob("*.yaml"))}
    if list_:
        _show(workloads)
        return
    if from_ is None:
        asks = sys.stdin.isatty() and sys.stdout.isatty()
        from_ = _choose(workloads) if asks else DEFAULT
    if from_ not in workloads:
        hint = did_you_mean(from_, workloads) or ";"
        raise UserError(f'no shipped workload "{from_}"{hint} there is: {", ".join(workloads)}')

    wanted = _wanted(workloads[from_])
    fresh: dict[Path, bytes] = {}
    for relative, data in wanted.items():
        target = folder / relative
        if not os.path.lexists(target):
            fresh[target] = data
        elif not target.is_file() or target.read_bytes() != data:
            raise UserError(f"{target} exists already and differs; name another folder: slotwise init DIR")
    for target, data in fresh.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise UserError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}") from None
        typer.echo(f"wrote {target}")

    start = folder / "workloads" / f"{from_}.yaml"
    if not fresh:
        typer.echo(f"{start} and what it needs are there already; nothing was written")
    typer.echo("")
    typer.echo("Next:")
    typer.echo(f"  slotwise check {start}    what it asks for, before anything runs")
    typer.echo(f"  slotwise run {start}    measure it and get a verdict")
    typer.echo(f"Change the workload, and the prompts in {folder / 'agents'}.")


def _show(workloads: dict[str, Path]) -> None:
    """List the starting points: a number, a name, and the question that each answers."""
    columns = max(map(len, workloads)) + 6
    for number, (name, path) in enumerate(workloads.items(), start=1):
        lines = textwrap.wrap(_question(path), 79 - columns) or [""]
        typer.echo(f"{number:>3}  {name:<{columns - 5}}{lines[0]}")
        for line in lines[1:]:
            typer.echo(f"{'':<{columns}}{line}")


def _question(workload: Path) -> str:
    """Return what a shipped workload asks, from the comment at its top, up to its first question mark."""
    match = re.search(r"# The question: ((?:.*\n#)*.*)\n(?!#)", workload.read_text(encoding="utf-8"))
    text = " ".join(match[1].replace("\n#", " ").split()) if match else ""
    return text[:1].upper() + text[1 : text.find("?") + 1]


def _choose(workloads: dict[str, Path]) -> str:
    """Let a person choose, by number or by name."""
    names = list(workloads)
    _show(workloads)
    typer.echo("")
    answer: str = typer.prompt("Which one, by number or name?", default=str(names.index(DEFAULT) + 1)).strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(names):
        return names[int(answer) - 1]
    return answer


def _wanted(workload: Path) -> dict[Path, bytes]:
    """Return what the workload consists of, by its place below the new folder."""
    from harness.content import find
    from harness.workload.load import load_workload
    from harness.workload.schema import FileInput, json_schema

    loaded = load_workload(workload)
    text = workload.read_text(encoding="utf-8").replace(SCHEMA_LINE, SCHEMA_LINE.replace("../harness/workload/", ""))
    result = {Path("workloads") / workload.name: text.encode()}
    spec = loaded.workload
    for nodes in [of.nodes for of in spec.pipelines.values()] + [of.nodes for of in spec.subpipelines.values()]:
        for node in nodes.values():
            if isinstance(node.agent, str) and node.agent not in loaded.workload.agents:
                card = find("agents", f"{node.agent}.md", workload.parent)
                if card is not None:
                    result[Path("agents") / card.name] = card.read_bytes()
    for source in spec.inputs.values():
        if isinstance(source, FileInput):
            for path in sorted(workload.parent.glob(source.files)):
                result[Path("workloads") / path.relative_to(workload.parent)] = path.read_bytes()
    import json

    result[Path("workloads") / "schema.json"] = (json.dumps(json_schema(), indent=2) + "\n").encode()
    return result
