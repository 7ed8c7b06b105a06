"""`slotwise probe`: how many slots a server really has, and what more calls at once gain on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.options import ProbeOptions
from harness.cli.options import Full, Quiet, json_option, model_option, whole_numbers
from harness.errors import UserError

__all__ = ["probe"]


def probe(
    servers: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVER",
            help="One or two: the URL of a running server, or KIND:SLOTS to start one "
            "(llamacpp:4, ollama:4); NAME=... in front gives it a name.",
            show_default=False,
        ),
    ],
    model: Annotated[str | None, model_option("Model name, or the path of a GGUF file.")] = None,
    tokens: Annotated[int, typer.Option(min=2, max=4096, help="Output tokens per call.")] = 100,
    levels: Annotated[str, typer.Option(help="Concurrency levels: calls at once, comma-separated.")] = "1,2,4,8",
    rounds: Annotated[
        int, typer.Option(min=1, max=50, help="Rounds per concurrency level; the median is reported.")
    ] = 1,
    chart: Annotated[Path | None, typer.Option(help="Write the chart to this SVG file.")] = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the answer as JSON instead.")] = False,
) -> None:
    """Find how many slots a server really has, and its throughput at several concurrency levels."""
    at_once = whole_numbers("--levels", levels, "from 1 to 128, such as 1,2,4,8")
    options = ProbeOptions(model=model, tokens=tokens, levels=at_once, rounds=rounds)
    from harness.app.probe import probe as measure
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        found = measure(servers, options, progress)
    if as_json:
        import json

        from harness.report.summary import to_plain

        print(json.dumps([to_plain(one) for one in found], indent=2))
    else:
        from rich.console import Console

        from harness.app.machine import machine_here
        from harness.report.levels import print_levels

        print_levels(found, machine_here(), rounds, Console(highlight=False), full=full)
    if chart is not None:
        from harness.report.drawing import levels_svg

        drawings = levels_svg(found)
        if "levels" not in drawings.made:
            print(f"slotwise: {chart} is not written: {drawings.lacking}", file=sys.stderr)
            return
        try:
            chart.write_text(drawings.made["levels"].wide, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{chart}: the chart cannot be written: {error.strerror}") from error
