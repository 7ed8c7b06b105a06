"""What differs between two machines, servers or runs, in words."""

from __future__ import annotations

from collections.abc import Iterable

from harness.runs.changes import Changed
from harness.runs.model import Note

__all__ = ["changed_notes", "changed_text"]


def changed_text(change: Changed) -> str:
    """Say what a fact was and is now, without a full stop."""
    before, now = ("not there" if value is None else str(value) for value in (change.before, change.now))
    was = "were" if change.what == "repeats" else "was"
    text = f"{change.what.replace('_', ' ')} {was} {before}, now {now}"
    return f"{change.server}: {text}" if change.server else text


def changed_notes(found: Iterable[Changed]) -> list[Note]:
    """Say of a run that goes on what is another than when it was begun."""
    return [Note("changed", f"Since the run was begun: {changed_text(change)}.") for change in found]
