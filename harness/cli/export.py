"""`slotwise export`: a run as OpenTelemetry spans, or the graph of a run or a workload as Mermaid or DOT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["export"]


def export(
    path: Annotated[Path, typer.Argument(help="A run's folder; for a graph also a workload file.", show_default=False)],
    format_: Annotated[
        Literal["otlp", "mermaid", "dot"],
        typer.Option("--as", help="`otlp`: every call as a GenAI span (JSON lines); `mermaid`, `dot`: the graph."),
    ] = "otlp",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; left out: print it.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this candidate's trials (may be repeated).")] = None,
) -> None:
    """Write a run as OpenTelemetry GenAI spans (OTLP JSON), or its graph as Mermaid or DOT."""
    from harness.cli.exporting import export_graph, export_spans

    if format_ == "otlp":
        export_spans(path, out, force, tuple(only or ()))
    else:
        export_graph(path, format_, out, force)
