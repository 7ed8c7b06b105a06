"""`slotwise run`: measure a workload and say how to run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.app.gate import FailOn, read_fail_on
from harness.app.options import AT_MOST_S, Changes, ResumeOptions, RunOptions
from harness.cli.conclude import HowShown, conclude, says_why_to_junit
from harness.cli.options import (
    Engine,
    FailOnRun,
    Full,
    Junit,
    Model,
    Policies,
    Quiet,
    Repeats,
    Scale,
    Seed,
    Servers,
    json_option,
    only_option,
    out_option,
    server_urls,
    time_s,
    typed,
)
from harness.errors import UserError

__all__ = ["run"]


@says_why_to_junit
def run(
    file: Annotated[Path | None, typer.Argument(help="The workload, a YAML file.", show_default=False)] = None,
    out: Annotated[Path, out_option("Folder in which the run folder is made.", metavar="DIR")] = Path("reports"),
    repeats: Repeats = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Warm-up repeats, discarded.")] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="resolved", help="Keep measuring until every question is settled.", show_default=False),
    ] = None,
    at_most: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time limit of --until, such as 90s, 10m, 1h.  [default: 10m]"),
    ] = None,
    scale: Scale = 1,
    only: Annotated[list[str] | None, only_option("Only this candidate; repeatable.", metavar="NAME")] = None,
    engine: Engine = None,
    model: Model = None,
    server: Servers = None,
    seed: Seed = None,
    policies: Policies = None,
    fail_on: FailOnRun = None,
    junit: Junit = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Resume this run: measure what is missing or was interrupted.", show_default=False
        ),
    ] = None,
    full: Full = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, json_option("Print the summary as JSON instead.")] = False,
) -> None:
    """Measure every candidate of a workload on real servers, and recommend how to run it."""
    wanted = read_fail_on(fail_on or ())
    goes_on, at_most_s = _until(until, at_most, repeats)
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
        until=goes_on,
        at_most_s=at_most_s or AT_MOST_S,
        out=out,
        command=typed(),
    )
    shown = HowShown(as_json=as_json, full=full, quiet=quiet, junit=junit)
    if resume is not None:
        raise typer.Exit(_resume(resume, file, options, at_most_s, shown, wanted))
    if file is None:
        raise UserError(
            "name a workload file: slotwise run FILE; `slotwise init` writes one to start from, and "
            "slotwise run --resume DIR resumes one"
        )
    from harness.app.workload import load, skipped_text
    from harness.units import count, time_text

    # A mistake shows at once: langchain is not loaded yet.
    loaded = load(file, options.changes, repeats=repeats, warmup=warmup, asking=True)
    often = loaded.workload.measure
    wanted.check(loaded, often.repeats if goes_on is None else None)
    warm_up = f"after {count(often.warmup, 'warm-up')}" if often.warmup else "without warm-up"
    repeats_text = count(often.repeats, "repeat")
    if goes_on is not None:
        repeats_text = f"until every question is settled, at most {time_text(options.at_most_s)},"
    if not quiet:
        typer.echo(
            f"{loaded.workload.name}: {count(len(loaded.plans), 'candidate')} on "
            f"{count(len(loaded.servers), 'server')}, {repeats_text} {warm_up}",
            err=True,
        )
    if loaded.skipped:
        typer.echo(skipped_text(loaded.skipped), err=True)
    from harness.app.run import run as measure
    from harness.report.progress import progress_for

    with progress_for(sys.stderr, quiet=quiet) as progress:
        measured = measure(loaded, options, progress)
    raise typer.Exit(conclude(measured, shown, wanted))


def _until(
    until: str | None, at_most: str | None, repeats: int | None
) -> tuple[Literal["resolved"] | None, float | None]:
    """Read `--until` and `--at-most`; UserError where they do not go together."""
    if until is None:
        if at_most is not None:
            raise UserError("--at-most goes with --until resolved; without it a run ends after its repeats")
        return None, None
    if until != "resolved":
        raise UserError(f'--until: expected resolved, found "{until}"')
    if repeats is not None:
        raise UserError(
            "--until resolved measures as many repeats as it takes; leave --repeats out, and bound it with --at-most"
        )
    return "resolved", None if at_most is None else time_s("--at-most", at_most)


def _resume(
    folder: Path,
    file: Path | None,
    given: RunOptions,
    at_most_s: float | None,
    shown: HowShown,
    wanted: FailOn,
) -> int:
    """Go on with a run; return the exit code."""
    allowed = Changes(servers=given.changes.servers, policies=given.changes.policies)
    if given != RunOptions(changes=allowed, until=given.until, at_most_s=given.at_most_s, command=given.command):
        raise UserError(
            "--resume keeps the options of the run; with it, only --until, --at-most, --server, --policies, "
            "--fail-on, --junit, --full, --quiet and --json can be given"
        )
    from harness.app.resume import resume
    from harness.report.progress import progress_for
    from harness.units import count

    options = ResumeOptions(
        file=file,
        servers=given.changes.servers,
        policies=given.changes.policies,
        until=given.until,
        at_most_s=at_most_s,
    )
    with progress_for(sys.stderr, quiet=shown.quiet) as progress:
        resumed = resume(folder, options, progress)
    if resumed.missing == 0 and not shown.quiet:
        trials = count(resumed.trials, "trial")
        print(f"slotwise: nothing is missing in {folder}: it has all {trials}", file=sys.stderr)
    return conclude(resumed.measured, shown, wanted)
