"""Which runs are there?"""

from __future__ import annotations

from pathlib import Path

from harness.app.options import REPORTS
from harness.runs.index import Filters, RunRow, find_runs

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
    return find_runs(folder, wanted, limit)
