"""`slotwise import`: a workload from what people already have, a LangGraph or traces."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.app.options import GraphImportOptions, ImportOptions
from harness.cli.help import Command, Commands
from harness.cli.options import Force, Json, numbers, output_option
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.app.import_ import Imported

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Make a workload of a LangGraph, or of traces.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

MOST_ITEMS = 1000  # of a node, on the command line

Out = Annotated[Path | None, output_option("File to write; default: NAME.yaml in this folder.", show_default=False)]


@app.command(cls=Command)
def langgraph(
    graphs: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE:GRAPH...",
            help="LangGraphs: my_app.agent:graph, agent.py:graph, notes.ipynb:graph, langgraph.json.",
        ),
    ],
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="NODE=N", help="How many items a node has, such as section=8; repeatable."),
    ] = None,
    interactive: Annotated[
        list[str] | None,
        typer.Option("--interactive", metavar="GRAPH", help="A graph for whose jobs a person waits; repeatable."),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option("--python", metavar="PATH", help="Read the graphs in another environment: its python."),
    ] = None,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn LangGraphs into a workload. Importing their modules executes the modules' code."""
    from harness.app.import_ import import_langgraph
    from harness.report.progress import LineProgress

    options = GraphImportOptions(
        out=out,
        force=force,
        items=_items(items or ()),
        interactive=tuple(interactive or ()),
        python=python,
    )
    _show(import_langgraph(graphs, options, LineProgress(sys.stderr)), as_json)


@app.command(cls=Command)
def traces(
    file: Annotated[
        Path,
        typer.Argument(help="Spans or rows of calls, as JSON or CSV, packed with gzip or not.", show_default=False),
    ],
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
    times: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        typer.Option("--times", help="Unit of the times of rows, where their form does not say it."),
    ] = None,
) -> None:
    """Recover a workload from traces: graph, sizes, tool times, branches, loops, arrivals."""
    from harness.app.import_ import import_traces

    _show(import_traces(file, ImportOptions(out=out, force=force, times=times or "")), as_json)


def _items(pairs: Sequence[str]) -> tuple[tuple[str, int], ...]:
    found = numbers("--items", pairs, "section=8", "NODE")
    for node, value in found.items():
        if value != int(value) or not 1 <= value <= MOST_ITEMS:
            raise UserError(f"--items {node}: expected a whole number from 1 to {MOST_ITEMS}, found {value:g}")
    return tuple((node, int(value)) for node, value in found.items())


def _show(imported: Imported, as_json: bool) -> None:
    """Print what was recovered, and what is left open."""
    from harness.report.imported import imported_plain, print_imported

    workload, files, draft, noticed, questions = imported
    if as_json:
        import json

        print(json.dumps(imported_plain(draft, workload, files, noticed, questions), indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 80)
    print_imported(draft, workload, files, noticed, questions, console)
