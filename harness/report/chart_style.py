"""How charts look: two widths, names that stay whole, goals, and kinds of time that differ without colour too.

Each chart is drawn twice, for a screen and for a phone: what is scaled down to a third cannot be read.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import altair as alt
from altair.utils.schemapi import debug_mode

from harness.report.bars import COLOURS, KINDS, Kind
from harness.report.text import plain, shortened
from harness.units import seconds

__all__ = [
    "NARROW",
    "WIDE",
    "Layout",
    "Rows",
    "colour_of",
    "dash_of",
    "goal_rules",
    "kinds_colour",
    "made_fast",
    "narrow_axis",
    "no_legend",
    "plain_names",
    "rows_of",
    "side_by_side",
    "styled",
    "titled",
    "to_png",
    "to_svg",
]


class Layout(NamedTuple):
    """Sizes of a chart, in pixels; lengths of text in characters."""

    width: int  # of the data in one panel, axes and padding beside it
    pair: int  # of the data in one of two panels; as wide as `width` where they lie below each other
    height: int  # of a panel with lines or points
    row: int  # of one candidate or node
    font: int
    title: int  # font size
    title_length: int  # of a line
    subtitle_length: int
    axis_name: int  # the longest name that stands beside its row; 0: all names stand above it
    point_name: int  # the longest name beside a point; longer ones become numbers with a legend
    ticks: int
    padding: int


WIDE = Layout(640, 310, 240, 34, 12, 15, 78, 104, 34, 24, 8, 12)
NARROW = Layout(346, 296, 200, 42, 11, 13, 48, 62, 0, 10, 4, 4)

_OFFSET = 10  # between a title and the data
_ABOVE = 15  # room for a name above its row
_LONGEST = 52  # of a name on a line of its own
_AXIS = 34  # of a narrow panel's vertical axis, labels alone
_FAR = 1.5  # a goal further than this from every value would press them together; it is said instead
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4])
_GOAL = "#555555"


def made_fast() -> AbstractContextManager[None]:
    """Make charts without holding each part of them against Vega-Lite's schema: the whole is held against it at last.

    To check all parts again and again takes a third of the time of a report.
    """
    return debug_mode(False)


def to_svg(chart: alt.TopLevelMixin) -> str:
    """Render a chart, with the textures that its kinds of time have."""
    text = io.StringIO()
    chart.save(text, format="svg")
    svg = text.getvalue()
    used = "".join(_texture(kind) for kind in KINDS if f"url(#{_texture_id(kind)})" in svg)
    return re.sub(r"(<svg[^>]*>)", rf"\1<defs>{used}</defs>", svg, count=1) if used else svg


def to_png(svg: str) -> bytes:
    """Draw a chart's SVG as PNG, twice as fine as a screen's pixels."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=2))


def styled(chart: Any, layout: Layout) -> alt.TopLevelMixin:
    """Give a chart its fonts, lines and padding."""
    chart = chart.copy(deep=False)  # `configure_...` copies all of it, its data too, each time
    chart.config = alt.Config(
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=layout.font,
            titleFontSize=layout.font,
            titleFontWeight="normal",
            tickCount=layout.ticks,
            labelFlush=layout is NARROW,
            gridColor="#E6E6E6",
            domainColor="#888888",
        ),
        title=alt.TitleConfig(
            fontSize=layout.title, subtitleFontSize=layout.font, subtitleColor="#555555", anchor="start", frame="group"
        ),
        legend=alt.LegendConfig(
            labelFontSize=layout.font, titleFontSize=layout.font, titleFontWeight="normal", symbolOpacity=1
        ),
    )
    chart.background, chart.padding = "white", layout.padding
    styled: alt.TopLevelMixin = chart
    return styled


def titled(layout: Layout, title: str, *below: str, goals: int = 0) -> alt.TitleParams:
    """Return a title with what stands below it, broken between words, and room for so many goals."""
    lines = [line for text in below if text for line in _wrapped(text, layout.subtitle_length)]
    return alt.TitleParams(
        _wrapped(title, layout.title_length),
        subtitle=lines or alt.Undefined,
        offset=_OFFSET + goals * (layout.font + 3),
    )


def _wrapped(text: str, most: int) -> list[str]:
    return textwrap.wrap(text, most, break_long_words=False) or [""]


def side_by_side(layout: Layout, panels: Sequence[Any]) -> Any:
    """Put two panels beside each other where there is room."""
    return alt.vconcat(*panels) if layout is NARROW else alt.hconcat(*panels)


# --- candidates -------------------------------------------------------------------------------------------------------


def colour_of(layout: Layout, field: str, names: Sequence[str]) -> alt.Color:
    """Return the colours of candidates or series, with a legend that has their whole names."""
    return alt.Color(f"{field}:N", title=None, scale=_colours(names), legend=_legend(layout, names))


def dash_of(layout: Layout, field: str, names: Sequence[str]) -> alt.StrokeDash:
    """Return the dashes of the same series: without colour lines differ by these."""
    dashes = [_DASHES[n % len(_DASHES)] for n in range(len(names))]
    scale = alt.Scale(domain=list(names), range=dashes)
    return alt.StrokeDash(f"{field}:N", title=None, scale=scale, legend=_legend(layout, names))


def no_legend(field: str, names: Sequence[str]) -> alt.Color:
    """Return the same colours without a legend, where names stand beside what they are about."""
    return alt.Color(f"{field}:N", scale=_colours(names), legend=None)


