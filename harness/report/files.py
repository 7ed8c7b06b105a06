"""Everything that is rendered into a run folder: summary.json, report.md, report.html, charts/*.svg and *.png."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.details import details
from harness.analysis.model import Analysis
from harness.report.drawing import Drawing, Drawings, drawings_of, png_of
from harness.report.html import html_report
from harness.report.markdown import markdown_report
from harness.report.score_file import read_score
from harness.report.summary import summary_text
from harness.runs.folder import write_bytes, write_text
from harness.runs.model import Run

__all__ = ["report_of", "write_report"]

TITLES = {
    "pipeline-time": "Pipeline time by candidate",
    "reply-time": "Reply time by candidate",
    "first-token": "First token by candidate",
    "trade": "Trade-off between the paths",
    "throughput": "Throughput and wall-clock by concurrency",
    "latency": "Distribution of the jobs' times",
    "arrivals": "Times by arrival of the job",
    "time-split": "Where the time goes, by candidate",
    "node-split": "Where the time goes, by node",
    "score": "Predicted against measured",
}


def write_report(folder: Path, analysis: Analysis, run: Run) -> None:
    """Write the report's files; raises UserError where the folder cannot be written.

    The numbers go first: charts take a second, and an impatient Ctrl-C should leave the rest behind.
    """
    write_text(folder, "summary.json", summary_text(analysis))
    more = details(run, analysis)
    score = read_score(folder)
    drawings = drawings_of(analysis, more, score.rows if score else ())
    charts = _charts(drawings)
    listed = [(f"charts/{name}.svg", TITLES[name]) for name in charts]
    write_text(folder, "report.md", markdown_report(analysis, listed, drawings.lacking))
    write_text(folder, "report.html", html_report(analysis, more, drawings._replace(made=charts), score))
    for name, drawing in charts.items():
        write_text(folder, f"charts/{name}.svg", drawing.wide)
        if (png := png_of(drawing)) is not None:
            write_bytes(folder, f"charts/{name}.png", png)


def report_of(analysis: Analysis, run: Run) -> str:
    """Return the `report.html` that `write_report` writes of a prediction."""
    more = details(run, analysis)
    drawings = drawings_of(analysis, more)
    return html_report(analysis, more, drawings._replace(made=_charts(drawings)))


def _charts(drawings: Drawings) -> dict[str, Drawing]:
    """Return those that a report has, in its order."""
    return {name: drawings.made[name] for name in TITLES if name in drawings.made}
