"""Ladders side by side: a table for the terminal and rows for the chart."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.ladder import Ladder
from harness.report.text import plain
from harness.units import count, seconds

__all__ = ["ladder_report", "ladder_table"]


def ladder_table(ladders: Sequence[Ladder]) -> Table:
    """Return one table; with two ladders each quantity has a column for either, side by side."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("calls\nat once", justify="right")
    keys = [""] if len(ladders) == 1 else [f"\n{chr(ord('A') + number)}" for number in range(len(ladders))]
    for title in ("wall\nclock", "all\ntok/s", "each\ntok/s", "queue\nwait"):
        for key in keys:
            table.add_column(f"{title}{key}", justify="right", no_wrap=True)
    by_rung = [{row.concurrent: row for row in ladder.rows} for ladder in ladders]
    for rung in sorted(set().union(*by_rung)):
        rows = [rows.get(rung) for rows in by_rung]
        cells = [str(rung)]
        cells += [seconds(row.wall_s) if row else "-" for row in rows]
        cells += [_number(row.aggregate_tokens_per_s if row else None) for row in rows]
        cells += [_number(row.per_call_tokens_per_s if row else None) for row in rows]
        cells += [seconds(row.queue_wait_s) if row and row.queue_wait_s is not None else "-" for row in rows]
        table.add_row(*cells)
    return table


def ladder_report(ladders: Sequence[Ladder]) -> Group:
    """Return what `slotwise probe` prints: which server is which, its slots, and the table."""
    lines = []
    for number, ladder in enumerate(ladders):
        name = f"{chr(ord('A') + number)}: {ladder.label}" if len(ladders) > 1 else ladder.label
        asked = "" if ladder.slots_asked is None else f", {ladder.slots_asked} asked"
        slots = "not probed" if ladder.slots_found is None else f"{ladder.slots_found} found"
        line = Text(plain(name), style="bold").append(f"  slots: {slots}{asked} ({ladder.origin})", style="not bold")
        if None not in (ladder.slots_asked, ladder.slots_found) and ladder.slots_asked != ladder.slots_found:
            line.append("  not what was asked for", style="bold yellow")
        lines.append(line)
    parts: list[RenderableType] = [*lines, Text(""), ladder_table(ladders)]
    for ladder in ladders:
        short = sum(row.short_answers for row in ladder.rows)
        if short:
            said = f"{count(short, 'answer')} stopped before the pinned length; rates go by the tokens really made."
            parts.append(Text(plain(f"{ladder.label}: {said}")))
    return Group(*parts)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.1f}"
