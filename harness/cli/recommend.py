"""`slotwise recommend`: find the best way to run a workload on a machine, confirm it, say why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.options import Assumptions, Changes, RecommendOptions, SweepOptions
from harness.cli.conclude import INTERRUPTED
from harness.cli.machines import compare_and_show, of_one_machine, several_machines, with_devices
from harness.cli.options import (
    Assume,
    Devices,
    Engine,
    Full,
    Model,
    Policies,
    Prices,
    Quant,
    Quiet,
    Resamples,
    Scale,
    Seed,
    Servers,
    again,
    extrapolate_option,
    json_option,
    memory_bytes,
    numbers,
    out_option,
    profile_option,
    server_urls,
    settings_option,
    time_s,
    typed,
)
from harness.deploy.kinds import kinds_listed
from harness.errors import UserError

__all__ = ["recommend"]


def recommend(
    file: Annotated[
        Path | None,
        typer.Argument(help="The workload, a YAML file; without one: how many slots suit --model.", show_default=False),
    ] = None,
    profile: Annotated[
        list[str] | None,
        profile_option(
            "Profile of the machine: a name or a file (two models: MODEL=NAME twice); default: one of this "
            "machine and model, else a new one. Several by name are compared (--no-measure).",
            metavar="[MODEL=]NAME",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time for the measurement: 90s, 5m, 1h.")] = "5m",
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Confirm the best few by measurement.")
    ] = True,
    extrapolate: Annotated[bool, extrapolate_option("Extrapolate slot settings that the profile lacks.")] = False,
    max_slots: Annotated[int | None, typer.Option(min=1, max=64, help="Most slots of one server.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory for the servers, such as 8GB.", show_default=False)
    ] = None,
    assume: Assume = None,
    device: Devices = None,
    quant: Quant = None,
    price: Prices = None,
    seeds: Annotated[int, typer.Option(min=2, max=1000, help="Seeds that the finalists are simulated with.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Worker processes of the search.", show_default="every core")
    ] = None,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Search on the Dask cluster with this scheduler instead.")
    ] = "",
    resamples: Resamples = None,
    scale: Scale = 1,
    seed: Seed = None,
    policies: Policies = None,
    engine: Engine = None,
    model: Model = None,
    server: Servers = None,
    out: Annotated[
        Path | None, out_option("Write report.html, recommendation.md and .json to a folder in this one.")
    ] = None,
    settings: Annotated[
        str | None,
        settings_option(
            f"Print the answer's settings instead: {kinds_listed()}.",
            metavar="KIND",
            show_default=False,
        ),
    ] = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the recommendation as JSON instead.")] = False,
) -> None:
    """Find the best way to run a workload among all candidates, confirm it by measurement, and say why."""
    if file is None:  # no workload, but a model: the question of `slotwise sweep`
        if model is None:
            raise UserError(
                "name a workload, or a model with --model: slotwise recommend FILE, slotwise recommend --model M"
            )
        from harness.cli.sweep import sweep_and_show

        if len(server or ()) > 1:
            raise UserError("--server: without a workload expected one URL, found several")
        asked = SweepOptions(engine=engine or "llamacpp", most=max_slots or 64, server=next(iter(server or ()), None))
        raise typer.Exit(sweep_and_show((model,), asked, as_json=as_json, quiet=quiet))
    profile, price = with_devices(profile, price, device, model, quant)
    options = RecommendOptions(
        changes=Changes(
            scale=scale, seed=seed, engine=engine, model=model, servers=server_urls(server), policies=policies
        ),
        assumptions=Assumptions(
            profiles=tuple(profile or ()),
            assume=numbers("--assume", assume, "prefill_s_per_token=0.004"),
            extrapolate=extrapolate,
            resamples=resamples,
        ),
        measure=measure,
        budget_s=time_s("--budget", budget),
        max_slots=max_slots,
        memory_bytes=memory_bytes(memory),
        seeds=seeds,
        workers=workers,
        cluster=cluster,
        out=out or Path("reports"),
        command=typed(),
    )
    if several_machines(profile, price):
        if measure:
            raise UserError(f"{len(profile or ())} machines are compared by prediction alone: add --no-measure")
        of_one_machine(["--settings"] if settings is not None else [], profile)
        compare_and_show(file, options, price, out=out, as_json=as_json, quiet=quiet)
        return
    from harness.app.recommend import keep_recommendation
    from harness.app.recommend import recommend as search
    from harness.app.settings import answer_settings, check_kind
    from harness.report.progress import progress_for

    if settings is not None:
        check_kind(settings)  # before anything long begins
    with progress_for(sys.stderr, quiet=quiet) as progress:
        found = search(file, options, progress)
    recommendation = found.recommendation
    if settings is not None:
        print(answer_settings(recommendation, settings), end="")
    elif as_json:
        from harness.report.recommendation import recommendation_text

        print(recommendation_text(recommendation), end="")
    else:
        from rich.console import Console

        from harness.report.recommendation import print_recommendation

        print_recommendation(recommendation, Console(highlight=False), again(), full=full)
    if out is not None or recommendation.confirmation is not None:
        folder = keep_recommendation(found, options.out)
        if not quiet:
            print(f"\nReport: {folder / 'report.html'}", file=sys.stderr)
    if recommendation.interrupted:
        raise typer.Exit(INTERRUPTED)
