"""`slotwise run`: measure a workload and say how to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["run"]


def run(
    file: Annotated[Path | None, typer.Argument(help="The workload, a YAML file.", show_default=False)] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the run gets a folder of its own.")] = Path("reports"),
    repeats: Annotated[int | None, typer.Option(min=1, help="Recorded repeats of every candidate.")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Repeats before them that are not recorded.")] = None,
    scale: Annotated[int, typer.Option(min=1, help="Multiply the number of jobs of every pipeline.")] = 1,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this candidate; repeatable.")] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="ENGINE", help='"ollama": managed Ollama for the embedded engine.')
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Use this model instead of the workload's.")] = None,
    server: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URL", help="Put a running server in a server's place.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything drawn.")] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(metavar="WHAT", help='Exit with 1 on missed "goals", or "failures".')
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Go on with this run: measure what is missing or was cut.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead.")] = False,
) -> None:
    """Measure every candidate of a workload on real servers, and recommend how to run it."""
    from harness.cli.options import Options, check_fail_on, overrides_of
    from harness.errors import UserError
    from harness.units import count
    from harness.workload.load import load_workload

    options = Options(
        out=out,
        repeats=repeats,
        warmup=warmup,
        scale=scale,
        only=tuple(only or ()),
        engine=engine,
        model=model,
        servers=tuple(server or ()),
        seed=seed,
        fail_on=tuple(fail_on or ()),
        as_json=as_json,
    )
    check_fail_on(options.fail_on)
    if resume is not None:
        from harness.cli.resuming import resume_run

        raise typer.Exit(resume_run(resume, file, options))
    if file is None:
        raise UserError(
            "name a workload file: slotwise run FILE; `slotwise init` writes one to start from, and "
            "slotwise run --resume DIR goes on with a run"
        )
    loaded = load_workload(file, overrides_of(options))  # a mistake shows at once: langchain is not loaded yet
    often = loaded.workload.measure
    warm_up = f"after {count(often.warmup, 'warm-up')}" if often.warmup else "without warm-up"
    typer.echo(
        f"{loaded.workload.name}: {count(len(loaded.plans), 'candidate')} on {count(len(loaded.servers), 'server')}, "
        f"{count(often.repeats, 'repeat')} {warm_up}",
        err=True,
    )
    from harness.cli.running import run_workload

    raise typer.Exit(run_workload(loaded, options))
