"""Charts of the analysis: one Altair specification each, drawn without a browser as SVG and PNG.

Every one names its units and the origin of its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt

from harness.analysis.levels import Levels
from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.analysis.statistics import Estimate
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
    side_by_side,
    styled,
    titled,
)
from harness.report.text import plain

__all__ = ["charts_of", "few", "goals_of", "levels_chart"]

_DOTS = 100  # of one candidate
_LINES = 12  # in one panel: an eye cannot follow more, and there are eight colours


def charts_of(analysis: Analysis, layout: Layout = WIDE) -> dict[str, alt.TopLevelMixin]:
    """Return the charts of a run by file name (without `.svg`); those without data are left out."""
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    batch = [summary.pipeline for summary in pipelines if summary.path == "batch"]
    interactive = [summary.pipeline for summary in pipelines if summary.path == "interactive"]
    charts = {
        # Where pipelines are concurrency levels, their times are what the chart of the levels shows.
        "pipeline-time": None if analysis.levels else _times(analysis, layout, batch, "Pipeline time"),
        "reply-time": _times(analysis, layout, interactive, "Reply time"),
        "first-token": _times(analysis, layout, interactive, "First token"),
        "throughput": levels_chart(analysis.levels, layout) if analysis.levels else _throughput(analysis, layout),
        "time-split": _time_split(analysis, layout),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def goals_of(analysis: Analysis, pipeline: str, goals: Mapping[str, str]) -> dict[str, float]:
    """Return the goals of a pipeline that are among these: seconds by what the chart calls them."""
    found = {
        goal.goal: goal.wanted_s
        for candidate in analysis.candidates
        for summary in candidate.pipelines
        if summary.pipeline == pipeline
        for goal in summary.goals
    }
    return {words: found[goal] for goal, words in goals.items() if goal in found}


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


def levels_chart(found: Sequence[Levels], layout: Layout = WIDE) -> alt.TopLevelMixin:
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
                y=alt.Y(f"{field}:Q", title=field, scale=alt.Scale(zero=True), axis=narrow_axis(layout)),
                color=colour_of(layout, "server", names),
                strokeDash=dash_of(layout, "server", names),
            )
            .properties(width=layout.pair, height=layout.height, title=titled(layout, title))
        )
    return styled(side_by_side(layout, panels), layout)


_FIGURES: Mapping[str, tuple[Callable[[PipelineSummary], Estimate | None], Mapping[str, str]]] = {
    "Pipeline time": (lambda summary: summary.time, {}),
    "Reply time": (lambda summary: summary.time, {"p50_s": "median"}),
    "First token": (lambda summary: summary.first_token, {"first_token_s": "first token"}),
}


def _times(analysis: Analysis, layout: Layout, pipelines: Sequence[str], what: str) -> alt.TopLevelMixin | None:
    """Draw repeats as dots, geometric mean and 95 % interval as a bar with a tick, one row per candidate."""
    figure, goals = _FIGURES[what]
    panels = []
    order = plain_names(candidate.name for candidate in analysis.candidates)
    for pipeline in pipelines:
        dots: list[dict[str, Any]] = []
        bars: list[dict[str, Any]] = []
        most = 0
        for candidate in analysis.candidates:
            summary = _of(candidate, pipeline)
            name, found = plain(candidate.name), figure(summary)
            if figure(summary) is summary.time:  # of a first token the mean over the repeats is all that is kept
                most = max(most, len(summary.time_by_repeat))
                dots += [
                    {"candidate": name, "seconds": value, "repeat": n + 1} for n, value in _some(summary.time_by_repeat)
                ]
            if found is not None:
                low = found.value if found.low is None else found.low
                high = found.value if found.high is None else found.high
                bars.append({"candidate": name, "seconds": found.value, "low": low, "high": high})
        if not bars and not dots:
            continue
        rows = rows_of(layout, "candidate", order)
        scale = alt.Scale(zero=True)
        colour = no_legend("candidate", order)
        of_bars = alt.Chart(alt.InlineData(values=bars))
        interval = of_bars.mark_rule(strokeWidth=9, opacity=0.35, strokeCap="butt", yOffset=rows.offset)
        mean = of_bars.mark_tick(thickness=3, size=22, yOffset=rows.offset)
        dot = alt.Chart(alt.InlineData(values=dots)).mark_circle(
            size=42, opacity=0.75, stroke="white", strokeWidth=0.5, yOffset=rows.offset
        )
        x = alt.X("seconds:Q", title=f"{what.lower()}, seconds", scale=scale)
        largest_s = max([*(row["seconds"] for row in dots), *(row["high"] for row in bars)])
        rules, far = goal_rules(layout, goals_of(analysis, pipeline, goals), largest_s)
        points = f"dots: {_which(most)} (each the median of its jobs); " if dots else ""
        over = "their mean" if dots else "the mean over repeats, each the median of its jobs,"
        panels.append(
            alt.layer(
                interval.encode(
                    x=alt.X("low:Q", title=f"{what.lower()}, seconds", scale=scale), x2="high:Q", y=rows.y, color=colour
                ),
                *([dot.encode(x=x, y=rows.y, color=colour)] if dots else []),
                mean.encode(x=x, y=rows.y, color=colour),
                *rows.names,
                *rules,
            ).properties(
                width=layout.width,
                height=rows.step * len(order),
                title=titled(
                    layout,
                    f"{what} of {plain(pipeline)} ({analysis.run.origin})",
                    f"{points}tick and bar: {over} and its 95 % interval",
                    far,
                    goals=len(rules) // 2,
                ),
            )
        )
    return styled(alt.vconcat(*panels), layout) if panels else None


def _some(by_repeat: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Return the repeats; of many only a few, at equal steps from the quickest to the slowest."""
    if len(by_repeat) <= _DOTS:
        return by_repeat
    ordered = sorted(by_repeat, key=lambda repeat: repeat[1])
    return [ordered[round(i * (len(ordered) - 1) / (_DOTS - 1))] for i in range(_DOTS)]


