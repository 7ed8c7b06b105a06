"""Rename the keys of an older Slotwise in workload files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.workload.migrate import Migrated
from harness.workload.migrate import migrate as rewrite

__all__ = ["Migrated", "migrate"]


def migrate(paths: Iterable[Path], *, check: bool = False) -> list[Migrated]:
    """Rewrite workload files in place; comments and layout stay.

    Args:
        paths: files, or folders of them.
        check: say what would happen and change nothing.

    Returns:
        What became of each file; one that could not be read or written says so.
    """
    return [one for path in paths for one in rewrite(path, check=check)]
