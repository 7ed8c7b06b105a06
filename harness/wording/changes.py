"""What differs between two machines, servers or runs, in words."""

from __future__ import annotations

from collections.abc import Iterable

from harness.runs.changes import Changed
from harness.runs.model import Note

__all__ = ["changed_notes", "changed_text"]


def changed_text(change: Changed) -> str:
    """Say what a fact was and is now, without a full stop."""
    before, now = ("not there" if value is None else str(value) for value in (change.before, change.now))
    what = change.what
    if what.endswith("_bytes") and isinstance(change.before, int) and isinstance(change.now, int):
        what = what.removesuffix("_bytes")
        before, now = _megabytes(change.before, change.now)
    was = "were" if what == "repeats" else "was"
    text = f"{what.replace('_', ' ')} {was} {before}, now {now}"
    return f"{change.server}: {text}" if change.server else text


def changed_notes(found: Iterable[Changed]) -> list[Note]:
    """Say of a run that goes on what is another than when it was begun."""
    return [Note("changed", f"Since the run was begun: {changed_text(change)}.") for change in found]


def _megabytes(before: int, now: int) -> tuple[str, str]:
    """Write two different sizes in MB, with as few digits as tell them apart."""
    for digits in (0, 1, 3, 6):
        texts = f"{before / 1e6:.{digits}f} MB", f"{now / 1e6:.{digits}f} MB"
        if texts[0] != texts[1]:
            break
    return texts
