"""Comparisons between runs as one HTML page, in the style of a run's report: the verdict first, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.analysis.between import Between, BetweenRow
from harness.analysis.summaries import Summary
from harness.errors import UserError
from harness.report import drawing
from harness.report.drawing import Group
from harness.report.page import page
from harness.units import count
from harness.wording.between_answer import between_answer, warnings_between
from harness.wording.comparisons import BetweenText, compared
from harness.wording.figures import fact_text

if TYPE_CHECKING:
    from harness.report.chart_style import Layout

__all__ = ["between_html"]

_MEANINGS = {
    "measured": "a real engine answered",
    "emulated": "the real harness ran against a simulated server",
    "estimated": "simulated on a model of the server that is estimated from data sheets; nothing was measured",
    "predicted": "simulated on a fitted model of the server; no engine ran",
    "published": "published by others",
    "assumed": "an assumption",
}


_CAPTIONS = {
    "batch": "Batch path: pipeline time",
    "interactive": "Interactive path: reply time",
    "first token": "Interactive path: first token of the reply",
}


class _Shown(NamedTuple):
    headline: str  # in a few words; of several comparisons with the run that it is about
    sentence: str  # the same in whole; "": there is no more to say
    found: Between | None
    text: BetweenText | None
    chart: str
    figures: tuple[tuple[str, tuple[BetweenRow, ...]], ...]  # a caption, and what it is of


class _Fact(NamedTuple):
    name: str
    values: tuple[str, ...]
    differs: bool


class Figure(NamedTuple):
    """One of the numbers at the top."""

    label: str
    value: str
    below: tuple[str, ...]
    origin: str


def between_html(runs: Sequence[tuple[str, Summary]], parts: Sequence[Between | UserError], command: str) -> str:
    """Return the page. `runs` are named summaries, the one that the others are held to first.

    `parts` has for each of the others how it compares, or why it cannot be compared.
    """
    drawings = drawing.drawn([_charts_of(parts)])
    shown = [_shown(part, n, [run for _, run in runs], len(parts)) for n, part in enumerate(parts)]
    found = [part for part in parts if isinstance(part, Between)]
    origins = list(dict.fromkeys(run.run.origin for _, run in runs))
    names = [name for name, _ in runs]
    warnings = warnings_between(found)
    return page(
        "compare.html.j2",
        drawings.made,
        {"ratio": _ratio, "interval": lambda row: "{:.3f} to {:.3f}".format(*row.ends)},
        title=f"{' and '.join(names[1:])} against {names[0]}",
        origin=", ".join(origins),
        names=names,
        parts=shown,
        figures=_figures(found, ", ".join(origins)),
        warnings=warnings,
        notices=[notice for notice in dict.fromkeys(_notices(shown)) if notice not in warnings],
        facts=_facts([run for _, run in runs]),
        command=command,
        origins=origins,
        meanings=_MEANINGS,
        lacking_charts=drawings.lacking,
    )


def _shown(part: Between | UserError, number: int, runs: Sequence[Summary], parts: int) -> _Shown:
    if isinstance(part, UserError):
        return _Shown(f"{part}.".replace("..", "."), "", None, None, "", ())
    headline, text = between_answer([part], runs).headline, compared(part)
    named = f"{part.now}: {headline}" if parts > 1 else headline
    return _Shown(named, text.sentence, part, text, f"ratio-{number}", _by_figure(part.rows))


def _notices(parts: Sequence[_Shown]) -> Iterator[str]:
    for part in parts:
        yield from part.text.notices if part.text else ()


def _figures(found: Sequence[Between], origin: str) -> list[Figure]:
    """Return up to three changes: what became worse first, and of those alike the largest difference."""
    rows = [(one, row) for one in found for row in one.rows if row.verdict in _RANK]
    rows.sort(key=lambda pair: (_RANK[pair[1].verdict], -_size(pair[1])))
    return [_figure(row, f", in {one.now}" if len(found) > 1 else "", origin) for one, row in rows[:3]]


# The first tiles are of what became worse, however much something else gained.
_RANK = {"now fails": 0, "slower": 1, "now works": 2, "faster": 2}


def _size(row: BetweenRow) -> float:
    """How far a ratio is from 1; of jobs that fail or work now it is more than any."""
    if row.comparison is None or row.verdict in ("now fails", "now works"):
        return math.inf
    return max(row.comparison.ratio, 1 / row.comparison.ratio)


def _figure(row: BetweenRow, of_run: str, origin: str) -> Figure:
    label = f"{row.verdict}: {row.candidate}, {row.what}{' path' if row.figure == 'time' else ''}{of_run}"
    if row.verdict in ("now fails", "now works"):
        failed = row.failed_now if row.verdict == "now fails" else row.failed_before
        return Figure(
            label, f"{count(failed, 'job')} failed", (f"{row.failed_before} before, {row.failed_now} now",), origin
        )
    ends = ("{:.3f} to {:.3f}".format(*row.ends),) if row.comparison and row.comparison.low is not None else ()
    return Figure(label, f"{_ratio(row)} times", ends, origin)


def _by_figure(rows: Sequence[BetweenRow]) -> tuple[tuple[str, tuple[BetweenRow, ...]], ...]:
    figures = dict.fromkeys(row.what for row in rows)
    return tuple((_CAPTIONS[what], tuple(row for row in rows if row.what == what)) for what in figures)


def _charts_of(parts: Sequence[Between | UserError]) -> Group:
    """Return what draws the comparisons; it is imported when they are drawn."""

    def charts(layout: Layout) -> Mapping[str, Any]:
        from harness.report.between_chart import between_charts

        return between_charts(parts, layout)

    return charts


def _ratio(row: BetweenRow) -> str:
    return "–" if row.comparison is None else f"{row.comparison.ratio:.3f}"


def _facts(runs: Sequence[Summary]) -> list[_Fact]:
    """Return what the runs ran on, a row for each fact."""
    columns = [_of(run) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, tuple(column.get(name, "–") for column in columns)) for name in names]
    return [_Fact(name, values, len(set(values)) > 1 and name != "started at") for name, values in rows]


def _of(run: Summary) -> Mapping[str, str]:
    head = run.run
    facts = {"started at": head.started_at, "numbers are": head.origin}
    for key, value in head.machine.items():
        # Two machines of 16 GB differ by some MB, and one sees in which direction.
        in_mb = key.endswith("_bytes") and isinstance(value, int)
        facts[key.removesuffix("_bytes").replace("_", " ")] = (
            f"{value / 1e6:.0f} MB" if in_mb else fact_text(key, value)
        )
    for server in head.servers:
        slots = "slots not known" if server.slots_found is None else count(server.slots_found, "slot")
        facts[f"server {server.name}"] = ", ".join(
            part for part in (server.kind, server.version, server.model, slots) if part
        )
    for candidate in run.candidates:
        facts[f"candidate {candidate.name}"] = "; ".join(
            f"{use.server}: {count(use.slots, 'slot')}, {use.concurrency}, {use.scheduling}"
            for use in candidate.servers
        )
    return {**facts, "repeats": str(head.repeats), "seed": str(head.seed)}
