"""Charts of what lies behind the analysis: distributions, nodes, one path against the other, the score."""

from __future__ import annotations

from typing import Any

import altair as alt

from harness.analysis.details import Details
from harness.analysis.front import PathTime
from harness.analysis.model import Analysis
from harness.predict.score import ScoreRow
from harness.report.bars import COLOURS, KINDS
from harness.report.charts import ROW, WIDTH, colour_of, few, names_axis, styled
from harness.report.text import plain, shortened

__all__ = ["detail_charts"]

_HEIGHT = 240
_MOST_LABELS = 16  # of points; of more only those on the front have one
_MOST_NODES = 24  # in one panel; the table beside it has all of them


def detail_charts(
    analysis: Analysis, details: Details, score: tuple[ScoreRow, ...] = ()
) -> dict[str, alt.TopLevelMixin]:
    """Return these charts by file name (without `.svg`); those without data are left out."""
    charts = {
        "latency": _latency(analysis, details),
        "node-split": _node_split(analysis, details),
        "trade": _trade(analysis, details),
        "score": _score(analysis, score),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def _latency(analysis: Analysis, details: Details) -> alt.TopLevelMixin | None:
    """Draw the distribution functions: read up at a time, the share of jobs that took no longer."""
    shown, rest = few(analysis)
    names = [plain(name) for name in shown]
    panels = []
    for pipeline in dict.fromkeys(curve.pipeline for curve in details.distributions if curve.candidate in shown):
        rows: list[dict[str, Any]] = []
        mine = [curve for curve in details.distributions if curve.pipeline == pipeline and curve.candidate in shown]
        for curve in mine:
            least_s = curve.points[0][0]
            steps = [(least_s, 0.0), *curve.points]
            rows += [{"candidate": plain(curve.candidate), "seconds": s, "share": share} for s, share in steps]
        what = "reply time" if mine[0].path == "interactive" else "pipeline time"
        jobs = sorted({curve.jobs for curve in mine})
        of_each = f"{jobs[0]} to {jobs[-1]}" if len(jobs) > 1 else f"{jobs[0]}"
        panels.append(
            alt.Chart(alt.InlineData(values=rows))
            .mark_line(interpolate="step-after", strokeWidth=2)
            .encode(
                x=alt.X("seconds:Q", title=f"{what}, seconds", scale=alt.Scale(zero=True, nice=True)),
                y=alt.Y("share:Q", title="share of jobs", axis=alt.Axis(format="%", tickCount=5)),
                color=colour_of("candidate", names),
                order=alt.Order("share:Q"),
            )
            .properties(
                width=WIDTH,
                height=_HEIGHT,
                title=alt.TitleParams(
                    f"{what.capitalize()} of {plain(pipeline)} ({analysis.run.origin})",
                    subtitle=f"share of jobs that took no longer; {of_each} jobs a candidate{rest}",
                ),
            )
        )
    return styled(alt.vconcat(*panels)) if panels else None


def _node_split(analysis: Analysis, details: Details) -> alt.TopLevelMixin | None:
    """Draw the mean call of each node, of the candidates that are recommended."""
    shown = {settings.candidate for settings in analysis.choice.settings}
    mine = [node_time for node_time in details.nodes if node_time.candidate in shown]
    used = [
        kind
        for kind in KINDS
        if any(getattr(node_time.parts, kind.field) > 0.005 * node_time.parts.total_s for node_time in mine)
    ]
    room = min(260, max((7 * len(node_time.node) + 10 for node_time in mine), default=0))  # the same in all panels
    axis = names_axis(minExtent=room)
    panels = []
    for candidate, pipeline in dict.fromkeys((node_time.candidate, node_time.pipeline) for node_time in details.nodes):
        mine = [
            node_time
            for node_time in details.nodes
            if (node_time.candidate, node_time.pipeline) == (candidate, pipeline)
        ]
        if candidate not in shown:
            continue
        if len(mine) > _MOST_NODES:
            mine = sorted(mine, key=lambda node_time: -node_time.parts.total_s)[:_MOST_NODES]
        order = [plain(node_time.node) for node_time in mine]
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
        panels.append(
            alt.Chart(alt.InlineData(values=rows))
            .mark_bar(stroke="white", strokeWidth=0.5)
            .encode(
                x=alt.X("seconds:Q", title="seconds", stack="zero"),
                y=alt.Y("node:N", sort=order, title=None, axis=axis),
                color=alt.Color(
                    "kind:N",
                    title="kind of time",
                    scale=alt.Scale(domain=[kind.label for kind in KINDS], range=[kind.colour for kind in KINDS]),
                    legend=alt.Legend(values=[kind.label for kind in used]),
                ),
                order=alt.Order("n:Q"),
            )
            .properties(
                width=WIDTH,
                height=ROW * len(order),
                title=alt.TitleParams(
                    f'A call of each node of {plain(pipeline)} under "{plain(candidate)}" ({analysis.run.origin})',
                    subtitle="means over the calls that ended well, from ready to end",
                ),
            )
        )
    return styled(alt.vconcat(*panels)) if panels else None


def _trade(analysis: Analysis, details: Details) -> alt.TopLevelMixin | None:
    """Draw what each candidate costs either path; a line joins those that no other one beats (the Pareto front)."""
    if len(details.front) < 2:
        return None
    names = [plain(candidate.name) for candidate in analysis.candidates]
    rows = [
        {
            "candidate": plain(point.candidate),
            **_ends("batch", point.batch),
            **_ends("interactive", point.interactive),
            "on the front": point.on_front,
            "label": shortened(plain(point.candidate), 34)
            if point.on_front or len(details.front) <= _MOST_LABELS
            else "",
        }
        for point in details.front
    ]
    titles = {path: _path_title(analysis, path) for path in ("batch", "interactive")}
    x = alt.X("batch:Q", title=titles["batch"], scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("interactive:Q", title=titles["interactive"], scale=alt.Scale(zero=True, nice=True))
    every = alt.Chart(alt.InlineData(values=rows)).encode(color=_no_legend(names))
    front = alt.Chart(alt.InlineData(values=[row for row in rows if row["on the front"]]))
    chart = alt.layer(
        front.mark_line(interpolate="step-after", strokeDash=[4, 3], color="#888888").encode(x=x, y=y),
        every.mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, y=alt.Y("interactive low:Q"), y2="interactive high:Q"),
        every.mark_rule(strokeWidth=2, opacity=0.5).encode(y=y, x=alt.X("batch low:Q"), x2="batch high:Q"),
        every.mark_circle(size=110, opacity=1).encode(x=x, y=y),
        every.mark_text(align="left", dx=10, dy=-8, fontSize=12).encode(x=x, y=y, text="label:N"),
    ).properties(
        width=WIDTH,
        height=_HEIGHT + 60,
        title=alt.TitleParams(
            f"One path against the other ({analysis.run.origin})",
            subtitle="nearer to the corner is better; the dashed line joins candidates that no other one beats",
        ),
    )
    return styled(chart)


def _ends(path: str, time: PathTime) -> dict[str, float]:
    low_s = time.value_s if time.low_s is None else time.low_s
    high_s = time.value_s if time.high_s is None else time.high_s
    return {path: time.value_s, f"{path} low": low_s, f"{path} high": high_s}


def _path_title(analysis: Analysis, path: str) -> str:
    names = [plain(summary.pipeline) for summary in analysis.candidates[0].pipelines if summary.path == path]
    what = "reply time" if path == "interactive" else "pipeline time"
    return f"{what} of {names[0]}, seconds" if len(names) == 1 else f"{what}, geometric mean of {len(names)}, seconds"


def _no_legend(names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=[COLOURS[n % len(COLOURS)] for n in range(len(names))])
    return alt.Color("candidate:N", scale=scale, legend=None)


def _score(analysis: Analysis, score: tuple[ScoreRow, ...]) -> alt.TopLevelMixin | None:
    """Draw the error of each predicted figure, over the noise of its measurement."""
    if not score:
        return None
    names = [plain(name) for name in dict.fromkeys(row.candidate for row in score)]
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
        base = alt.Chart(alt.InlineData(values=rows))
        y = alt.Y("candidate:N", sort=names, title=None, axis=names_axis())
        x = alt.X("low:Q", title=None, axis=alt.Axis(format="+.0%"), scale=scale)
        panels.append(
            alt.layer(
                base.mark_bar(color="#E6E6E6", height=14).encode(x=x, x2="high:Q", y=y),
                base.mark_rule(color="#888888").encode(x=alt.datum(0)),
                base.mark_circle(size=80, opacity=1).encode(x="error:Q", y=y, color=_no_legend(names)),
            ).properties(
                width=WIDTH,
                height=24 * len(rows),
                title=alt.TitleParams(
                    plain(f"{figure} of {pipeline}" if pipeline else f"{figure}, all calls").capitalize(),
                    subtitle=f"predicted over {analysis.run.origin}, less one; grey: noise of the measurement",
                ),
            )
        )
    return styled(alt.vconcat(*panels))
