"""A number with its intervals, as it stands in a table of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.analysis.statistics import Estimate
from harness.wording.figures import both_text, ends_text

__all__ = ["Cell", "cell_of"]


class Cell(NamedTuple):
    """A number, and its intervals."""

    value: str
    below: tuple[str, ...] = ()


def cell_of(found: Estimate | None, shown: Callable[[float], str]) -> Cell:
    """Return an estimate as it stands in a table: its value, and its intervals below."""
    if found is None:
        return Cell("–")
    if found.profile_interval is not None:
        return Cell(shown(found.value), both_text(found, shown))
    if found.interval is not None:
        return Cell(shown(found.value), (ends_text(found.interval, shown),))
    return Cell(
        shown(found.value), ("one repeat, no interval" if found.n == 1 else f"no useful interval from {found.n}",)
    )
