"""Everything that is rendered into a run folder: summary.json, report.md, charts/*.svg."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.model import Analysis
from harness.report.charts import charts_of, to_svg
from harness.report.markdown import markdown_report
from harness.report.summary import summary_text
from harness.runs.folder import write_text

__all__ = ["write_report"]

_TITLES = {
    "pipeline-time": "Pipeline time by candidate",
    "reply-time": "Reply time by candidate",
    "throughput": "Aggregate throughput by concurrency",
    "time-split": "Where the time goes, by candidate",
}


def write_report(folder: Path, analysis: Analysis) -> None:
    """Write the report's files; raises UserError where the folder cannot be written.

    The numbers go first: charts take a second, and an impatient Ctrl-C should leave the rest behind.
    """
    write_text(folder, "summary.json", summary_text(analysis))
    charts = charts_of(analysis)
    links = [(f"charts/{name}.svg", _TITLES[name]) for name in charts]
    write_text(folder, "report.md", markdown_report(analysis, links))
    for name, chart in charts.items():
        write_text(folder, f"charts/{name}.svg", to_svg(chart))
