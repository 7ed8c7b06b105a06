"""Charts of the analysis: one Altair specification each, drawn without a browser as SVG and PNG.

Every one names its units and the origin of its numbers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import altair as alt

from harness.analysis.levels import Levels
from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.report.bars import COLOURS, KINDS
from harness.report.text import plain

__all__ = ["ROW", "WIDTH", "charts_of", "colour_of", "few", "levels_chart", "names_axis", "styled", "to_png", "to_svg"]

WIDTH = 640
ROW = 34  # height of one candidate
_SMALL_HEIGHT = 240
_DOTS = 100  # of one candidate
_LINES = 12  # in one panel: an eye cannot follow more, and there are eight colours
# Long names lose their middle: what tells them apart is often their end.
_SHORT = "length(datum.label) > 34 ? slice(datum.label, 0, 16) + '…' + slice(datum.label, -17) : datum.label"
_SHARES = alt.Legend(format="%", symbolFillColor="#888888", symbolStrokeWidth=0)


def charts_of(analysis: Analysis) -> dict[str, alt.TopLevelMixin]:
    """Return the charts of a run by file name (without `.svg`); those without data are left out."""
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    batch = [summary.pipeline for summary in pipelines if summary.path == "batch"]
    interactive = [summary.pipeline for summary in pipelines if summary.path == "interactive"]
    charts = {
        "pipeline-time": _times(analysis, batch, "Pipeline time"),
        "reply-time": _times(analysis, interactive, "Reply time"),
        "throughput": levels_chart(analysis.levels) if analysis.levels else _throughput(analysis),
        "time-split": _time_split(analysis),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def to_svg(chart: alt.TopLevelMixin) -> str:
    """Render a chart."""
    text = io.StringIO()
    chart.save(text, format="svg")
    return text.getvalue()


def to_png(svg: str) -> bytes:
    """Draw a chart's SVG as PNG, twice as fine as a screen's pixels."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=2))


def few(analysis: Analysis) -> tuple[list[str], str]:
    """Return the candidates that are drawn as lines, and what to say of the others.

    Of many those that are recommended and those whose whole run was quickest.
    """
    names = [candidate.name for candidate in analysis.candidates]
    if len(names) <= _LINES:
        return names, ""
    first = [settings.candidate for settings in analysis.choice.settings]
    timed = [
        (candidate.makespan.value, candidate.name)
        for candidate in analysis.candidates
        if candidate.makespan is not None
    ]
    kept = set(list(dict.fromkeys((*first, *(name for _, name in sorted(timed)))))[:_LINES])
    return [name for name in names if name in kept], f"; the {len(kept)} quickest of {len(names)} candidates"


