"""Kinds of time as they are drawn: the same order, words and colours in the terminal and in the charts."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.timesplit import Parts
from harness.units import seconds
from harness.wording.figures import PART_LABELS

__all__ = ["COLOURS", "KINDS", "Kind", "bar_cells", "parts_text"]


class Kind(NamedTuple):
    """How one kind of time is drawn. Glyphs and textures tell kinds apart where there is no colour.

    A texture is lines in the colour of the paper: one every few pixels, how thick, and its angle. They also make
    the kind lighter, so that those that lie beside each other differ in a grey print.
    """

    field: str
    label: str
    colour: str  # Okabe and Ito: distinguishable for colour-blind readers too
    glyph: str
    ascii: str
    texture: tuple[float, float, int] | None = None

    @property
    def lightness(self) -> float:
        """Relative luminance on white paper, the mean over the texture (WCAG 2.2): 0 is black, 1 is white."""
        red, green, blue = (int(self.colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
        found = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        every, line, _ = self.texture or (1.0, 0.0, 0)
        return found + (1 - found) * line / every


KINDS = tuple(
    Kind(field, PART_LABELS[field], colour, glyph, ascii_glyph, texture)
    for field, colour, glyph, ascii_glyph, texture in (
        ("router_wait_s", "#E69F00", "░", ".", (6, 2.6, 45)),
        ("throttle_wait_s", "#F0E442", "┄", "~", (8, 1, 0)),
        ("queue_wait_s", "#D55E00", "▒", ":", (5, 0.5, -45)),
        ("load_s", "#CC79A7", "◆", "L", (7, 2.5, 90)),
        ("slot_setup_s", "#8C564B", "╌", "-", (4, 0.6, 0)),
        ("prefill_s", "#56B4E9", "▓", "+", None),
        ("thinking_s", "#882255", "▤", "*", (7, 2, -45)),
        ("decode_s", "#0072B2", "█", "#", None),
        ("client_s", "#000000", "▌", "c", None),
        ("tool_s", "#009E73", "▚", "T", (8, 1.5, 60)),
        ("harness_s", "#999999", "│", "h", None),
        ("not_attributed_s", "#BBBBBB", "?", "?", (9, 2.5, 30)),
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
