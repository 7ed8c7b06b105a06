"""The charts of a report, drawn. What cannot be drawn costs its chart, and never the report: that is said instead.

The library that draws (altair, with vl-convert) takes a second to import, and is imported here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.analysis.details import Details
from harness.analysis.levels import Levels
from harness.analysis.model import Analysis
from harness.predict.score import ScoreRow
from harness.recommend.model import Recommendation

if TYPE_CHECKING:
    from harness.report.chart_style import Layout

__all__ = ["Drawing", "Drawings", "Group", "drawings_of", "drawn", "levels_svg", "png_of"]

Group = Callable[["Layout"], Mapping[str, Any]]


class Drawing(NamedTuple):
    """One chart as SVG, twice."""

    wide: str
    narrow: str


class Drawings(NamedTuple):
    """Those that could be drawn, by name, and why any others are missing."""

    made: Mapping[str, Drawing]
    lacking: str = ""  # one line; "": none is missing


def drawings_of(
    analysis: Analysis, more: Details, scored: tuple[ScoreRow, ...] = (), found: Recommendation | None = None
) -> Drawings:
    """Draw all charts of a run, and of a search where there is one.

    Args:
        analysis, more: of the run.
        scored: a prediction beside it.
        found: the search that the run confirms.
    """

    def of_run(layout: Layout) -> Mapping[str, Any]:
        from harness.report.charts import charts_of

        return charts_of(analysis, layout)

    def of_details(layout: Layout) -> Mapping[str, Any]:
        from harness.report.detail_charts import detail_charts

        return detail_charts(analysis, more, scored, layout)

    def of_search(layout: Layout) -> Mapping[str, Any]:
        from harness.report.search_charts import search_charts

        return {} if found is None else search_charts(found, layout)

    return drawn([of_run, of_details, of_search])


def drawn(groups: Sequence[Group]) -> Drawings:
    """Draw charts, each group for a screen and for a phone; a group makes charts by name."""
    made: dict[str, Drawing] = {}
    lacking: dict[str, None] = {}
    for group in groups:
        try:
            from harness.report.chart_style import NARROW, WIDE, made_fast, to_svg

            with made_fast():
                wide, narrow = group(WIDE), group(NARROW)
        except Exception as error:  # noqa: BLE001 - a library's, or a mistake of ours: worth less than what was measured
            lacking[_why(error)] = None
            continue
        for name, chart in wide.items():
            try:
                made[name] = Drawing(to_svg(chart), to_svg(narrow[name]))
            except Exception as error:  # noqa: BLE001
                lacking[_why(error)] = None
    return Drawings(made, "; ".join(lacking))


def levels_svg(found: Sequence[Levels]) -> Drawings:
    """Draw concurrency levels; the chart is called "levels"."""

    def of_levels(layout: Layout) -> Mapping[str, Any]:
        from harness.report.charts import levels_chart

        return {"levels": levels_chart(found)}

    return drawn([of_levels])


def png_of(drawing: Drawing) -> bytes | None:
    """Return a chart as PNG; None where it cannot be drawn."""
    from harness.report.chart_style import to_png

    try:
        return to_png(drawing.wide)
    except Exception:  # noqa: BLE001 - the SVG is there
        return None


def _why(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{str(error) or 'a library is missing'} (pip install altair vl-convert-python brings what draws them)"
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{f': {said}' if said else ''}"
