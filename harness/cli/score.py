"""`slotwise score`: predict a workload, run it for real, and show the error of every figure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.app.gate import read_fail_on
from harness.app.options import Assumptions, Changes, ScoreOptions
from harness.cli.conclude import HowShown, conclude, exit_code, says_why_to_junit
from harness.cli.options import (
    PROFILES,
    Assume,
    Engine,
    Extrapolate,
    FailOnRun,
    Full,
    Junit,
    Model,
    Policies,
    Quiet,
    Repeats,
    Servers,
    json_option,
    lever_option,
    lever_values,
    numbers,
    only_option,
    out_option,
    profile_option,
    server_urls,
    typed,
)

__all__ = ["score"]


@says_why_to_junit
def score(
    file: Annotated[Path, typer.Argument(help="The workload, a YAML file.", show_default=False)],
    profile: Annotated[list[str] | None, profile_option(PROFILES, metavar="[WHAT=]NAME", show_default=False)] = None,
    run: Annotated[
        Path | None, typer.Option(help="Score against this run folder of the workload instead of measuring now.")
    ] = None,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Predict lengths of calls as `simulate` does; default: as observed.")
    ] = False,
    repeats: Repeats = None,
    only: Annotated[list[str] | None, only_option("Only this candidate; repeatable.")] = None,
    engine: Engine = None,
    model: Model = None,
    server: Servers = None,
    lever: Annotated[
        list[str] | None,
        lever_option("An engine setting that the run does not record, such as ram_cache=off.", metavar="NAME=VALUE"),
    ] = None,
    policies: Policies = None,
    assume: Assume = None,
    extrapolate: Extrapolate = False,
    out: Annotated[Path, out_option("Folder in which the run folder is made.")] = Path("reports"),
    fail_on: FailOnRun = None,
    junit: Junit = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the score as JSON instead.")] = False,
) -> None:
    """Predict a workload, run it for real, and print predicted against measured."""
    wanted, shown = read_fail_on(fail_on or ()), HowShown(as_json=as_json, full=full, quiet=quiet, junit=junit)
    options = ScoreOptions(
        changes=Changes(
            only=tuple(only or ()),
            engine=engine,
            model=model,
            servers=server_urls(server),
            levers=lever_values(lever),
            policies=policies,
        ),
        assumptions=Assumptions(
            profiles=tuple(profile or ()),
            assume=numbers("--assume", assume, "prefill_s_per_token=0.004"),
            extrapolate=extrapolate,
        ),
        run=run,
        forecast=forecast,
        repeats=repeats,
        out=out,
        command=typed(),
    )
    from harness.app.score import keep_score
    from harness.app.score import score as join
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        scored = join(file, options, progress)
    if scored.score is None:  # what there is is kept and shown; who wants it scored nevertheless names it with --run
        raise typer.Exit(conclude(scored.measured, shown, wanted))
    origin = scored.measured.run.origin
    if as_json:
        import json

        from harness.report.score_file import score_json

        print(json.dumps(score_json(scored.score, origin), indent=2))
    else:
        from rich.console import Console

        from harness.report.answer import print_answer
        from harness.report.score import score_report
        from harness.report.score_answer import score_answer

        console, measured = Console(highlight=False), scored.measured
        assert measured.analysis is not None
        again = f"slotwise report {shlex.quote(str(measured.folder))}"
        print_answer(
            score_answer(scored.score, measured.analysis, scored.profile, scored.lengths, scored.recommended, again),
            console,
        )
        if full:
            console.print()
            console.print(score_report(scored.score, scored.notes, scored.lengths, origin))
    keep_score(scored)
    if not quiet:
        print(f"\nReport with the score: {scored.measured.folder / 'report.html'}", file=sys.stderr)
    if scored.measured.analysis is not None:
        raise typer.Exit(exit_code(scored.measured.analysis, shown, wanted))
