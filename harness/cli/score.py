"""`slotwise score`: predict a workload, run it for real, and show the error of every figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["score"]


def score(
    file: Annotated[Path, typer.Argument(help="The workload, a YAML file.", show_default=False)],
    profile: Annotated[str, typer.Option(help="Profile of the machine: a name or a file.", show_default=False)],
    run: Annotated[
        Path | None, typer.Option(help="Score against this run folder of the workload instead of running it now.")
    ] = None,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Guess the lengths of calls as `simulate` does, not as observed.")
    ] = False,
    repeats: Annotated[int | None, typer.Option(min=1, help="Recorded repeats of every candidate.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this candidate (may be repeated).")] = None,
    assume: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A value that the profile does not know.")
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Derive slot settings that the profile lacks; marked.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the run's own folder.")] = Path("reports"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the score as JSON instead.")] = False,
) -> None:
    """Predict a workload, run it for real, and print predicted against measured."""
    from harness.cli.scoring import Options, score_workload

    options = Options(
        profile, run, forecast, repeats, tuple(only or ()), tuple(assume or ()), extrapolate, out, as_json
    )
    raise typer.Exit(score_workload(file, options))