def _colours(names: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[COLOURS[n % len(COLOURS)] for n in range(len(names))])


def _legend(layout: Layout, names: Sequence[str]) -> alt.Legend:
    longest = max(map(len, names), default=0)
    middle = f"slice(datum.label, 0, {(_LONGEST - 1) // 2}) + '…' + slice(datum.label, -{_LONGEST // 2})"
    expression = (
        f"length(datum.label) > {_LONGEST} ? {middle} : datum.label"  # the middle goes: names differ at the end
    )
    below: dict[str, Any] = {"orient": "bottom", "columns": 1 if longest > 18 else 2, "direction": "vertical"}
    return alt.Legend(
        labelExpr=expression,
        labelLimit=340,
        symbolSize=220,
        symbolType="stroke",
        **(below if layout is NARROW or longest > layout.axis_name else {}),
    )


class Rows(NamedTuple):
    """Rows of a chart, one for each name: marks take `y`, and `offset` where names stand above them."""

    y: alt.Y
    step: int
    offset: int
    names: tuple[alt.Chart, ...]  # layers that write the names


def rows_of(layout: Layout, field: str, names: Sequence[str], step: int | None = None) -> Rows:
    """Return rows whose names are whole: beside the rows where they are short, else above them."""
    step = step or layout.row
    if max(map(len, names), default=0) <= layout.axis_name:
        return Rows(alt.Y(f"{field}:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=280)), step, 0, ())
    step = max(step, 22 + _ABOVE)
    y = alt.Y(f"{field}:N", sort=list(names), title=None, axis=None)
    label = alt.Chart(alt.InlineData(values=[{field: name, "label": shortened(name, _LONGEST)} for name in names]))
    text = label.mark_text(align="left", baseline="middle", dy=_ABOVE / 2 - step / 2, fontSize=layout.font + 1)
    return Rows(y, step, _ABOVE // 2, (text.encode(x=alt.value(0), y=y, text="label:N"),))


# --- axes and goals ---------------------------------------------------------------------------------------------------


def narrow_axis(layout: Layout, **more: Any) -> alt.Axis:
    """Return a vertical axis; on a phone it has a fixed width, so that the whole chart has."""
    fixed: dict[str, Any] = {"minExtent": _AXIS, "maxExtent": _AXIS} if layout is NARROW else {}
    return alt.Axis(**fixed, **more)


def goal_rules(
    layout: Layout, goals: Mapping[str, float], largest_s: float, *, along: str = "x"
) -> tuple[list[alt.Chart], str]:
    """Return layers that draw goals on an axis of seconds, and what to say of those too far from every value.

    Args:
        layout: of the chart.
        goals: seconds by what they are about.
        largest_s: the largest value that is drawn.
        along: the axis of seconds, "x" or "y".
    """
    near = {what: at_s for what, at_s in goals.items() if at_s <= _FAR * largest_s}
    layers = []
    for number, (what, at_s) in enumerate(near.items()):
        data = alt.Chart(alt.InlineData(values=[{"goal": at_s, "label": f"goal: {what} {seconds(at_s)}"}]))
        rule = data.mark_rule(color=_GOAL, strokeWidth=1.5, strokeDash=[5, 3])
        end: dict[str, Any] = {"align": "right", "dx": -4} if at_s > largest_s / 2 else {"align": "left", "dx": 4}
        if along == "x":
            text = data.mark_text(
                baseline="bottom", dy=-3 - number * (layout.font + 2), color=_GOAL, fontSize=layout.font, **end
            )
            layers += [rule.encode(x="goal:Q"), text.encode(x="goal:Q", y=alt.value(0), text="label:N")]
        else:
            text = data.mark_text(baseline="bottom", align="left", dx=4, dy=-2, color=_GOAL, fontSize=layout.font)
            layers += [rule.encode(y="goal:Q"), text.encode(y="goal:Q", x=alt.value(0), text="label:N")]
    far = [f"{what} {seconds(at_s)}" for what, at_s in goals.items() if what not in near]
    return layers, f"goal, far beyond: {', '.join(far)}" if far else ""


# --- kinds of time ----------------------------------------------------------------------------------------------------


def kinds_colour(layout: Layout, used: Sequence[Kind]) -> alt.Color:
    """Return the colours and textures of kinds of time."""
    fills = [f"url(#{_texture_id(kind)})" if kind.texture else kind.colour for kind in KINDS]
    below: dict[str, Any] = {"orient": "bottom", "columns": 2, "direction": "vertical"} if layout is NARROW else {}
    return alt.Color(
        "kind:N",
        title="kind of time",
        scale=alt.Scale(domain=[kind.label for kind in KINDS], range=fills),
        legend=alt.Legend(values=[kind.label for kind in used], symbolType="square", symbolSize=180, **below),
    )


def _texture_id(kind: Kind) -> str:
    return f"kind-{kind.field}"


def _texture(kind: Kind) -> str:
    """Return the pattern of a kind: its colour, with lines of the paper's colour."""
    assert kind.texture is not None
    size, line, turn = kind.texture
    path = f'<path d="M0 0V{size:g}" stroke="white" stroke-width="{2 * line:g}"/>'  # half of it lies beside the tile
    return (
        f'<pattern id="{_texture_id(kind)}" width="{size:g}" height="{size:g}" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate({turn})"><rect width="{size:g}" height="{size:g}" fill="{kind.colour}"/>{path}'
        "</pattern>"
    )


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names as they are drawn."""
    return [plain(name) for name in names]
