"""`slotwise simulate`: predict a workload on a profile, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["simulate"]


def simulate(
    file: Annotated[Path, typer.Argument(help="The workload, a YAML file.", show_default=False)],
    profile: Annotated[
        list[str],
        typer.Option(
            metavar="[MODEL=]NAME",
            help="Profile of the machine: a name or a file; for several models one each.",
            show_default=False,
        ),
    ],
    repeats: Annotated[int, typer.Option(min=1, max=100_000, help="How often, with other draws each time.")] = 200,
    resamples: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Profiles tried for its uncertainty: 20, or 0 to leave it out.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Simulate only this candidate (may be repeated).")] = None,
    scale: Annotated[int, typer.Option(min=1, help="Multiply the number of jobs of every pipeline.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of everything drawn.")] = None,
    assume: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A value that the profile does not know.")
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Derive slot settings that the profile lacks; marked.")
    ] = False,
    lengths: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the lengths of prompts and answers from this measured run.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a run folder with every record below this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead.")] = False,
) -> None:
    """Predict every candidate of a workload on a profile, without running anything."""
    from harness.cli.simulating import Options, simulate_workload

    simulate_workload(
        file,
        Options(
            profiles=tuple(profile),
            repeats=repeats,
            resamples=resamples,
            only=tuple(only or ()),
            scale=scale,
            seed=seed,
            assume=tuple(assume or ()),
            extrapolate=extrapolate,
            lengths=lengths,
            out=out,
            as_json=as_json,
        ),
    )
