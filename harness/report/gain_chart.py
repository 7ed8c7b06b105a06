"""Where more slots pay: what the fastest other candidate takes against the simplest, by workload and machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from harness.analysis.deciding import Pays
from harness.report.chart_style import WIDE, Layout, colour_of, plain_names, styled, titled
from harness.report.text import plain
from harness.wording.ratios import interval_of

__all__ = ["GainRow", "gain_chart"]


class GainRow(NamedTuple):
    """One workload on one machine."""

    workload: str
    machine: str
    pays: Pays


def gain_chart(rows: Sequence[GainRow], layout: Layout = WIDE) -> alt.TopLevelMixin | None:
    """Draw a point for each row, left of 1 where the fastest other candidate takes less time, with its interval."""
    if not rows:
        return None
    workloads, machines = plain_names(row.workload for row in rows), plain_names(row.machine for row in rows)
    values = []
    for row in rows:
        low, high = interval_of(row.pays.best) or (row.pays.best.ratio, row.pays.best.ratio)
        ends = {"low": low, "high": min(high, _MOST), "ratio": min(row.pays.best.ratio, _MOST)}
        values.append({"workload": plain(row.workload), "machine": plain(row.machine), **ends})
    scale = alt.Scale(type="log", domainMin=_LEAST, domainMax=_MOST, clamp=True)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("workload:N", title=None, sort=workloads, axis=alt.Axis(labelLimit=0)),
        yOffset=alt.YOffset("machine:N", sort=machines),
        color=colour_of(layout, "machine", machines),
    )
    axis = alt.Axis(values=[0.125, 0.25, 0.5, 0.75, 1, 1.5, 2], format="~g")
    x = alt.X("ratio:Q", title="time against the simplest candidate (1: the same)", scale=scale, axis=axis)
    even = alt.Chart(alt.InlineData(values=[{"ratio": 1}])).mark_rule(color="#555555").encode(x="ratio:Q")
    ends = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q")
    chart = alt.layer(even, ends, base.mark_circle(size=60, opacity=1).encode(x=x)).properties(
        width=layout.width,
        height=alt.Step(13),
        title=titled(
            layout,
            "Where slots pay: the fastest other candidate against the simplest",
            "batch jobs: left of 1 they take less time, right of 1 more; lines are 95 % intervals",
        ),
    )
    return styled(chart, layout)


_LEAST, _MOST = 0.1, 3.0
