"""The charts of a comparison of machines: for each pipeline a bar by machine, its interval, and the goal."""

from __future__ import annotations

from typing import Any

import altair as alt

from harness.analysis.machines import MachineComparison
from harness.analysis.statistics import ends_of
from harness.core.records import Path
from harness.report.chart_style import Layout, rows_of, styled, titled
from harness.report.text import plain
from harness.units import seconds
from harness.wording.machines_answer import time_text, what_of

__all__ = ["machines_charts"]

_COLOURS = {"yes": "#009E73", "no goal": "#0072B2"}
_OTHER = "#D55E00"


def machines_charts(found: MachineComparison, layout: Layout) -> dict[str, alt.TopLevelMixin]:
    """Return the charts by name: `machines-0` for the first pipeline, and so on."""
    pipelines = dict.fromkeys((t.pipeline, t.path) for one in found.machines for t in one.times)
    return {f"machines-{n}": _chart(found, *pipeline, layout) for n, pipeline in enumerate(pipelines)}


def _chart(found: MachineComparison, pipeline: str, path: Path, layout: Layout) -> alt.TopLevelMixin:
    rows: list[dict[str, Any]] = []
    goals: set[float] = set()
    for one in found.ranked:
        for time in one.times:
            if time.pipeline != pipeline or (shown := time.shown) is None:
                continue
            low, high = ends_of(shown) or (shown.value, shown.value)
            goals |= {goal.wanted_s for goal in time.goals if goal.goal != "first_token_s"}
            rows.append(
                {
                    "machine": plain(one.name),
                    "value": shown.value,
                    "zero": 0.0,
                    "low": low,
                    "high": high,
                    "text": time_text(time),
                    "colour": _COLOURS.get(one.carries, _OTHER),
                }
            )
    furthest = max((row["high"] for row in rows), default=1.0)
    near = sorted(goal for goal in goals if goal <= 2 * furthest)
    scale = alt.Scale(domain=[0, 1.05 * max(furthest, *near, 0.0)], nice=False)
    at = rows_of(layout, "machine", [row["machine"] for row in rows], layout.row + (8 if layout.axis_name else 16))
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=at.y)
    x = alt.X("zero:Q", title="seconds", scale=scale)
    colour = alt.Color("colour:N", scale=None)
    layers = [
        base.mark_bar(height=10, yOffset=at.offset).encode(x=x, x2="value:Q", color=colour),
        base.mark_rule(strokeWidth=2, color="#000000", yOffset=at.offset).encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q"
        ),
        base.mark_text(align="left", baseline="bottom", dx=3, dy=-6 + at.offset, fontSize=layout.font).encode(
            x=alt.X("zero:Q", scale=scale), text="text:N"
        ),
        *at.names,
    ]
    if near:
        data = alt.InlineData(values=[{"goal": goal} for goal in near])
        rule = alt.Chart(data).mark_rule(strokeDash=[5, 3], color="#555555")
        layers.insert(0, rule.encode(x=alt.X("goal:Q", scale=scale)))
    below = "line: interval over draws and profile; green: every goal is met"
    goal_text = f"dashed: goal {' and '.join(map(seconds, near))}" if near else ""
    chart = alt.layer(*layers).properties(
        width=layout.width,
        height=at.step * len(rows),
        title=titled(layout, f"Time of a {what_of(path)} of {plain(pipeline)}", below, goal_text),
    )
    return styled(chart, layout)
