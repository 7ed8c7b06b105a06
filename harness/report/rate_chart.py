"""Times over the rate at which jobs come: where the queue begins to grow, on one machine beside another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from harness.analysis.arriving import ArrivingJobs
from harness.analysis.deciding import QueueGrowth
from harness.report.chart_style import WIDE, Layout, colour_of, dash_of, narrow_axis, plain_names, styled, titled
from harness.report.text import plain

__all__ = ["RatePanel", "rate_chart"]


class RatePanel(NamedTuple):
    """One run in the chart."""

    title: str  # such as `measured on 2 cores`
    arriving: tuple[ArrivingJobs, ...]  # of one pipeline, a candidate each
    growth: QueueGrowth


def rate_chart(panels: Sequence[RatePanel], layout: Layout = WIDE) -> alt.TopLevelMixin | None:
    """Draw the median time of the jobs of each tenth of the time over the rate expected then, a panel for each run.

    A dotted line is the rate at which the queue begins to grow under a candidate. None where no rate is known.
    """
    drawn = [chart for panel in panels if (chart := _panel(panel, layout)) is not None]
    return styled(alt.vconcat(*drawn), layout) if drawn else None


def _panel(panel: RatePanel, layout: Layout) -> alt.LayerChart | alt.FacetChart | None:
    rows: list[dict[str, Any]] = [
        {"candidate": plain(one.candidate), "rate": at.expected_per_s, "seconds": at.time_s}
        for one in panel.arriving
        for at in one.stretches
        if at.time_s is not None and at.expected_per_s is not None
    ]
    if not rows:
        return None
    names = plain_names(one.candidate for one in panel.arriving)
    what = "reply time" if panel.arriving[0].path == "interactive" else "pipeline time"
    x = alt.X("rate:Q", title="jobs a second that are expected to arrive", scale=alt.Scale(zero=True))
    y = alt.Y("seconds:Q", title=f"{what}, seconds", scale=alt.Scale(zero=True), axis=narrow_axis(layout))
    colour = colour_of(layout, "candidate", names)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=colour)
    grows = [{"candidate": plain(name), "rate": rate.value} for name, rate in panel.growth.rates]
    rules = alt.Chart(alt.InlineData(values=grows)).mark_rule(strokeWidth=1.5, strokeDash=[2, 3])
    said = [
        f"{plain(name)}: the queue grows from {rate.value:.1f} jobs a second on" for name, rate in panel.growth.rates
    ]
    said += [f"{plain(name)}: no queue stays" for name in panel.growth.none]
    layers = [
        base.mark_line(strokeWidth=2).encode(strokeDash=dash_of(layout, "candidate", names), order="rate:Q"),
        base.mark_circle(size=40, opacity=1),
        *([rules.encode(x=x, color=colour)] if grows else []),
    ]
    return alt.layer(*layers).properties(
        width=layout.width,
        height=layout.height,
        title=titled(
            layout,
            f"{what.capitalize()} of {plain(panel.growth.pipeline)} over the arrival rate ({panel.title})",
            "medians of each tenth of the time, all repeats; dotted: from there on a call always waits",
            *said,
        ),
    )
