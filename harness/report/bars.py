"""Kinds of time as they are drawn: the same order, words and colours in the terminal and in the charts."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.timesplit import Parts
from harness.units import seconds
from harness.wording.figures import PART_LABELS

__all__ = ["COLOURS", "KINDS", "Kind", "bar_cells", "parts_text"]


class Kind(NamedTuple):
    """How one kind of time is drawn. The glyphs tell kinds apart where there is no colour."""

    field: str
    label: str
    colour: str  # Okabe and Ito: told apart by colour-blind readers too
    glyph: str
    ascii: str


KINDS = tuple(
    Kind(field, PART_LABELS[field], colour, glyph, ascii_glyph)
    for field, colour, glyph, ascii_glyph in (
        ("router_wait_s", "#E69F00", "░", "."),
        ("throttle_wait_s", "#F0E442", "┄", "~"),
        ("queue_wait_s", "#D55E00", "▒", ":"),
        ("load_s", "#CC79A7", "◆", "L"),
        ("slot_setup_s", "#8C564B", "╌", "-"),
        ("prefill_s", "#56B4E9", "▓", "+"),
        ("decode_s", "#0072B2", "█", "#"),
        ("client_s", "#000000", "▌", "c"),
        ("tool_s", "#009E73", "▚", "T"),
        ("harness_s", "#999999", "│", "h"),
        ("not_attributed_s", "#BBBBBB", "?", "?"),
    )
)

# Candidates and series, in order: Okabe and Ito again, the light ones last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


def parts_text(parts: Parts, least: float = 0.01) -> str:
    """List the parts worth naming, the largest first: `decode 8.8 s, router wait 1.6 s`."""
    total_s = parts.total_s
    named = [(getattr(parts, kind.field), kind.label) for kind in KINDS]
    named = [(value, label) for value, label in named if abs(value) > least * abs(total_s)]
    return ", ".join(f"{label} {seconds(value)}" for value, label in sorted(named, key=lambda pair: -pair[0]))


def bar_cells(parts: Parts, longest_s: float, width: int) -> list[tuple[Kind, int]]:
    """Divide a bar of `width` cells for `longest_s` among the kinds; rounding is carried on, so lengths stay true."""
    cells: list[tuple[Kind, int]] = []
    reached_s, drawn = 0.0, 0
    for kind in KINDS:
        reached_s += max(0.0, getattr(parts, kind.field))
        end = round(width * reached_s / longest_s) if longest_s > 0 else 0
        if end > drawn:
            cells.append((kind, end - drawn))
            drawn = end
    return cells
