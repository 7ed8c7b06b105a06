"""`slotwise report`: render a run folder again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from harness.app.gate import read_fail_on
from harness.cli.conclude import HowShown, exit_code, says_why_to_junit
from harness.cli.options import FailOnRun, Full, Junit, json_option, settings_option
from harness.deploy.kinds import kinds_listed
from harness.errors import UserError

__all__ = ["report"]


@says_why_to_junit
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `slotwise run` wrote.", show_default=False)],
    fail_on: FailOnRun = None,
    junit: Junit = None,
    full: Full = False,
    json: Annotated[bool, json_option("Print summary.json instead of the report.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print the path of report.html instead of the report.")] = False,
    settings: Annotated[
        str | None,
        settings_option(
            f"Print complete settings to copy, and nothing else: {kinds_listed()}.",
            metavar="KIND",
        ),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="NAME", help="The candidate of --settings; default: the recommended one.")
    ] = None,
) -> None:
    """Render a run again: to the terminal, and report.html, report.md, summary.json and the charts in its folder."""
    if candidate is not None and settings is None:
        raise UserError("--candidate goes with --settings, such as --settings systemd")
    wanted, shown = read_fail_on(fail_on or ()), HowShown(as_json=json, full=full, junit=junit, bare=html)
    import gc

    from harness.app.report import keep_report, kept_summary
    from harness.app.report import report as read

    run, analysis = None, kept_summary(folder)
    if analysis is None:
        gc.disable()  # a hundred thousand records, none of them garbage: looking through them takes a fifth of the time
        run, analysis = read(folder)
        gc.freeze()
        gc.enable()
    if settings is not None:
        from harness.app.settings import settings_text

        typer.echo(settings_text(analysis, settings, candidate), nl=False)
        return
    # Printed first: a folder that cannot be written can still be read.
    if json or not html:
        from harness.cli.conclude import show

        show(analysis, f"slotwise report {shlex.quote(str(folder))}", shown)
    if run is not None:
        keep_report(folder, analysis, run)
    elif html and not (folder / "report.html").is_file():
        raise UserError(f"{folder}: expected report.html, found none, and no records to make it of; leave out --html")
    if html and not json:
        typer.echo(str(folder / "report.html"))
    raise typer.Exit(exit_code(analysis, shown, wanted))
