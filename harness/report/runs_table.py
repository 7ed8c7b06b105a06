"""What `slotwise runs` prints. Plain text and no rich: with it the list would take twice as long to appear."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.records import PREDICTED
from harness.report.text import plain
from harness.runs.index import RunRow
from harness.units import count

__all__ = ["runs_lines"]

_WIDTH = 80
_OPEN = ("partial", "running", "perhaps running")


def runs_lines(folder: Path, rows: Sequence[RunRow], total: int, *, filtered: bool) -> list[str]:
    """Lay out the runs of a folder; `total` is how many there are, `filtered` whether only some were asked for."""
    if not rows:
        among = " that fit" if filtered else ""
        return [f"{plain(str(folder))}: no runs{among}"]
    lines = _table(rows)
    if cut := [row for row in rows if row.state == "partial" and row.origin not in PREDICTED]:
        where = shlex.quote(plain(str(folder / cut[0].folder)))
        lines += ["", "partial: something is missing. To measure it:", f"  slotwise run --resume {where}"]
    if elsewhere := [row for row in rows if row.state == "perhaps running"]:
        where = plain(str(folder / elsewhere[0].folder))
        lines += ["", "perhaps running: another machine began it, and did not say that it ended. If it did:"]
        lines += [f"  rm {shlex.quote(f'{where}/.writer.json')}"]
    if bad := [row.folder for row in rows if row.state == "damaged"]:
        verb = "is" if len(bad) == 1 else "are"
        lines += ["", f"damaged: the environment.json of {plain(', '.join(bad[:3]))} {verb} not readable"]
    if total > len(rows):
        lines += ["", f"the latest {len(rows)} of {count(total, 'run')}; --limit 0 shows all"]
    return lines


def _table(rows: Sequence[RunRow]) -> list[str]:
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


def _cells(row: RunRow) -> tuple[str, ...]:
    origin = f"{row.origin}, {row.state}" if row.state in _OPEN else row.origin or row.state
    return row.folder, origin, row.chosen or "-", row.model or "-", row.machine or "-"


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"
