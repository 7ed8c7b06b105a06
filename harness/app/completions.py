"""What can stand at a place of a workload that is being written."""

from __future__ import annotations

from harness.app.workload import Written
from harness.workload.completion import Completable, Completions, completions

__all__ = ["Completable", "Completions", "complete"]


def complete(written: Written, line: int, column: int) -> Completions:
    """Return keys and values from the schema, and names from the text; nothing in it needs to be right.

    Args:
        written: the workload, as far as it is written.
        line, column: of the cursor, from 1.
    """
    return completions(written.text, line, column, written.path.parent)
