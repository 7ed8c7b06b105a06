"""Which runs are there?"""

from __future__ import annotations

from pathlib import Path

from harness.app.options import REPORTS
from harness.runs.index import Filters, RunRow, find_runs
from harness.runs.writer import writer_of

__all__ = ["Filters", "RunRow", "runs"]


def runs(folder: Path = REPORTS, wanted: Filters = Filters(), limit: int | None = None) -> tuple[list[RunRow], int]:
    """Return the runs of a folder that are wanted, the latest first, and how many there are in all.

    Args:
        folder: the one that holds the runs.
        wanted: what they have to have.
        limit: at most so many; None: all.

    Raises:
        UserError: there is no such folder, or its index was written by a newer Slotwise.
    """
    rows, total = find_runs(folder, wanted, limit)
    return [_now(folder, row) for row in rows], total


def _now(folder: Path, row: RunRow) -> RunRow:
    """Say of a run that lacks something whether it goes on: an index cannot know that."""
    writer = writer_of(folder / row.folder) if row.state == "partial" else None
    if writer is None:
        return row
    return row._replace(state="running" if writer.sure else "perhaps running")
