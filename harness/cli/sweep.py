"""`slotwise sweep`: how many slots survive on this machine as models and contexts grow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from harness.app.options import SweepOptions
from harness.cli.conclude import INTERRUPTED
from harness.cli.options import Full, Quiet, engine_option, json_option, model_option, server_option

__all__ = ["sweep", "sweep_and_show"]


def sweep(
    model: Annotated[
        list[str] | None,
        model_option("Model name, or the path of a GGUF file; repeatable.  [default: smollm2-135m]"),
    ] = None,
    engine: Annotated[str, engine_option("llamacpp or ollama, started once for each slot count.")] = "llamacpp",
    context: Annotated[
        int | None, typer.Option(min=256, max=10_000_000, help="Context of one slot, in tokens.  [default: 2048]")
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=64, help="Most slots to try.")] = 64,
    server: Annotated[
        str | None,
        server_option("Measure a running server: vary the calls at once, not its slots.", metavar="URL"),
    ] = None,
    tokens: Annotated[int, typer.Option(min=2, max=4096, help="Output tokens per call.")] = 48,
    rounds: Annotated[int, typer.Option(min=2, max=50, help="Rounds per slot count.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads.  [default: every core]")] = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the answer as JSON instead.")] = False,
) -> None:
    """Try 1, 2, 4, 8, ... slots until throughput is flat, memory is full, or the server does not start."""
    options = SweepOptions(
        engine=engine,
        context_tokens=context,
        most=most,
        server=server,
        tokens=tokens,
        rounds=rounds,
        threads=threads,
    )
    raise typer.Exit(sweep_and_show(tuple(model or ()), options, as_json=as_json, full=full, quiet=quiet))


def sweep_and_show(
    models: Sequence[str], options: SweepOptions, *, as_json: bool, full: bool = False, quiet: bool = False
) -> int:
    """Sweep, print what was found, and return the exit code; what ended it early is raised."""
    from harness.app.sweep import sweep as measure
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        swept = measure(models, options, progress)
    if swept.sweeps and as_json:
        import json

        from harness.report.sweep import sweeps_plain

        answer = {"machine": swept.machine, "sweeps": sweeps_plain(swept.sweeps)}
        print(json.dumps(answer, indent=2, allow_nan=False))
    elif swept.sweeps:
        from rich.console import Console

        from harness.app.machine import machine_here
        from harness.report.sweep import print_sweeps
        from harness.units import is_here

        here = options.server is None or is_here(options.server)
        print_sweeps(swept.sweeps, machine_here() if here else "", Console(highlight=False), full=full)
    if swept.failure is not None:
        raise swept.failure
    return INTERRUPTED if swept.interrupted else 0
