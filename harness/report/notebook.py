"""An answer as a notebook shows it: its table and one chart, in a piece of HTML that needs nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from harness.analysis.model import Analysis
from harness.report import drawing
from harness.report.chart_style import Layout
from harness.report.drawing import Drawing
from harness.report.page import page
from harness.wording.answer import Answer

__all__ = ["notebook_html"]

_CHARTS = ("pipeline-time", "reply-time", "throughput")  # the first that there is


def notebook_html(answer: Answer, analysis: Analysis) -> str:
    """Return the answer, the candidates as a table, and a chart as SVG. It has no script and loads nothing."""

    def of_run(layout: Layout) -> Mapping[str, Any]:
        from harness.report.charts import charts_of

        charts = charts_of(analysis, layout)
        return {name: charts[name] for name in [name for name in _CHARTS if name in charts][:1]}

    charts: dict[str, Drawing] = {}
    for one in drawing.drawn([of_run]).made.values():
        # Cells of a notebook are one page: ids in a drawing must be its own.
        digest = hashlib.sha256(one.wide.encode()).hexdigest()[:10]
        charts[f"slotwise-{digest}"] = Drawing(one.wide, "<svg/>")
    return page("notebook.html.j2", charts, {}, answer=answer)
