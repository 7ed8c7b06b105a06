"""Comparisons between runs as one HTML page, in the style of a run's report: the verdict first, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import altair as alt

from harness.analysis.between import Between, BetweenRow, Summary
from harness.analysis.statistics import EQUIVALENCE
from harness.errors import UserError
from harness.report.chart_style import NARROW, WIDE, Layout, drawn, rows_of, styled, titled
from harness.report.page import page
from harness.report.text import plain
from harness.units import count
from harness.wording.comparisons import BetweenText, compared
from harness.wording.figures import fact_text

__all__ = ["between_html"]

_COLOURS = {"faster": "#009E73", "now works": "#009E73", "slower": "#D55E00", "now fails": "#D55E00"}
_OTHER = "#555555"
_MEANINGS = {
    "measured": "a real engine answered",
    "emulated": "the real harness ran against a simulated server",
    "predicted": "simulated on a fitted model of the server; no engine ran",
    "published": "published by others",
    "assumed": "an assumption",
}


class _Shown(NamedTuple):
    sentence: str
    found: Between | None
    text: BetweenText | None
    chart: str
    paths: tuple[tuple[str, tuple[BetweenRow, ...]], ...]


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
    wide, narrow = (_charts(parts, layout) for layout in (WIDE, NARROW))
    shown = [
        _Shown(text.sentence, part, text, f"ratio-{n}", _by_path(part.rows))
        if isinstance(part, Between) and (text := compared(part))
        else _Shown(f"{part}.".replace("..", "."), None, None, "", ())
        for n, part in enumerate(parts)
    ]
    found = [part for part in parts if isinstance(part, Between)]
    origins = list(dict.fromkeys(run.run.origin for _, run in runs))
    names = [name for name, _ in runs]
    return page(
        "compare.html.j2",
        drawn(wide, narrow),
        {"ratio": _ratio, "interval": lambda row: "{:.3f} to {:.3f}".format(*_ends(row))},
        title=f"{' and '.join(names[1:])} against {names[0]}",
        origin=", ".join(origins),
        names=names,
        parts=shown,
        figures=_figures(found, ", ".join(origins)),
        notices=list(dict.fromkeys(notice for one in shown if one.text for notice in one.text.notices)),
        facts=_facts([run for _, run in runs]),
        command=command,
        origins=origins,
        meanings=_MEANINGS,
    )


def _figures(found: Sequence[Between], origin: str) -> list[Figure]:
    """Return up to three ratios: those that were resolved, the largest difference first."""
    rows = [(one, row) for one in found for row in one.rows if row.verdict in ("faster", "slower") and row.comparison]
    rows.sort(
        key=lambda pair: -max(pair[1].comparison.ratio, 1 / pair[1].comparison.ratio) if pair[1].comparison else 0
    )
    of_run = len(found) > 1
    return [
        Figure(
            f"{row.verdict}: {row.candidate}, {row.path} path" + (f", in {one.now}" if of_run else ""),
            f"{_ratio(row)} times",
            ("{:.3f} to {:.3f}".format(*_ends(row)),) if row.comparison and row.comparison.low is not None else (),
            origin,
        )
        for one, row in rows[:3]
    ]


def _by_path(rows: Sequence[BetweenRow]) -> tuple[tuple[str, tuple[BetweenRow, ...]], ...]:
    paths = dict.fromkeys(row.path for row in rows)
    return tuple((path, tuple(row for row in rows if row.path == path)) for path in paths)


def _ratio(row: BetweenRow) -> str:
    return "–" if row.comparison is None else f"{row.comparison.ratio:.3f}"


def _ends(row: BetweenRow) -> tuple[float, float]:
    found = row.comparison
    assert found is not None
    return (found.ratio if found.low is None else found.low, found.ratio if found.high is None else found.high)


def _charts(parts: Sequence[Between | UserError], layout: Layout) -> dict[str, alt.TopLevelMixin]:
    charts = {f"ratio-{n}": _chart(part, layout) for n, part in enumerate(parts) if isinstance(part, Between)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _chart(found: Between, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw each ratio with its interval, over the band within which two times are equal."""
    rows: list[dict[str, Any]] = []
    for row in found.rows:
        if row.comparison is not None:
            low, high = _ends(row)
            rows.append(
                {
                    "candidate": f"{plain(row.candidate)} ({row.path})",
                    "ratio": row.comparison.ratio,
                    "low": low,
                    "high": high,
                    "verdict": row.verdict,
                    "colour": _COLOURS.get(row.verdict, _OTHER),
                }
            )
    if not rows:
        return None
    furthest = min(100.0, max(1.2, *(max(row["high"], 1 / row["low"]) for row in rows)))
    scale = alt.Scale(type="log", domain=[1 / furthest, furthest], nice=False, clamp=True)
    axis = alt.Axis(format="~g", values=[n / 100 for n in _ticks(furthest)], grid=False)
    x = alt.X("low:Q", title="now over before, logarithmic; left of 1 is faster", scale=scale, axis=axis)
    at = rows_of(layout, "candidate", [row["candidate"] for row in rows])
    colour = alt.Color("colour:N", scale=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=at.y)
    band = alt.Chart(alt.InlineData(values=[{"from": 1 / EQUIVALENCE, "to": EQUIVALENCE, "one": 1}]))
    chart = alt.layer(
        band.mark_rect(color="#E6E6E6").encode(x=alt.X("from:Q", scale=scale, axis=axis), x2="to:Q"),
        band.mark_rule(color="#888888").encode(x=alt.X("one:Q", scale=scale)),
        base.mark_rule(strokeWidth=3, strokeCap="butt", yOffset=at.offset).encode(x=x, x2="high:Q", color=colour),
        base.mark_circle(size=90, opacity=1, yOffset=at.offset).encode(x=alt.X("ratio:Q", scale=scale), color=colour),
        *(
            alt.Chart(alt.InlineData(values=some))
            .mark_text(align=align, baseline="bottom", dx=dx, dy=-4 + at.offset, fontSize=layout.font)
            .encode(y=at.y, x=alt.X("ratio:Q", scale=scale), text="verdict:N")
            for align, dx, some in _sides(rows)
        ),
        *at.names,
    ).properties(
        width=layout.width,
        height=at.step * len(rows),
        title=titled(
            layout,
            f"Time of {plain(found.now)} over that of {plain(found.before)}",
            "dot: ratio; bar: its interval; grey: equal within 5 %",
        ),
    )
    return styled(chart, layout)


def _sides(rows: Sequence[dict[str, Any]]) -> list[tuple[Literal["left", "right"], int, list[dict[str, Any]]]]:
    """Return the rows whose words stand to the right of the dot, and those where there is more room to the left."""
    right, left = ([row for row in rows if (row["ratio"] > 1) == slower] for slower in (False, True))
    sides: list[tuple[Literal["left", "right"], int, list[dict[str, Any]]]] = [("left", 7, right), ("right", -7, left)]
    return [side for side in sides if side[2]]


def _ticks(furthest: float) -> list[int]:
    """Return hundredths at which the axis has a tick: finer where the ratios lie near one."""
    near = (80, 85, 90, 95, 100, 105, 110, 115, 120, 125)
    far = (1, 2, 5, 10, 20, 33, 50, 67, 80, 100, 125, 150, 200, 300, 500, 1000, 2000, 5000, 10000)
    return [n for n in (near if furthest <= 1.3 else far) if 1 / furthest <= n / 100 <= furthest]


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
        facts[key.removesuffix("_bytes").replace("_", " ")] = fact_text(key, value)
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
