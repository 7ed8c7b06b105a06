"""`slotwise export`: a run as spans, trace events or a table of calls, or a graph as Mermaid or DOT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["export"]


def export(
    path: Annotated[Path, typer.Argument(help="A run's folder; for a graph also a workload file.", show_default=False)],
    format_: Annotated[
        Literal["otlp", "perfetto", "csv", "jsonl", "mermaid", "dot"],
        typer.Option(
            "--as",
            help="otlp: every call as an OpenTelemetry GenAI span (JSON lines); perfetto: trace events, slots as "
            "tracks, for ui.perfetto.dev; csv, jsonl: every call, a line each (columns: docs/history.md); mermaid, "
            "dot: the graph.",
        ),
    ] = "otlp",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; left out: print it.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this candidate's trials (may be repeated).")] = None,
) -> None:
    """Write a run as OpenTelemetry spans, Perfetto trace events, CSV or JSON lines, or its graph as Mermaid or DOT."""
    from harness.cli.exporting import export_graph, export_records

    if format_ == "mermaid" or format_ == "dot":
        export_graph(path, format_, out, force)
    else:
        export_records(path, format_, out, force, tuple(only or ()))
