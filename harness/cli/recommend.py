"""`slotwise recommend`: find the best way to run a workload on a machine, confirm it, say why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.deploy.kinds import kinds_listed
from harness.errors import UserError

__all__ = ["recommend"]


def recommend(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The workload, a YAML file; without one, how many slots --model carries.", show_default=False
        ),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MODEL=]NAME",
            help="Profile of the machine: a name or a file (two models: MODEL=NAME twice); left out: one of this "
            "machine and model, else a new one.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time for the measurement: 90s, 5m, 1h.")] = "5m",
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Confirm the best few on servers.")] = True,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Try slot settings that the profile lacks; marked.")
    ] = False,
    max_slots: Annotated[int | None, typer.Option(min=1, max=64, help="The most slots of one server.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory for the servers, such as 8GB.", show_default=False)
    ] = None,
    assume: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A value that the profile does not know.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, max=1000, help="Draws on which the last candidates are tried.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes of the search.", show_default="every core")
    ] = None,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Search on the Dask cluster with this scheduler instead.")
    ] = "",
    resamples: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Profiles tried for its uncertainty: 20, or 0 to leave it out.")
    ] = None,
    scale: Annotated[int, typer.Option(min=1, help="Multiply the number of jobs of every pipeline.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of everything drawn.")] = None,
    engine: Annotated[str | None, typer.Option(help='"ollama": run the embedded servers on managed Ollama.')] = None,
    model: Annotated[str | None, typer.Option(help="Use this model instead of the workload's.")] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Without a workload: this running server, as far as it can be known."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write recommendation.md and .json into a folder below.")] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help=f"Print the answer's settings instead: {kinds_listed()}.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the recommendation as JSON instead.")] = False,
) -> None:
    """Find the best way to run a workload among all candidates, confirm it by measurement, and say why."""
    if file is None:  # no workload, but a model: the question of `slotwise sweep`
        if model is None:
            raise UserError(
                "name a workload, or a model with --model: slotwise recommend FILE, slotwise recommend --model M"
            )
        from harness.cli.sweeping import sweep_model

        code = sweep_model((model,), engine=engine or "llamacpp", most=max_slots or 64, server=server, as_json=as_json)
        raise typer.Exit(code)
    if server is not None:
        raise UserError("--server goes with --model alone; in a workload a running server is named by its url")
    from harness.cli.recommending import Options, recommend_workload

    code = recommend_workload(
        file,
        Options(
            profiles=tuple(profile or ()),
            budget=budget,
            measure=measure,
            extrapolate=extrapolate,
            max_slots=max_slots,
            memory=memory,
            assume=tuple(assume or ()),
            seeds=seeds,
            workers=workers,
            cluster=cluster,
            resamples=resamples,
            scale=scale,
            seed=seed,
            engine=engine,
            model=model,
            out=out,
            as_json=as_json,
            settings=settings,
        ),
    )
    raise typer.Exit(code)
