"""`slotwise export`: a run as spans, trace events or a table of calls, or a graph as Mermaid or DOT."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.app.options import ExportOptions
from harness.cli.options import Force, Policies, only_option, output_option

__all__ = ["export"]


def export(
    path: Annotated[
        Path, typer.Argument(help="A run folder; for a graph, a workload file works too.", show_default=False)
    ],
    format_: Annotated[
        Literal["otlp", "perfetto", "csv", "jsonl", "mermaid", "dot"],
        typer.Option(
            "--as",
            help="otlp: every call as an OpenTelemetry GenAI span (JSON lines); perfetto: trace events, slots as "
            "tracks, for ui.perfetto.dev; csv, jsonl: a line for each call (columns: docs/how-to/history.md); mermaid, "
            "dot: the graph.",
        ),
    ] = "otlp",
    out: Annotated[Path | None, output_option("File to write; default: print it.", show_default=False)] = None,
    force: Force = False,
    only: Annotated[list[str] | None, only_option("Only the trials of this candidate; repeatable.")] = None,
    policies: Policies = None,
) -> None:
    """Write a run as OpenTelemetry spans, Perfetto trace events, CSV or JSON lines, or its graph as Mermaid or DOT."""
    from harness.app.export import export as rendered
    from harness.app.export import write_lines

    lines = rendered(path, format_, ExportOptions(only=tuple(only or ()), policies=policies))
    if out is None:
        for line in lines:
            print(line)
        return
    write_lines(lines, out, force=force)
    print(f"wrote {out}", file=sys.stderr)