def _which(repeats: int) -> str:
    return "repeats" if repeats <= _DOTS else f"{_DOTS} of {repeats} repeats, from the quickest to the slowest"


def _throughput(analysis: Analysis, layout: Layout) -> alt.TopLevelMixin | None:
    """Chart what each server made at each number of calls in flight, and what that was for one of them.

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
        ("tokens per second", "Aggregate throughput", "all calls; no tokens come while a prompt is processed"),
        ("seconds", "Wall-clock of 100 tokens", "of one call, its waits and prompt included"),
    ):
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            x=alt.X(
                "in flight:Q",
                title="calls in flight on the server",
                axis=alt.Axis(values=list(range(0, most + 1, max(1, most // 8))), format="d", grid=False),
                scale=alt.Scale(domain=[0, 1.06 * most]),
            ),
            y=alt.Y(f"{field}:Q", title=field, scale=alt.Scale(zero=True), axis=narrow_axis(layout)),
            color=colour_of(layout, "series", names),
        )
        size = alt.Size("share:Q", scale=alt.Scale(range=[20, 320]), legend=None)
        line = base.mark_line(strokeWidth=2).encode(strokeDash=dash_of(layout, "series", names))
        panels.append(
            alt.layer(line, base.mark_circle(opacity=0.9).encode(size=size)).properties(
                width=layout.pair,
                height=layout.height,
                title=titled(
                    layout, f"{title} ({analysis.run.origin})", subtitle + rest, "larger dots: more of the time"
                ),
            )
        )
    return styled(side_by_side(layout, panels), layout)


def _time_split(analysis: Analysis, layout: Layout) -> alt.TopLevelMixin | None:
    panels = []
    order = plain_names(candidate.name for candidate in analysis.candidates)
    rows_at = rows_of(layout, "candidate", order)
    used = [kind for kind in KINDS if _occurs(analysis, kind.field)]
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
        bars = (
            alt.Chart(alt.InlineData(values=rows))
            .mark_bar(stroke="white", strokeWidth=1, size=rows_at.step - 2 * rows_at.offset - 8, yOffset=rows_at.offset)
            .encode(
                x=alt.X("seconds:Q", title="seconds", stack="zero"),
                y=rows_at.y,
                color=kinds_colour(layout, used),
                order=alt.Order("n:Q"),
            )
        )
        panels.append(
            alt.layer(bars, *rows_at.names).properties(
                width=layout.width,
                height=rows_at.step * len(order),
                title=titled(
                    layout,
                    f"Where a {who} of {plain(pipeline.pipeline)} spends its time ({analysis.run.origin})",
                    "means of all jobs along the critical path; the times above are medians",
                ),
            )
        )
    return styled(alt.vconcat(*panels), layout) if panels else None


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


def _finite(value: float) -> float | None:
    return value if value == value else None