def levels_chart(found: Sequence[Levels]) -> alt.TopLevelMixin:
    """Chart aggregate throughput and wall-clock of servers by concurrent calls, side by side."""
    names = _labels(found)
    rows = [
        {
            "server": name,
            "calls": row.concurrent,
            "tokens per second": _finite(row.aggregate_tokens_per_s),
            "seconds": row.wall_s,
        }
        for name, one in zip(names, found, strict=True)
        for row in one.rows
    ]
    origin = ", ".join(sorted({one.origin for one in found}))
    concurrent = sorted({row.concurrent for one in found for row in one.rows})
    panels = []
    for field, title in (
        ("tokens per second", f"Aggregate throughput ({origin})"),
        ("seconds", f"Wall-clock until the last answer ({origin})"),
    ):
        panels.append(
            alt.Chart(alt.InlineData(values=rows))
            .mark_line(point=alt.OverlayMarkDef(size=60, filled=True), strokeWidth=2)
            .encode(
                x=alt.X(
                    "calls:Q",
                    title="calls at once",
                    axis=alt.Axis(values=concurrent, format="d", grid=False),
                    scale=alt.Scale(domain=[0, 1.05 * max(concurrent, default=1)]),
                ),
                y=alt.Y(f"{field}:Q", title=field, scale=alt.Scale(zero=True)),
                color=colour_of("server", names),
                shape=alt.Shape("server:N", sort=names, legend=None),
            )
            .properties(width=WIDTH // 2, height=_SMALL_HEIGHT, title=title)
        )
    return styled(alt.hconcat(*panels))


def _times(analysis: Analysis, pipelines: Sequence[str], what: str) -> alt.TopLevelMixin | None:
    """Draw repeats as dots, geometric mean and 95 % interval as a bar with a tick, one row per candidate."""
    panels = []
    order = [plain(candidate.name) for candidate in analysis.candidates]
    for pipeline in pipelines:
        dots, bars, most = [], [], 0
        for candidate in analysis.candidates:
            summary = _of(candidate, pipeline)
            name = plain(candidate.name)
            most = max(most, len(summary.time_by_repeat))
            dots += [
                {"candidate": name, "seconds": value, "repeat": n + 1} for n, value in _some(summary.time_by_repeat)
            ]
            if summary.time is not None:
                found = summary.time
                low = found.value if found.low is None else found.low
                high = found.value if found.high is None else found.high
                bars.append({"candidate": name, "seconds": found.value, "low": low, "high": high})
        if not dots:
            continue
        rows = alt.Y("candidate:N", sort=order, title=None, axis=names_axis())
        scale = alt.Scale(zero=True)
        colour = alt.Color("candidate:N", sort=order, scale=alt.Scale(range=list(COLOURS)), legend=None)
        interval = alt.Chart(alt.InlineData(values=bars)).mark_rule(strokeWidth=9, opacity=0.35, strokeCap="butt")
        mean = alt.Chart(alt.InlineData(values=bars)).mark_tick(thickness=3, size=22)
        dot = alt.Chart(alt.InlineData(values=dots)).mark_circle(size=42, opacity=0.75, stroke="white", strokeWidth=0.5)
        x = alt.X("seconds:Q", title=f"{what.lower()}, seconds", scale=scale)
        panels.append(
            alt.layer(
                interval.encode(
                    x=alt.X("low:Q", title=f"{what.lower()}, seconds", scale=scale), x2="high:Q", y=rows, color=colour
                ),
                dot.encode(x=x, y=rows, color=colour),
                mean.encode(x=x, y=rows, color=colour),
            ).properties(
                width=WIDTH,
                height=ROW * len(order),
                title=alt.TitleParams(
                    f"{what} of {plain(pipeline)} ({analysis.run.origin})",
                    subtitle=f"dots: {_which(most)} (median over jobs); tick and bar: mean and 95 % interval",
                ),
            )
        )
    return styled(alt.vconcat(*panels)) if panels else None


def _some(by_repeat: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Return the repeats, of many as many as can be told apart: at equal steps from the quickest to the slowest."""
    if len(by_repeat) <= _DOTS:
        return by_repeat
    ordered = sorted(by_repeat, key=lambda repeat: repeat[1])
    return [ordered[round(i * (len(ordered) - 1) / (_DOTS - 1))] for i in range(_DOTS)]


def _which(repeats: int) -> str:
    return "repeats" if repeats <= _DOTS else f"{_DOTS} of {repeats} repeats, from the quickest to the slowest"


def _throughput(analysis: Analysis) -> alt.TopLevelMixin | None:
    """Chart what each server made while so many calls were in flight, and what that was for one of them.

    Time-weighted, over all repeats. `in_flight` calls share a rate, so that 100 tokens of one of them take
    100 in_flight / rate seconds (Little's law), waits and prompts included.
    """
    rows: list[dict[str, Any]] = []
    names = []
    shown, rest = few(analysis)
    for candidate in (candidate for candidate in analysis.candidates if candidate.name in shown):
        for server, at in candidate.concurrency:
            name = plain(candidate.name if len(candidate.concurrency) == 1 else f"{candidate.name}: {server}")
            names.append(name)
            total_s = sum(row.time_s for row in at)
            rows += [
                {
                    "series": name,
                    "in flight": row.in_flight,
                    "tokens per second": row.tokens_per_s,
                    "seconds": 100 * row.in_flight / row.tokens_per_s if row.tokens_per_s > 0 else None,
                    "share": row.time_s / total_s,
                }
                for row in at
                if row.time_s > 0.01 * total_s  # an instant between two calls says nothing about a rate
            ]
    if not rows:
        return None
    panels, most = [], max(row["in flight"] for row in rows)
    for field, title, subtitle in (
        ("tokens per second", "Aggregate throughput", "all calls; none comes while a prompt is processed"),
        ("seconds", "Wall-clock of 100 tokens", "of one call, its waits and prompt included"),
    ):
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            x=alt.X(
                "in flight:Q",
                title="calls in flight on the server",
                axis=alt.Axis(tickMinStep=1, format="d", grid=False),
                scale=alt.Scale(domain=[0, 1.06 * most]),
            ),
            y=alt.Y(f"{field}:Q", title=field, scale=alt.Scale(zero=True)),
            color=colour_of("series", names),
        )
        size = alt.Size("share:Q", title="share of time", scale=alt.Scale(range=[20, 320]), legend=_SHARES)
        panels.append(
            alt.layer(base.mark_line(strokeWidth=2), base.mark_circle(opacity=0.9).encode(size=size)).properties(
                width=WIDTH // 2 - 10,
                height=_SMALL_HEIGHT,
                title=alt.TitleParams(f"{title} ({analysis.run.origin})", subtitle=subtitle + rest),
            )
        )
    return styled(alt.hconcat(*panels))


def _time_split(analysis: Analysis) -> alt.TopLevelMixin | None:
    panels = []
    order = [plain(candidate.name) for candidate in analysis.candidates]
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    for pipeline in pipelines:
        rows: list[dict[str, Any]] = []
        for candidate in analysis.candidates:
            parts = _of(candidate, pipeline.pipeline).job_parts
            for number, kind in enumerate(KINDS):
                value_s = getattr(parts, kind.field)
                if value_s > 0:
                    rows.append(
                        {"candidate": plain(candidate.name), "kind": kind.label, "n": number, "seconds": value_s}
                    )
        if not rows:
            continue
        who = "reply" if pipeline.path == "interactive" else "job"
        panels.append(
            alt.Chart(alt.InlineData(values=rows))
            .mark_bar(stroke="white", strokeWidth=0.5)
            .encode(
                x=alt.X("seconds:Q", title="seconds", stack="zero"),
                y=alt.Y("candidate:N", sort=order, title=None, axis=names_axis()),
                color=alt.Color(
                    "kind:N",
                    title="kind of time",
                    scale=alt.Scale(domain=[k.label for k in KINDS], range=[k.colour for k in KINDS]),
                    legend=alt.Legend(values=[kind.label for kind in KINDS if _occurs(analysis, kind.field)]),
                ),
                order=alt.Order("n:Q"),
            )
            .properties(
                width=WIDTH,
                height=ROW * len(order),
                title=alt.TitleParams(
                    f"Where a {who} of {plain(pipeline.pipeline)} spends its time ({analysis.run.origin})",
                    subtitle="means along the critical path",
                ),
            )
        )
    return styled(alt.vconcat(*panels)) if panels else None


def _occurs(analysis: Analysis, field: str) -> bool:
    return any(
        getattr(s.job_parts, field) > 0.005 * s.job_parts.total_s
        for candidate in analysis.candidates
        for s in candidate.pipelines
    )


def _of(candidate: CandidateSummary, pipeline: str) -> PipelineSummary:
    return next(summary for summary in candidate.pipelines if summary.pipeline == pipeline)


def _labels(found: Sequence[Levels]) -> list[str]:
    """Label them by their servers and slots; a number keeps equal ones apart."""
    labels: list[str] = []
    for one in found:
        slots = one.slots_found or one.slots_asked
        label = plain(one.label) + (f" ({slots} {'slot' if slots == 1 else 'slots'})" if slots else "")
        labels.append(label if label not in labels else f"{label} #{len(labels) + 1}")
    return labels


def colour_of(field: str, names: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=[COLOURS[n % len(COLOURS)] for n in range(len(names))])
    legend = alt.Legend(labelExpr=_SHORT, labelLimit=280)
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def names_axis(**more: Any) -> alt.Axis:
    return alt.Axis(labelFontSize=13, labelExpr=_SHORT, labelLimit=280, **more)


def _finite(value: float) -> float | None:
    return value if value == value else None


def styled(chart: Any) -> alt.TopLevelMixin:
    styled: alt.TopLevelMixin = (
        chart.configure_view(stroke=None)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            tickCount=8,
            labelFlush=False,
            gridColor="#E6E6E6",
            domainColor="#888888",
        )
        .configure_title(fontSize=15, subtitleFontSize=12, subtitleColor="#555555", anchor="start", offset=10)
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", symbolOpacity=1)
        .properties(background="white", padding=12)
    )
    return styled
