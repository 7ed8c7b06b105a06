"""Machines side by side: the answer and bars on a terminal, the same as Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.machines import MachineComparison
from harness.analysis.statistics import Estimate, ends_of
from harness.report.answer import answer_markdown, print_answer
from harness.report.summary import to_plain
from harness.report.text import markdown, plain, shortened
from harness.units import count, size
from harness.wording.answer import AnswerTable
from harness.wording.machines_answer import (
    FIRSTS,
    carries_text,
    first_token_text,
    machines_answer,
    time_text,
    what_of,
)

__all__ = ["machines_markdown", "machines_text", "print_machines"]

MACHINES_VERSION = 1
_LONGEST_NAME = 20
_BAR = 24  # cells
_MARK, _GAP = 2, 2  # cells of the table: before a name, between columns


def print_machines(found: MachineComparison, console: Console) -> None:
    """Print the answer, and below it a bar for each machine and pipeline, with its interval."""
    answer = machines_answer(found)
    print_answer(answer._replace(table=None), console)
    ascii_only = console.options.ascii_only
    if answer.table is not None:
        console.print()
        console.print(_table(_fitting(answer.table, console.width), ascii_only))
    glyph = "#" if ascii_only else "█"
    for pipeline, path in dict.fromkeys((t.pipeline, t.path) for one in found.machines for t in one.times):
        rows = [(one.name, time) for one in found.ranked for time in one.times if time.pipeline == pipeline]
        bars = [(name, time.shown, time_text(time)) for name, time in rows]
        _print_bars(f"{pipeline}: time of a {what_of(path)}", bars, glyph, console)
        if any(time.first_token for _, time in rows):
            bars = [(name, time.first_shown, first_token_text(time)) for name, time in rows]
            _print_bars(f"{pipeline}: first token of a reply", bars, glyph, console)


def _print_bars(title: str, bars: Sequence[tuple[str, Estimate | None, str]], glyph: str, console: Console) -> None:
    """Print a bar for each machine, with what is known of it in words."""
    console.print(Text(f"\n{plain(title)}", style="bold"))
    longest_s = max((found.value for _, found, _ in bars if found), default=0.0)
    width = min(_LONGEST_NAME, max(len(plain(name)) for name, _, _ in bars))
    for name, found, text in bars:
        cells = round(_BAR * found.value / longest_s) if found and longest_s > 0 else 0
        line = Text(f"{shortened(plain(name), width):<{width}}  ", no_wrap=True)
        line.append(f"{glyph * max(1, cells):<{_BAR}}", style="#0072B2")
        console.print(line.append(f"  {text}"), soft_wrap=True)


def _fitting(table: AnswerTable, width: int) -> AnswerTable:
    """Leave first tokens out where the table is too wide: they have bars below it."""
    columns = list(zip(table.columns, *(row.cells for row in table.rows), strict=True))
    needed = _MARK + max(len(plain(row.label)) for row in table.rows)
    needed += sum(_GAP + max(len(plain(text)) for text in (*head, *cells)) for head, *cells in columns)
    if needed <= width:
        return table
    kept = [n for n, (_, below) in enumerate(table.columns) if below != FIRSTS]
    rows = tuple(row._replace(cells=tuple(row.cells[n] for n in kept)) for row in table.rows)
    return AnswerTable(tuple(table.columns[n] for n in kept), rows)


def _table(found: AnswerTable, ascii_only: bool) -> Table:
    """Lay out a row for every machine, the recommended one first."""
    table = Table(
        box=box.ASCII if ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 0, 0, 1)
    )
    table.add_column("machine")
    for above, below in found.columns:
        table.add_column(Text(f"{plain(above)}\n{plain(below)}"), justify="right", overflow="fold")
    for row in found.rows:
        mark = (">" if ascii_only else "→") if row.recommended else " "
        label = Text(f"{mark} {plain(row.label)}", style="bold" if row.recommended else "")
        table.add_row(label, *map(Text, row.cells))
    return table


def machines_markdown(found: MachineComparison) -> str:
    """Return the answer and every machine as Markdown."""
    pipelines = list(dict.fromkeys((t.pipeline, t.path) for one in found.machines for t in one.times))
    heads = ["machine", "what it is", "model", "profile", "candidate"]
    firsts = {time.pipeline for one in found.machines for time in one.times if time.first_token}
    for pipeline, path in pipelines:
        heads.append(f"{pipeline}: {what_of(path)}")
        heads += [f"{pipeline}: first token"] if pipeline in firsts else []
    heads += ["goals", "memory needed", "memory there", "price"]
    lines = [f"# {markdown(found.workload)} on {count(len(found.machines), 'machine')}", ""]
    lines += answer_markdown(machines_answer(found)._replace(table=None))
    lines += [f"| {' | '.join(map(markdown, heads))} |", "|" + "---|" * len(heads)]
    for one in found.ranked:
        times = {time.pipeline: time for time in one.times}
        cells = [one.name, one.machine, one.model, one.origin, one.candidate or "-"]
        for pipeline, _ in pipelines:
            time = times.get(pipeline)
            cells.append(time_text(time) if time else "-")
            if pipeline in firsts:
                cells.append(first_token_text(time) if time else "-")
        cells += [carries_text(one)]
        cells += ["not known" if n is None else size(n) for n in (one.needed_bytes, one.there_bytes)]
        cells += ["-" if one.price is None else f"{one.price:g}"]
        lines.append(f"| {' | '.join(map(markdown, cells))} |")
    return "\n".join(lines) + "\n"


def machines_text(found: MachineComparison) -> str:
    """Return everything as JSON: raw numbers, with the interval of each time over draws and profile."""
    machines = []
    for one in found.machines:
        flat = to_plain(one)
        for row, time in zip(flat["times"], one.times, strict=True):
            row["interval_s"] = _interval_s(time.time)
            row["first_token_interval_s"] = _interval_s(time.first_token)
        machines.append(flat)
    answer = to_plain(machines_answer(found))
    best = found.best
    whole = {"machines_version": MACHINES_VERSION, "workload": found.workload, "best": best.name if best else None}
    return json.dumps({**whole, "machines": machines, "answer": answer}, indent=2, allow_nan=False) + "\n"


def _interval_s(found: Estimate | None) -> list[float] | None:
    ends = None if found is None else ends_of(found)
    return None if ends is None else list(ends)
