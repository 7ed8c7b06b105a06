"""report.html: everything that is known of one run, the answer first."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from harness.analysis.details import Details
from harness.analysis.model import Analysis, CandidateSummary
from harness.core.levers import levers_said
from harness.deploy.kinds import SETTINGS
from harness.report.bars import KINDS, parts_text
from harness.report.cells import cell_of
from harness.report.drawing import Drawings
from harness.report.graph_svg import graph_svg
from harness.report.page import page, script_data
from harness.report.page_data import timeline_data
from harness.report.score_file import SavedScore
from harness.units import count, seconds
from harness.wording.figures import machine_text, repeats_text, server_text
from harness.wording.run_answer import run_answer
from harness.wording.said import said

__all__ = ["html_report", "report_page"]


def html_report(analysis: Analysis, details: Details, charts: Drawings, score: SavedScore | None = None) -> str:
    """Return the page. `charts` are named as `charts_of` and `detail_charts` name them."""
    return report_page("report.html.j2", analysis, details, charts, score, answer=run_answer(analysis))


def report_page(
    template: str,
    analysis: Analysis,
    details: Details,
    charts: Drawings,
    score: SavedScore | None,
    **values: Any,
) -> str:
    """Render a template that has all that is known of a run; `values` has the answer, and what else it asks for."""
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    summaries = [summary for candidate in analysis.candidates for summary in candidate.pipelines]
    shown = {settings.candidate for settings in analysis.choice.settings}
    kinds = [kind for kind in KINDS if any(getattr(s.job_parts, kind.field) for s in summaries)]
    node_kinds = [kind for kind in KINDS if any(getattr(node_time.parts, kind.field) for node_time in details.nodes)]
    known = {
        **analysis._asdict(),
        "lacking_charts": charts.lacking,
        "origin": analysis.run.origin,
        "title": f"{analysis.run.workload}: how to run it",
        "said": said(analysis),
        "recommendation": None,
        "kept": True,
        "pipelines": pipelines,
        "streamed": {summary.pipeline for summary in summaries if summary.first_token is not None},
        "thinking": {summary.pipeline for summary in summaries if summary.first_thought is not None},
        "failed": any(summary.jobs_failed for summary in summaries),
        "shown": shown,
        "kinds": kinds,
        "concurrency": bool(analysis.levels) or any(candidate.concurrency for candidate in analysis.candidates),
        "node_kinds": node_kinds,
        "details": details,
        "graphs": [
            (job, Markup(graph_svg(job)))  # noqa: S704  our own template, autoescaped
            for job in details.graphs
            if job.path.candidate in shown and len(job.graph)
        ],
        "data": script_data(timeline_data(details.timelines)),
        "first_timeline": next(
            (i for i, timeline in enumerate(details.timelines) if timeline.candidate in shown and timeline.median), 0
        ),
        "titles": {name: kind.title for name, kind in SETTINGS.items()},
        "score": score,
        "machine_line": machine_text(analysis.run),
        "repeats_text": f"{repeats_text(analysis)} of {count(len(analysis.candidates), 'candidate')}",
        "calls": sum(summary.calls for summary in summaries),
        "servers_of": _servers,
    }
    filters = {
        "parts": lambda parts: parts_text(parts, 0.005),
        "time": lambda found: cell_of(found, seconds),
        "rate": lambda found: cell_of(found, "{:.1f}".format),
    }
    return page(template, charts.made, filters, **(known | values))


def _servers(candidate: CandidateSummary) -> list[str]:
    texts = []
    for use in candidate.servers:
        slots = count(use.slots, "slot") + (" (extrapolated)" if use.extrapolated else "")
        slots += f", {levers_said(use.levers)}" if use.levers else ""
        scheduling = "" if use.key is None else f", {use.scheduling}"
        texts.append(f"{server_text(use.server, use.machine)}: {slots}, {use.concurrency}{scheduling}")
    return texts
