"""`slotwise check`: lint workload files, draw their graphs, say what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.app.options import Changes
from harness.cli.options import Json, Policies, Servers, profile_option, server_urls
from harness.errors import UserError, WorkloadError

__all__ = ["check"]


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Workload files.", show_default=False)] = None,
    json_: Json = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of workload files.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the graphs as Mermaid flowcharts.")] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print the graphs in DOT, for Graphviz.")] = False,
    policies: Policies = None,
    profile: Annotated[
        list[str] | None,
        profile_option(
            "Profile of the machine: memory and load of each runner. Several as MACHINE=NAME or MODEL=NAME.",
            metavar="[WHAT=]NAME",
            show_default=False,
        ),
    ] = None,
    server: Servers = None,
) -> None:
    """Check workload files and show each graph, its width, its span and its total work. Runs nothing."""
    if schema:
        from harness.app.check import workload_schema

        typer.echo(_json(workload_schema()))
        return
    if not files:
        raise UserError("name a workload file: slotwise check FILE; `slotwise init` writes one to start from")

    from harness.app.check import check as checked
    from harness.app.check import diagram
    from harness.report.workload import workload_lines, workload_plain

    changes = Changes(servers=server_urls(server), policies=policies)
    errors: list[str] = []
    answers: list[dict[str, Any]] = []
    shown = 0
    for path in files:
        try:
            found = checked(path, changes, tuple(profile or ()))
        except WorkloadError as error:
            errors.append(str(error))
            answers.append({"file": str(path), "errors": str(error).split("\n")})
            continue
        if json_:
            answers.append({"file": str(path), **workload_plain(*found)})
        elif mermaid or dot:
            typer.echo(diagram(found.loaded, "mermaid" if mermaid else "dot"))
        else:
            _print([*([""] if shown else []), *workload_lines(*found)])
            shown += 1
    if json_:
        typer.echo(_json(answers))
    if errors:
        raise UserError("\n".join(errors))


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2)


def _print(text: list[str]) -> None:
    """Print the lines: headings (not indented) bold on a terminal, ASCII where nothing else can be shown."""
    import sys

    try:
        "─".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = [line.translate(_ASCII).encode("ascii", "replace").decode() for line in text]
    if not sys.stdout.isatty():
        typer.echo("\n".join(text))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in text:
        console.print(Text(line, style="" if line.startswith(" ") else "bold"), soft_wrap=True)


_ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|+++++++++")
