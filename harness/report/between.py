"""Comparisons between runs, for the terminal and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.between import Between, BetweenRow, RunAnswer
from harness.analysis.summaries import Summary
from harness.report.answer import print_answer
from harness.report.summary import to_plain
from harness.report.text import markdown, plain
from harness.units import seconds
from harness.wording.between_answer import between_answer
from harness.wording.comparisons import compared

__all__ = ["between_markdown", "between_plain", "between_report", "print_between"]


def print_between(found: Sequence[Between], runs: Sequence[Summary], console: Console, *, full: bool = False) -> None:
    """Print the answer of a comparison, and where `full` its tables; `runs` are all of them."""
    print_answer(between_answer(found, runs), console)
    if full:
        console.print()
        console.print(between_report(found))


def between_report(found: Sequence[Between]) -> Group:
    """Return what `slotwise compare` prints: 80 columns, readable without colour."""
    return Group(*(block for one in found for block in _blocks(one)))


def between_markdown(found: Sequence[Between]) -> str:
    """Return the same as Markdown."""
    return "\n".join(line for one in found for line in _lines(one))


def between_plain(one: Between) -> dict[str, Any]:
    """Return the same as what `json` can write."""
    text = compared(one)
    return {
        "before": one.before,
        "now": one.now,
        "paired": one.unpaired is None,
        "method": text.method,
        "notices": list(text.notices),
        "answers": [_answer(answer) for answer in one.answers],
        "changed": list(text.changed),
        "rows": to_plain(one.rows),
        "verdict": one.verdict,
        "sentence": text.sentence,
    }


def _answer(answer: RunAnswer) -> dict[str, Any]:
    """Return what a run recommends, and its goals: each as a summary.json has it, with how sure it is."""
    goals = [
        {**to_plain(goal), "state": state, "interval_s": None if ends is None else list(ends)}
        for goal, state, ends in answer.goals
    ]
    return {"run": answer.run, "recommended": answer.recommended, "goals": goals}


def _blocks(one: Between) -> Iterator[RenderableType]:
    text = compared(one)
    yield Text(plain(text.sentence), style="bold")
    yield from (Text(f"- {plain(notice)}", style="yellow") for notice in text.notices)
    yield from (Text(plain(said)) for said in text.answers)
    if text.changed:
        yield Text("What else is different")
        yield from (Text(f"- {plain(change)}") for change in text.changed)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("candidate", "figure"):
        table.add_column(title)
    for title in ("before", "now", "ratio"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for row in one.rows:
        table.add_row(Text(plain(row.candidate)), *_cells(row))
    yield from (table, Text(""))
    yield from (Text(plain(text.method), style="dim"), Text(""))


def _lines(one: Between) -> Iterator[str]:
    text = compared(one)
    yield from (f"# {markdown(one.now)} against {markdown(one.before)}", "", markdown(text.sentence), "")
    yield from (f"- {markdown(notice)}" for notice in text.notices)
    if text.notices:
        yield ""
    if text.answers:
        yield from (*(f"- {markdown(said)}" for said in text.answers), "")
    if text.changed:
        yield from ("What else is different:", "", *(f"- {markdown(change)}" for change in text.changed), "")
    yield "| candidate | figure | before | now | ratio | verdict |"
    yield "|---|---|---:|---:|---:|---|"
    for row in one.rows:
        cells = (re.sub(r"\n(.*)", r" (\1)", cell) for cell in _cells(row))
        yield f"| {markdown(row.candidate)} | {' | '.join(cells)} |"
    yield ""
    yield from (markdown(text.method), "")


def _cells(row: BetweenRow) -> tuple[str, ...]:
    failed = row.failed_now or row.failed_before
    verdict = f"{row.verdict} (failed jobs: {row.failed_before}, now {row.failed_now})" if failed else row.verdict
    return (row.what, _time(row.before_s), _time(row.now_s), _ratio(row), verdict)


def _time(value_s: float | None) -> str:
    return "-" if value_s is None else seconds(value_s)


def _ratio(row: BetweenRow) -> str:
    if row.comparison is None:
        return "-"
    interval = row.comparison.interval
    return f"{row.comparison.ratio:.3f}" + ("" if interval is None else "\n{:.3f} to {:.3f}".format(*interval))
