"""Machines side by side: the answer and bars on a terminal, the same as Markdown, and as JSON."""

from __future__ import annotations

import json

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.machines import MachineComparison, ends_of
from harness.report.answer import answer_markdown, print_answer
from harness.report.summary import to_plain
from harness.report.text import markdown, plain, shortened
from harness.units import count, size
from harness.wording.answer import AnswerTable
from harness.wording.machines_answer import carries_text, machines_answer, time_text, what_of

__all__ = ["machines_markdown", "machines_text", "print_machines"]

MACHINES_VERSION = 1
_LONGEST_NAME = 20
_BAR = 24  # cells


def print_machines(found: MachineComparison, console: Console) -> None:
    """Print the answer, and below it a bar for each machine and pipeline, with its interval."""
    answer = machines_answer(found)
    print_answer(answer._replace(table=None), console)
    ascii_only = console.options.ascii_only
    if answer.table is not None:
        console.print()
        console.print(_table(answer.table, ascii_only))
    glyph = "#" if ascii_only else "█"
    for pipeline, path in dict.fromkeys((t.pipeline, t.path) for one in found.machines for t in one.times):
        console.print(Text(f"\n{plain(pipeline)}: time of a {what_of(path)}", style="bold"))
        rows = [(one, time) for one in found.ranked for time in one.times if time.pipeline == pipeline]
        longest_s = max((time.time.value for _, time in rows if time.time), default=0.0)
        width = min(_LONGEST_NAME, max(len(plain(one.name)) for one, _ in rows))
        for one, time in rows:
            cells = round(_BAR * time.time.value / longest_s) if time.time and longest_s > 0 else 0
            line = Text(f"{shortened(plain(one.name), width):<{width}}  ", no_wrap=True)
            line.append(f"{glyph * max(1, cells):<{_BAR}}", style="#0072B2")
            console.print(line.append(f"  {time_text(time)}"), soft_wrap=True)


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
    heads += [f"{pipeline}: {what_of(path)}" for pipeline, path in pipelines]
    heads += ["goals", "memory needed", "memory there", "price"]
    lines = [f"# {markdown(found.workload)} on {count(len(found.machines), 'machine')}", ""]
    lines += answer_markdown(machines_answer(found)._replace(table=None))
    lines += [f"| {' | '.join(map(markdown, heads))} |", "|" + "---|" * len(heads)]
    for one in found.ranked:
        times = {time.pipeline: time_text(time) for time in one.times}
        cells = [one.name, one.machine, one.model, one.origin, one.candidate or "-"]
        cells += [times.get(pipeline, "-") for pipeline, _ in pipelines]
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
            row["interval_s"] = list(ends_of(time.time) or ()) or None if time.time else None
        machines.append(flat)
    answer = to_plain(machines_answer(found))
    best = found.best
    whole = {"machines_version": MACHINES_VERSION, "workload": found.workload, "best": best.name if best else None}
    return json.dumps({**whole, "machines": machines, "answer": answer}, indent=2, allow_nan=False) + "\n"
