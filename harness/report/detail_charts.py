"""Charts of what lies behind the analysis: distributions, nodes, one path against the other, the score."""

from __future__ import annotations

from typing import Any

import altair as alt

from harness.analysis.arriving import ArrivingJobs
from harness.analysis.details import Details, NodeTime, TimeDistribution
from harness.analysis.front import PathTime
from harness.analysis.model import Analysis
from harness.predict.score import ScoreRow
from harness.report.bars import KINDS
from harness.report.chart_style import (
    WIDE,
    Layout,
    colour_of,
    dash_of,
    goal_rules,
    kinds_colour,
    narrow_axis,
    no_legend,
    plain_names,
    rows_of,
    styled,
    titled,
)
from harness.report.charts import few, goals_of
from harness.report.text import numbered, plain
from harness.units import seconds

__all__ = ["detail_charts", "point_labels"]

_MOST_LABELS = 16  # of points; of more only those on the front have one
_MOST_NODES = 24  # in one panel; the table beside it has all of them


def detail_charts(
    analysis: Analysis, details: Details, score: tuple[ScoreRow, ...] = (), layout: Layout = WIDE
) -> dict[str, alt.TopLevelMixin]:
    """Return these charts by file name (without `.svg`); those without data are left out."""
    charts = {
        "latency": _latency(analysis, details, layout),
        "arrivals": _arrivals(analysis, details, layout),
        "node-split": _node_split(analysis, details, layout),
        "trade": _trade(analysis, details, layout),
        "score": _score(analysis, score, layout),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def _latency(analysis: Analysis, details: Details, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw the distribution functions: read up at a time, the share of jobs that took no longer.

    Left out where every repeat has one job: the dots of the pipeline time are these jobs already.
    """
    shown, rest = few(analysis)
    names = plain_names(shown)
    panels = []
    repeats = {(c.name, s.pipeline): len(s.time_by_repeat) for c in analysis.candidates for s in c.pipelines}
    curves = [
        curve
        for curve in details.distributions
        if curve.candidate in shown and curve.jobs > repeats.get((curve.candidate, curve.pipeline), 0)
    ]
    for pipeline in dict.fromkeys(curve.pipeline for curve in curves):
        mine = [curve for curve in curves if curve.pipeline == pipeline]
        rows: list[dict[str, Any]] = [
            {"candidate": plain(curve.candidate), "seconds": s, "share": share}
            for curve in mine
            for s, share in _steps(curve)
        ]
        what = "reply time" if mine[0].path == "interactive" else "pipeline time"
        jobs = sorted({curve.jobs for curve in mine})
        of_each = f"{jobs[0]} to {jobs[-1]}" if len(jobs) > 1 else f"{jobs[0]}"
        goals = goals_of(analysis, pipeline, {"p50_s": "median", "p95_s": "95th percentile"})
        rules, far = goal_rules(layout, goals, max(row["seconds"] for row in rows))
        lines = (
            alt.Chart(alt.InlineData(values=rows))
            .mark_line(interpolate="step-after", strokeWidth=2)
            .encode(
                x=alt.X("seconds:Q", title=f"{what}, seconds", scale=alt.Scale(zero=True, nice=True)),
                y=alt.Y("share:Q", title="share of jobs", axis=narrow_axis(layout, format="%", tickCount=5)),
                color=colour_of(layout, "candidate", names),
                strokeDash=dash_of(layout, "candidate", names),
                order=alt.Order("share:Q"),
            )
        )
        panels.append(
            alt.layer(lines, *rules).properties(
                width=layout.pair if layout.axis_name == 0 else layout.width,
                height=layout.height,
                title=titled(
                    layout,
                    f"All {what}s of {plain(pipeline)}, from the shortest on ({analysis.run.origin})",
                    f"share of jobs by the time they took: the median is at 50 %; {of_each} jobs a candidate{rest}",
                    far,
                    goals=len(rules) // 2,
                ),
            )
        )
    return styled(alt.vconcat(*panels), layout) if panels else None


def _steps(curve: TimeDistribution) -> list[tuple[float, float]]:
    return [(curve.points[0][0], 0.0), *curve.points]


def _arrivals(analysis: Analysis, details: Details, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw times by when jobs came, over the rate at which they came then."""
    shown, rest = few(analysis)
    names = plain_names(shown)
    panels = []
    found = [one for one in details.arriving if one.candidate in shown]
    for pipeline in dict.fromkeys(one.pipeline for one in found):
        mine = [one for one in found if one.pipeline == pipeline]
        panels += _arriving(analysis, mine, names, rest, layout)
    return styled(alt.vconcat(*panels), layout) if panels else None


def _arriving(
    analysis: Analysis, mine: list[ArrivingJobs], names: list[str], rest: str, layout: Layout
) -> list[alt.Chart | alt.LayerChart]:
    pipeline = mine[0].pipeline
    what = "reply time" if mine[0].path == "interactive" else "pipeline time"
    rows: list[dict[str, Any]] = [
        {"candidate": plain(one.candidate), "seconds": at.time_s, "came": (at.from_s + at.to_s) / 2}
        for one in mine
        for at in one.stretches
        if at.time_s is not None
    ]
    if not rows:
        return []
    last_s = max(at.to_s for one in mine for at in one.stretches)
    scale = alt.Scale(domain=[0, last_s], nice=False)
    x = alt.X("came:Q", title="seconds after the first job arrived", scale=scale)
    width = layout.pair if layout.axis_name == 0 else layout.width
    base = alt.Chart(alt.InlineData(values=rows)).encode(color=colour_of(layout, "candidate", names))
    y = alt.Y("seconds:Q", title=f"{what}, seconds", scale=alt.Scale(zero=True), axis=narrow_axis(layout))
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, strokeDash=dash_of(layout, "candidate", names))
    grows = [
        {"candidate": plain(one.candidate), "came": one.waits_from_s} for one in mine if one.waits_from_s is not None
    ]
    begin = alt.Chart(alt.InlineData(values=grows)).mark_rule(strokeWidth=1.5, strokeDash=[2, 3])
    goals = goals_of(analysis, pipeline, {"p50_s": "median"})
    rules, far = goal_rules(layout, goals, max(row["seconds"] for row in rows if row["seconds"]), along="y")
    times = alt.layer(
        line,
        base.mark_circle(size=40, opacity=1).encode(x=x, y=y),
        *([begin.encode(x=x, color=colour_of(layout, "candidate", names))] if grows else []),
        *rules,
    ).properties(
        width=width,
        height=layout.height,
        title=titled(
            layout,
            f"{what.capitalize()} of {plain(pipeline)} by arrival of the job ({analysis.run.origin})",
            f"medians of the jobs of each tenth of the time, all repeats{rest}; "
            "dotted: from then on a call always waits",
            *(_grows(one) for one in mine),
            far,
        ),
    )
    rates = (
        alt.Chart(alt.InlineData(values=[at._asdict() for at in mine[0].stretches]))
        .mark_bar(color="#BBBBBB", stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("from_s:Q", title="seconds after the first job arrived", scale=scale),
            x2="to_s:Q",
            y=alt.Y(
                "per_s:Q", title="jobs a second", axis=narrow_axis(layout, tickCount=4), scale=alt.Scale(zero=True)
            ),
            y2=alt.datum(0),
        )
        .properties(width=width, height=80)
    )
    return [times, rates]


def _grows(one: ArrivingJobs) -> str:
    """Say where the queue begins to grow."""
    name, at_s = plain(one.candidate), one.waits_from_s
    if at_s is None:
        return f"{name}: no queue stays"
    at = next((stretch for stretch in one.stretches if stretch.to_s >= at_s), one.stretches[-1])
    return f"{name}: the queue grows from {seconds(at_s)} on, at about {at.per_s:.1f} jobs a second"


def _node_split(analysis: Analysis, details: Details, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw the mean call of each node, of the candidates that are recommended.

    The one node of a pipeline is left out where the chart of its jobs shows the same.
    """
    shown = {settings.candidate for settings in analysis.choice.settings}
    groups: dict[tuple[str, str], list[NodeTime]] = {}
    for node_time in details.nodes:
        if node_time.candidate in shown:
            groups.setdefault((node_time.candidate, node_time.pipeline), []).append(node_time)
    panels = []
    used = [
        kind
        for kind in KINDS
        if any(getattr(n.parts, kind.field) > 0.005 * n.parts.total_s for mine in groups.values() for n in mine)
    ]
    for (candidate, pipeline), all_mine in groups.items():
        if len(all_mine) == 1 and _is_the_job(analysis, all_mine[0]):
            continue
        mine = all_mine
        if len(mine) > _MOST_NODES:
            mine = sorted(mine, key=lambda node_time: -node_time.parts.total_s)[:_MOST_NODES]
        order = plain_names(node_time.node for node_time in mine)
        at = rows_of(layout, "node", order)
        rows = [
            {
                "node": plain(node_time.node),
                "kind": kind.label,
                "n": number,
                "seconds": getattr(node_time.parts, kind.field),
            }
            for node_time in mine
            for number, kind in enumerate(KINDS)
            if getattr(node_time.parts, kind.field) > 0
        ]
        bars = (
            alt.Chart(alt.InlineData(values=rows))
            .mark_bar(stroke="white", strokeWidth=1, size=at.step - 2 * at.offset - 8, yOffset=at.offset)
            .encode(
                x=alt.X("seconds:Q", title="seconds", stack="zero"),
                y=at.y,
                color=kinds_colour(layout, used),
                order=alt.Order("n:Q"),
            )
        )
        panels.append(
            alt.layer(bars, *at.names).properties(
                width=layout.width,
                height=at.step * len(order),
                title=titled(
                    layout,
                    f'A call of each node of {plain(pipeline)} under "{plain(candidate)}" ({analysis.run.origin})',
                    "means over the successful calls, from ready to end",
                ),
            )
        )
    return styled(alt.vconcat(*panels), layout) if panels else None


def _is_the_job(analysis: Analysis, node_time: NodeTime) -> bool:
    """Whether a job is one call of this node."""
    summary = next(s for s in analysis.by_name[node_time.candidate].pipelines if s.pipeline == node_time.pipeline)
    return node_time.calls <= summary.values + summary.jobs_failed


def _trade(analysis: Analysis, details: Details, layout: Layout) -> alt.TopLevelMixin | None:
    """Draw what each candidate costs either path; a line joins those that no other one beats (the Pareto front)."""
    if len(details.front) < 2:
        return None
    names = plain_names(candidate.name for candidate in analysis.candidates)
    labelled = [p for p in details.front if p.on_front or len(details.front) <= _MOST_LABELS]
    labels, legend = numbered(plain_names(point.candidate for point in labelled), layout.point_name)
    chosen = analysis.choice.candidate
    furthest = max(point.batch.high_s or point.batch.value_s for point in details.front)
    rows = [
        {
            "candidate": plain(point.candidate),
            **_ends("batch", point.batch),
            **_ends("interactive", point.interactive),
            "on the front": point.on_front,
            "chosen": point.candidate == chosen,
            "label": labels.get(plain(point.candidate), ""),
            "left": point.batch.value_s > furthest / 2,
        }
        for point in details.front
    ]
    titles = {path: _path_title(analysis, path) for path in ("batch", "interactive")}
    x = alt.X("batch:Q", title=titles["batch"], scale=alt.Scale(zero=True, nice=True))
    y = alt.Y(
        "interactive:Q", title=titles["interactive"], scale=alt.Scale(zero=True, nice=True), axis=narrow_axis(layout)
    )
    every = alt.Chart(alt.InlineData(values=rows)).encode(color=no_legend("candidate", names))
    front = alt.Chart(alt.InlineData(values=[row for row in rows if row["on the front"]]))
    chart = alt.layer(
        front.mark_line(interpolate="step-after", strokeDash=[4, 3], color="#888888").encode(x=x, y=y),
        every.mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("interactive low:Q"), y2="interactive high:Q"),
        every.mark_rule(strokeWidth=2, opacity=0.5).encode(y=y, x=alt.X("batch low:Q"), x2="batch high:Q"),
        every.mark_circle(size=110, opacity=1).encode(x=x, y=y),
        *point_labels(layout, rows, x, y),
    ).properties(
        width=layout.pair if layout.axis_name == 0 else layout.width,
        height=layout.height + 60,
        title=titled(
            layout,
            f"Trade-off between the paths ({analysis.run.origin})",
            "nearer to the corner is better; the dashed line joins candidates that no other one beats; "
            "the ring marks the recommended one",
            *legend,
        ),
    )
    return styled(chart, layout)


def point_labels(layout: Layout, rows: list[dict[str, Any]], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return layers that write `label` beside each point, on the side where there is room, and ring the chosen one."""
    layers = []
    for left in (False, True):
        some = [row for row in rows if row["left"] == left and row["label"]]
        if some:
            text = alt.Chart(alt.InlineData(values=some)).mark_text(
                align="right" if left else "left", dx=-11 if left else 11, dy=-9, fontSize=layout.font
            )
            layers.append(text.encode(x=x, y=y, text="label:N"))
    if ringed := [row for row in rows if row["chosen"]]:
        ring = alt.Chart(alt.InlineData(values=ringed)).mark_point(size=330, strokeWidth=2, color="#555555")
        layers.append(ring.encode(x=x, y=y))
    return layers


def _ends(path: str, time: PathTime) -> dict[str, float]:
    low_s = time.value_s if time.low_s is None else time.low_s
    high_s = time.value_s if time.high_s is None else time.high_s
    return {path: time.value_s, f"{path} low": low_s, f"{path} high": high_s}


def _path_title(analysis: Analysis, path: str) -> str:
    names = [plain(summary.pipeline) for summary in analysis.candidates[0].pipelines if summary.path == path]
    what = "reply time" if path == "interactive" else "pipeline time"
    return f"{what} of {names[0]}, seconds" if len(names) == 1 else f"{what}, mean of {len(names)}, seconds"


def _score(analysis: Analysis, score: tuple[ScoreRow, ...], layout: Layout) -> alt.TopLevelMixin | None:
    """Draw the error of each predicted figure, over the noise of its measurement."""
    if not score:
        return None
    names = plain_names(dict.fromkeys(row.candidate for row in score))
    furthest = 1.05 * max(max(abs(row.error), row.noise or 0.0) for row in score) or 0.01
    scale = alt.Scale(domain=[-furthest, furthest])
    panels = []
    for pipeline, figure in dict.fromkeys((row.pipeline, row.figure) for row in score):
        mine = [row for row in score if (row.pipeline, row.figure) == (pipeline, figure)]
        rows = [
            {
                "candidate": plain(row.candidate),
                "error": row.error,
                "low": -(row.noise or 0.0),
                "high": row.noise or 0.0,
            }
            for row in mine
        ]
        at = rows_of(layout, "candidate", plain_names(row.candidate for row in mine), step=24)
        base = alt.Chart(alt.InlineData(values=rows))
        x = alt.X("low:Q", title=None, axis=alt.Axis(format="+.0%"), scale=scale)
        dot = base.mark_circle(size=80, opacity=1, yOffset=at.offset)
        panels.append(
            alt.layer(
                base.mark_bar(color="#E6E6E6", height=14, yOffset=at.offset).encode(x=x, x2="high:Q", y=at.y),
                base.mark_rule(color="#888888").encode(x=alt.datum(0)),
                dot.encode(x=alt.X("error:Q", scale=scale), y=at.y, color=no_legend("candidate", names)),
                *at.names,
            ).properties(
                width=layout.width,
                height=at.step * len(rows),
                title=titled(
                    layout,
                    plain(f"{figure} of {pipeline}" if pipeline else f"{figure}, all calls").capitalize(),
                    f"predicted over {analysis.run.origin}, as a relative error; grey: noise of the measurement",
                ),
            )
        )
    return styled(alt.vconcat(*panels), layout)
