"""Charts of a search: its Pareto front, and how the answer holds as jobs come faster."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from harness.recommend.model import Point, Recommendation
from harness.report.chart_style import WIDE, Layout, goal_rules, narrow_axis, side_by_side, styled, titled
from harness.report.charts import goals_of
from harness.report.detail_charts import point_labels
from harness.report.text import numbered, plain
from harness.units import size

__all__ = ["search_charts"]

_ANSWER = "#0072B2"
_OTHER = "#888888"


def search_charts(found: Recommendation, layout: Layout = WIDE) -> dict[str, alt.TopLevelMixin]:
    """Return these charts by the keys of their sections; those without data are left out."""
    charts = {"front": _front(found, layout), "load": _load(found, layout)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _front(found: Recommendation, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw the Pareto front: one path against the other, or memory against the one that there is."""
    points = [point for point in found.front if all(map(math.isfinite, point.times_s))]
    known = all(point.memory_bytes is not None for point in points)
    if len(points) < 2 or (len(found.paths) == 1 and not known):
        return None
    one_path = len(found.paths) == 1
    labels, legend = numbered([_label(point, known and not one_path) for point in points], layout.point_name)
    middle_s = (min(point.times_s[0] for point in points) + max(point.times_s[0] for point in points)) / 2
    rows: list[dict[str, Any]] = [
        {
            "candidate": plain(point.candidate),
            "across": point.times_s[0],
            "up": (point.memory_bytes or 0) / 1e6 if one_path else point.times_s[1],
            "memory, MB": (point.memory_bytes or 0) / 1e6,
            "meets": "meets the goals" if point.meets_goals else "misses a goal",
            "chosen": point.chosen,
            "label": labels[_label(point, known and not one_path)],
            "left": point.times_s[0] > middle_s,
        }
        for point in points
    ]
    near = alt.Scale(zero=False, nice=True, padding=14)  # points lie close together, and nobody compares lengths here
    x = alt.X("across:Q", title=f"{found.paths[0]} time, seconds", scale=near)
    other = "memory" if one_path else f"{found.paths[1]} time"
    title = "memory, MB" if one_path else f"{found.paths[1]} time, seconds"
    y = alt.Y("up:Q", title=title, scale=near, axis=narrow_axis(layout))
    base = alt.Chart(alt.InlineData(values=rows))
    filled = alt.Color(
        "meets:N",
        title=None,
        scale=alt.Scale(domain=["meets the goals", "misses a goal"], range=[_ANSWER, "white"]),
        legend=None,
    )
    dot = base.mark_circle(opacity=1, stroke=_ANSWER, strokeWidth=1.5)
    area = alt.Size("memory, MB:Q", scale=alt.Scale(range=[60, 260], zero=True), legend=None)
    large = "; larger dots: more memory" if known and not one_path else ""
    hollow = "; hollow: misses a goal" if not all(point.meets_goals for point in points) else ""
    chart = alt.layer(
        dot.encode(x=x, y=y, color=filled, **({"size": area} if known and not one_path else {"size": alt.value(110)})),
        *point_labels(layout, rows, x, y),
    ).properties(
        width=layout.pair if layout is not WIDE else layout.width,
        height=layout.height + 60,
        title=titled(
            layout,
            f"{found.paths[0].capitalize()} time against {other} (predicted)",
            "means over the draws of the search; nearer to the corner is better; the ring marks the "
            f"recommended one{large}{hollow}",
            *legend,
        ),
    )
    return styled(chart, layout)


def _label(point: Point, with_memory: bool) -> str:
    name = plain(point.candidate)
    return f"{name} ({size(point.memory_bytes)})" if with_memory and point.memory_bytes is not None else name


def _load(found: Recommendation, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw the answer's times by the rate at which jobs come, and between which the finalists lie."""
    rows = [row for row in found.load if row.times_s and all(map(math.isfinite, row.times_s))]
    if len(rows) < 2:
        return None
    panels = []
    for number, path in enumerate(found.paths):
        data = [
            {
                "rate": row.rate,
                "seconds": row.times_s[number],
                "fastest": row.times_s[number] / row.answer[number],
                "slowest": row.times_s[number] / row.answer[number] * row.spread[number],
            }
            for row in rows
        ]
        what = "reply time" if path == "interactive" else "pipeline time"
        base = alt.Chart(alt.InlineData(values=data))
        x = alt.X(
            "rate:Q",
            title="arrival rate, over that of the workload",
            axis=alt.Axis(values=[row.rate for row in rows], format="~g", grid=False),
            scale=alt.Scale(domain=[0, 1.05 * max(row.rate for row in rows)], nice=False),
        )
        goals = {}
        if path == "interactive":
            pipelines = [s.pipeline for s in found.analysis.candidates[0].pipelines if s.path == path]
            goals = goals_of(found.analysis, pipelines[0], {"p50_s": "median"}) if len(pipelines) == 1 else {}
        rules, far = goal_rules(layout, goals, max(row["slowest"] for row in data), along="y")
        scale = alt.Scale(zero=True)
        panels.append(
            alt.layer(
                base.mark_area(color=_OTHER, opacity=0.2).encode(
                    x=x, y=alt.Y("fastest:Q", title="seconds", scale=scale, axis=narrow_axis(layout)), y2="slowest:Q"
                ),
                base.mark_line(color=_ANSWER, strokeWidth=2).encode(x=x, y=alt.Y("seconds:Q", scale=scale)),
                base.mark_circle(color=_ANSWER, size=70, opacity=1).encode(x=x, y=alt.Y("seconds:Q", scale=scale)),
                *rules,
            ).properties(
                width=layout.pair,
                height=layout.height,
                title=titled(
                    layout,
                    f"{what.capitalize()} by load (predicted)",
                    "line: the recommended one",
                    "grey: from the fastest to the slowest finalist",
                    far,
                ),
            )
        )
    return styled(side_by_side(layout, panels), layout)
