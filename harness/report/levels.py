"""Concurrency levels of servers side by side: a table for the terminal and rows for the chart."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.levels import Levels
from harness.report.answer import print_answer
from harness.report.text import plain
from harness.units import count, seconds
from harness.wording.levels_answer import levels_answer

__all__ = ["levels_report", "levels_table", "print_levels"]


def print_levels(found: Sequence[Levels], machine: str, rounds: int, console: Console, *, full: bool = False) -> None:
    """Print the answer of a probe, and where `full` every level."""
    print_answer(levels_answer(found, machine, rounds), console)
    if full:
        console.print()
        console.print(levels_report(found))


def levels_table(found: Sequence[Levels]) -> Table:
    """Return one table; with two servers each quantity has a column for either, side by side."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("calls\nat once", justify="right")
    keys = [""] if len(found) == 1 else [f"\n{chr(ord('A') + number)}" for number in range(len(found))]
    titles = ("wall\nclock", "all\ntok/s", "each\ntok/s", "queue\nwait")
    columns = [f"{title}{key}" for title in titles for key in keys]
    lines: list[list[str]] = []
    by_level = [{row.concurrent: row for row in one.rows} for one in found]
    for concurrent in sorted(set().union(*by_level)):
        rows = [rows.get(concurrent) for rows in by_level]
        cells = [seconds(row.wall_s) if row else "-" for row in rows]
        cells += [_number(row.aggregate_tokens_per_s if row else None) for row in rows]
        cells += [_number(row.per_call_tokens_per_s if row else None) for row in rows]
        cells += [seconds(row.queue_wait_s) if row and row.queue_wait_s is not None else "-" for row in rows]
        lines.append([str(concurrent), *cells])
    kept = [n for n in range(len(columns)) if any(line[n + 1] != "-" for line in lines)]
    for n in kept:
        table.add_column(columns[n], justify="right", no_wrap=True)
    for line in lines:
        table.add_row(line[0], *(line[n + 1] for n in kept))
    return table


def levels_report(found: Sequence[Levels]) -> Group:
    """Return what `slotwise probe` prints: which server is which, its slots, and the table."""
    lines = []
    for number, one in enumerate(found):
        name = f"{chr(ord('A') + number)}: {one.label}" if len(found) > 1 else one.label
        asked = "" if one.slots_asked is None else f", {one.slots_asked} requested"
        more = "at least " if one.slots_at_least else ""
        slots = "not probed" if one.slots_found is None else f"{more}{one.slots_found} found"
        line = Text(plain(name), style="bold").append(f"  slots: {slots}{asked} ({one.origin})", style="not bold")
        if None not in (one.slots_asked, one.slots_found) and one.slots_asked != one.slots_found:
            line.append("  not what was requested", style="bold yellow")
        lines.append(line)
    parts: list[RenderableType] = [*lines, Text(""), levels_table(found)]
    for one in found:
        short = sum(row.short_answers for row in one.rows)
        if short:
            said = f"{count(short, 'answer')} stopped before the requested length; rates count the tokens generated."
            parts.append(Text(plain(f"{one.label}: {said}")))
    return Group(*parts)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.1f}"
