"""`slotwise import`: a workload from what people already have, a LangGraph or traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.help import Command, Commands

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Make a workload of a LangGraph or of OpenTelemetry traces.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="File to write; left out: NAME.yaml here.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    from harness.cli.importing import import_langgraph

    import_langgraph(graph, out, force, as_json)


@app.command(cls=Command)
def traces(
    file: Annotated[
        Path, typer.Argument(help="OTLP JSON with GenAI spans: one object, or JSON lines.", show_default=False)
    ],
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Recover a workload from OpenTelemetry GenAI spans: graph, sizes, tool times, branches, loops, arrivals."""
    from harness.cli.importing import import_traces

    import_traces(file, out, force, as_json)
