"""The chart of a comparison between runs: each ratio with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt

from harness.analysis.between import Between
from harness.analysis.statistics import EQUIVALENCE
from harness.errors import UserError
from harness.report.chart_style import Layout, rows_of, styled, titled
from harness.report.text import plain

__all__ = ["between_charts"]

_COLOURS = {"faster": "#009E73", "now works": "#009E73", "slower": "#D55E00", "now fails": "#D55E00"}
_OTHER = "#555555"


def between_charts(parts: Sequence[Between | UserError], layout: Layout) -> dict[str, alt.TopLevelMixin]:
    """Return the charts, by the names that the page has for them."""
    charts = {f"ratio-{n}": _chart(part, layout) for n, part in enumerate(parts) if isinstance(part, Between)}
    return {name: chart for name, chart in charts.items() if chart is not None}


def _chart(found: Between, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw each ratio with its interval, over the band within which two times are equal."""
    rows: list[dict[str, Any]] = []
    for row in found.rows:
        if row.comparison is not None:
            low, high = row.ends
            rows.append(
                {
                    "candidate": f"{plain(row.candidate)} ({row.what})",
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
