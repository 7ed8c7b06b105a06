"""What `slotwise runs` prints. Plain text and no rich: with it the list would take twice as long to appear."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.errors import UserError
from harness.report.text import plain
from harness.runs.index import Filters, Row, find_runs
from harness.units import count

__all__ = ["list_runs", "moment"]

_AGO = re.compile(r"(\d{1,5})([hdw])")
_WIDTH = 80
_LATEST = 30


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


def list_runs(folder: Path, wanted: Filters, limit: int | None, *, as_json: bool) -> None:
    """Print the runs of a folder that are wanted.

    `limit` is how many; 0 all, None all as JSON and the latest in a table.
    """
    if as_json:
        rows, _ = find_runs(folder, wanted, limit or None)
        print(
            json.dumps([row._asdict() for row in rows])
        )  # not indented: Python's own encoder takes five times as long
        return
    rows, total = find_runs(folder, wanted, _LATEST if limit is None else limit or None)
    if not rows:
        among = "" if wanted == Filters() else " that fit"
        print(f"{plain(str(folder))}: no runs{among}")
        return
    for line in _table(rows):
        print(line)
    if cut := [row for row in rows if row.state == "partial" and row.origin != "predicted"]:
        where = shlex.quote(plain(str(folder / cut[0].folder)))
        print(f"\npartial: something is missing. To measure it:\n  slotwise run --resume {where}")
    if total > len(rows):
        print(f"\nthe latest {len(rows)} of {count(total, 'run')}; --limit 0 shows all")


def _table(rows: list[Row]) -> list[str]:
    """Lay out the columns: names in full, since they are to be copied, and of the rest what fits."""
    titles = ("run", "origin", "take", "model", "machine")
    cells = [[plain(text) for text in _cells(row)] for row in rows]
    longest = [max(len(title), *(len(row[at]) for row in cells)) for at, title in enumerate(titles)]
    width = max(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH)
    widths = [longest[0], longest[1], *(min(most, length) for most, length in zip((16, 18), longest[2:4], strict=True))]
    widths.append(max(8, width - sum(widths) - 2 * len(widths)))
    if sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()  # long names: better without the machine than in two lines
    return [
        "  ".join(_fit(cell, at) for cell, at in zip(row, widths, strict=False)).rstrip() for row in (titles, *cells)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    origin = f"{row.origin}, partial" if row.state == "partial" else row.origin
    return row.folder, origin, row.chosen or "-", row.model or "-", row.machine or "-"


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"
