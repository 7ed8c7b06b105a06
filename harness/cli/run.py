"""`slotwise run`: measure a workload and say how to run it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.app.options import Changes, ResumeOptions, RunOptions
from harness.cli.conclude import conclude
from harness.cli.options import (
    Full,
    Policies,
    Repeats,
    Scale,
    Seed,
    check_fail_on,
    engine_option,
    fail_on_option,
    json_option,
    model_option,
    only_option,
    out_option,
    server_option,
    server_urls,
    typed,
)
from harness.errors import UserError

__all__ = ["run"]

FAIL_ON = ("goals", "failures")


def run(
    file: Annotated[Path | None, typer.Argument(help="The workload, a YAML file.", show_default=False)] = None,
    out: Annotated[Path, out_option("Where the run gets a folder of its own.", metavar="DIR")] = Path("reports"),
    repeats: Repeats = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Repeats before them that are not recorded.")] = None,
    scale: Scale = 1,
    only: Annotated[list[str] | None, only_option("Only this candidate; repeatable.", metavar="NAME")] = None,
    engine: Annotated[
        str | None, engine_option('"ollama": managed Ollama for the embedded engine.', metavar="ENGINE")
    ] = None,
    model: Annotated[str | None, model_option("Use this model instead of the workload's.", metavar="NAME")] = None,
    server: Annotated[
        list[str] | None, server_option("Put a running server in a server's place.", metavar="NAME=URL")
    ] = None,
    seed: Seed = None,
    policies: Policies = None,
    fail_on: Annotated[
        list[str] | None, fail_on_option('Exit with 1 on missed "goals", or "failures".', metavar="WHAT")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Go on with this run: measure what is missing or was cut.", show_default=False
        ),
    ] = None,
    full: Full = False,
    as_json: Annotated[bool, json_option("Print the summary as JSON instead.")] = False,
) -> None:
    """Measure every candidate of a workload on real servers, and recommend how to run it."""
    check_fail_on(fail_on or (), FAIL_ON)
    options = RunOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            only=tuple(only or ()),
            engine=engine,
            model=model,
            servers=server_urls(server),
            policies=policies,
        ),
        repeats=repeats,
        warmup=warmup,
        out=out,
        command=typed(),
    )
    if resume is not None:
        raise typer.Exit(_resume(resume, file, options, fail_on or (), as_json=as_json, full=full))
    if file is None:
        raise UserError(
            "name a workload file: slotwise run FILE; `slotwise init` writes one to start from, and "
            "slotwise run --resume DIR goes on with a run"
        )
    from harness.app.workload import load
    from harness.units import count

    # A mistake shows at once: langchain is not loaded yet.
    loaded = load(file, options.changes, repeats=repeats, warmup=warmup)
    often = loaded.workload.measure
    warm_up = f"after {count(often.warmup, 'warm-up')}" if often.warmup else "without warm-up"
    typer.echo(
        f"{loaded.workload.name}: {count(len(loaded.plans), 'candidate')} on {count(len(loaded.servers), 'server')}, "
        f"{count(often.repeats, 'repeat')} {warm_up}",
        err=True,
    )
    from harness.app.run import run as measure
    from harness.report.progress import progress_for

    with progress_for(sys.stderr) as progress:
        measured = measure(loaded, options, progress)
    raise typer.Exit(conclude(measured, fail_on or (), as_json=as_json, full=full))


def _resume(
    folder: Path, file: Path | None, given: RunOptions, fail_on: Sequence[str], *, as_json: bool, full: bool
) -> int:
    """Go on with a run; return the exit code."""
    allowed = Changes(servers=given.changes.servers, policies=given.changes.policies)
    if given != RunOptions(changes=allowed, command=given.command):
        raise UserError(
            "--resume goes on with the options of the run; beside it only --server, --policies, --fail-on, --full and "
            "--json can be given"
        )
    from harness.app.resume import resume
    from harness.report.progress import progress_for
    from harness.units import count

    options = ResumeOptions(file=file, servers=given.changes.servers, policies=given.changes.policies)
    with progress_for(sys.stderr) as progress:
        resumed = resume(folder, options, progress)
    if not resumed.missing:
        trials = count(resumed.trials, "trial")
        print(f"slotwise: nothing is missing in {folder}: all {trials} are there", file=sys.stderr)
    return conclude(resumed.measured, fail_on, as_json=as_json, full=full)
