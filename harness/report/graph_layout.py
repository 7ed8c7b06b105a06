"""Where boxes and lines of an agent graph stand: left to right in the order of dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HEIGHT", "WIDTH", "back", "curve", "height_of", "width_of", "x_of", "y_of"]

WIDTH, HEIGHT = 192, 58  # of a node's box
_GAP_X, _GAP_Y = 52, 22


def x_of(column: int) -> float:
    """Return the left edge of the boxes in a column."""
    return 4 + column * (WIDTH + _GAP_X)


def y_of(row: int) -> float:
    """Return the upper edge of the boxes in a row."""
    return 4 + row * (HEIGHT + _GAP_Y)


def width_of(levels: Sequence[Any]) -> float:
    """Return the width of the whole drawing."""
    return x_of(len(levels) - 1) + WIDTH + 8


def height_of(rows: Mapping[Any, int], *, backs: bool) -> float:
    """Return its height; `backs`: loops lead back below the boxes."""
    return y_of(max(rows.values())) + HEIGHT + (30 if backs else 8)


def curve(column_a: int, row_a: int, column_b: int, row_b: int, a: Any, b: Any) -> str:
    """Return the path from one box to another; a tuple is a place where a long line passes a level."""
    x0 = x_of(column_a) + (WIDTH if not isinstance(a, tuple) else WIDTH / 2)
    x1 = x_of(column_b) + (0 if not isinstance(b, tuple) else WIDTH / 2)
    y0, y1 = y_of(row_a) + HEIGHT / 2, y_of(row_b) + HEIGHT / 2
    bend = min(_GAP_X, (x1 - x0) / 2)
    return f"M{x0:g} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"


def back(column_a: int, row_a: int, column_b: int, row_b: int) -> str:
    """Return a loop's way back, below the boxes."""
    x0, x1 = x_of(column_a) + WIDTH / 2 + 12, x_of(column_b) + WIDTH / 2 - 12
    y0, y1 = y_of(row_a) + HEIGHT, y_of(row_b) + HEIGHT
    low = max(y0, y1) + 24
    return f"M{x0:g} {y0:g}C{x0:g} {low:g} {x1:g} {low:g} {x1:g} {y1:g}"
