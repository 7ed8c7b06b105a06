"""`slotwise report`: render a run folder again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.deploy.kinds import kinds_listed
from harness.errors import UserError

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `slotwise run` wrote.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print summary.json instead of the report.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Print where report.html is instead of the report.")] = False,
    settings: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help=f"Print settings to copy, whole, and nothing else: {kinds_listed()}.",
        ),
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose --settings; default: the recommended one's.")
    ] = None,
) -> None:
    """Render a run again: to the terminal, and report.html, report.md, summary.json and the charts in its folder."""
    if candidate is not None and settings is None:
        raise UserError("--candidate says whose --settings to print; say also which: --settings systemd")
    import gc

    from rich.console import Console

    from harness.analysis.analyse import analyse
    from harness.report.files import write_report
    from harness.report.summary import summary_text
    from harness.report.terminal import print_report
    from harness.runs.folder import read_run
    from harness.runs.index import note_run

    run = read_run(folder)
    gc.freeze()  # a hundred thousand records, none of them garbage: looking through them takes a fifth of the time
    analysis = analyse(run, folder)
    if settings is not None:
        from harness.cli.settings import settings_text

        typer.echo(settings_text(analysis, settings, candidate), nl=False)
        return
    # Printed first: a folder that cannot be written can still be read.
    if json:
        typer.echo(summary_text(analysis), nl=False)
    elif not html:
        print_report(analysis, Console(highlight=False))
    write_report(folder, analysis, run)
    note_run(folder)
    if html and not json:
        typer.echo(str(folder / "report.html"))
