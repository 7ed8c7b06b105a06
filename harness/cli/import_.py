"""`slotwise import`: a workload from what people already have, a LangGraph or traces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.app.options import ImportOptions
from harness.cli.help import Command, Commands
from harness.cli.options import Force, Json, output_option

if TYPE_CHECKING:
    from harness.app.import_ import Imported

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Make a workload of a LangGraph, or of traces.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Out = Annotated[Path | None, output_option("File to write; default: NAME.yaml in this folder.", show_default=False)]


@app.command(cls=Command)
def langgraph(
    graph: Annotated[
        str,
        typer.Argument(metavar="MODULE:GRAPH", help="A compiled LangGraph: my_app.agent:graph or agent.py:graph."),
    ],
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn a compiled LangGraph into a workload. Importing the module executes its code."""
    from harness.app.import_ import import_langgraph
    from harness.report.progress import LineProgress

    _show(import_langgraph(graph, ImportOptions(out=out, force=force), LineProgress(sys.stderr)), as_json)


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
