"""`slotwise runs`: which runs are there?"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from harness.cli.options import json_option
from harness.errors import UserError

__all__ = ["moment", "runs"]

_AGO = re.compile(r"(\d{1,5})([hdw])")
_LATEST = 30


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.")] = Path("reports"),
    name: Annotated[str | None, typer.Option(help="Part of the name of the run or of its workload.")] = None,
    machine: Annotated[str | None, typer.Option(help="Part of the processor's name.")] = None,
    model: Annotated[str | None, typer.Option(help="Part of a model's name.")] = None,
    origin: Annotated[
        Literal["measured", "emulated", "predicted", "estimated"] | None, typer.Option(help="Origin of its numbers.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Begun since: 2026-11-01, 2026-11-01T09:30, or 12h, 7d, 4w ago.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="The latest N: 30 by default, with --json all; 0 for all.", show_default=False),
    ] = None,
    as_json: Annotated[bool, json_option("Print everything in the index as JSON.")] = False,
) -> None:
    """List the runs of a folder, the latest first."""
    from harness.app.runs import Filters
    from harness.app.runs import runs as find

    wanted = Filters(name, machine, model, origin, None if since is None else moment(since))
    if as_json:
        import json

        rows, _ = find(folder, wanted, limit or None)
        print(
            json.dumps([row._asdict() for row in rows])
        )  # not indented: Python's own encoder takes five times as long
        return
    from harness.report.runs_table import runs_lines

    rows, total = find(folder, wanted, _LATEST if limit is None else limit or None)
    for line in runs_lines(folder, rows, total, filtered=wanted != Filters()):
        print(line)


def moment(text: str) -> datetime:
    """Read a date, a date with a time (this machine's zone where none is given), or how long ago: 12h, 7d, 4w."""
    if ago := _AGO.fullmatch(text):
        unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[ago[2]]
        return datetime.now(UTC) - int(ago[1]) * unit
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UserError(
            f'--since: expected a date such as 2026-11-01, or how long ago, such as 12h, 7d or 4w, found "{text}"'
        ) from None
