"""`slotwise simulate`: predict a workload on a profile, in virtual time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.gate import FailOn, read_fail_on
from harness.app.options import Assumptions, Changes, SimulateOptions
from harness.cli.conclude import HowShown, exit_code, says_why_to_junit, show
from harness.cli.machines import compare_and_show, of_one_machine, several_machines, with_devices
from harness.cli.options import (
    PROFILES,
    Assume,
    Devices,
    Engine,
    Extrapolate,
    FailOnRun,
    Full,
    Junit,
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
    json_option,
    numbers,
    only_option,
    out_option,
    profile_option,
    repeats_option,
    server_urls,
    settings_option,
    typed,
)
from harness.deploy.kinds import kinds_listed

__all__ = ["simulate"]


@says_why_to_junit
def simulate(
    file: Annotated[Path, typer.Argument(help="The workload, a YAML file.", show_default=False)],
    profile: Annotated[list[str] | None, profile_option(PROFILES, metavar="[WHAT=]NAME", show_default=False)] = None,
    repeats: Annotated[int, repeats_option("Repeats, each with its own random draws.", min=1, max=100_000)] = 200,
    resamples: Resamples = None,
    only: Annotated[list[str] | None, only_option("Only this candidate; repeatable.")] = None,
    scale: Scale = 1,
    engine: Engine = None,
    model: Model = None,
    server: Servers = None,
    seed: Seed = None,
    policies: Policies = None,
    assume: Assume = None,
    device: Devices = None,
    quant: Quant = None,
    price: Prices = None,
    extrapolate: Extrapolate = False,
    lengths: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the lengths of prompts and answers from this measured run.")
    ] = None,
    out: Annotated[Path | None, out_option("Write a run folder, with all records, in this folder.")] = None,
    settings: Annotated[
        str | None,
        settings_option(f"Print the recommended candidate's settings instead: {kinds_listed()}.", metavar="KIND"),
    ] = None,
    fail_on: FailOnRun = None,
    junit: Junit = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the summary as JSON instead.")] = False,
) -> None:
    """Predict every candidate of a workload on a profile, without running anything."""
    wanted = read_fail_on(fail_on or ())
    shown = HowShown(as_json=as_json, full=full, quiet=quiet, junit=junit, bare=settings is not None)
    profile, price = with_devices(profile, price, device, model, quant)
    options = SimulateOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            only=tuple(only or ()),
            engine=engine,
            model=model,
            servers=server_urls(server),
            policies=policies,
        ),
        assumptions=Assumptions(
            profiles=tuple(profile or ()),
            assume=numbers("--assume", assume, "prefill_s_per_token=0.004"),
            extrapolate=extrapolate,
            resamples=resamples,
        ),
        repeats=repeats,
        lengths=lengths,
        command=typed(),
    )
    if several_machines(profile, price):
        given = {
            "--settings": settings is not None,
            "--lengths": lengths is not None,
            "--fail-on": wanted != FailOn(),
            "--junit": junit is not None,
        }
        of_one_machine([name for name, there in given.items() if there], profile)
        compare_and_show(file, options, price, out=out, as_json=as_json, quiet=quiet)
        return
    from harness.app.settings import check_kind, settings_text
    from harness.app.simulate import simulate as predict

    if settings is not None:
        check_kind(settings)
    simulated = predict(file, options, lambda loaded: wanted.check(loaded, repeats))
    if settings is not None:
        print(settings_text(simulated.analysis, settings), end="")
    else:
        show(simulated.analysis, again(), shown)
    if out is not None:
        from harness.app.report import keep_prediction  # charts: a second that nobody waits for without a folder

        folder = keep_prediction(simulated, out)
        if not quiet:
            print(f"\nEvery call is in {folder}; open in a browser: {folder / 'report.html'}", file=sys.stderr)
    raise typer.Exit(exit_code(simulated.analysis, shown, wanted))
