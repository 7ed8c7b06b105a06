"""report.md: the analysis through one template. What the template prints is escaped unless it says `raw` or `code`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from harness.analysis.model import Analysis, CandidateSummary
from harness.analysis.statistics import Estimate
from harness.core.levers import levers_said
from harness.deploy.kinds import SETTINGS
from harness.report.answer import answer_markdown
from harness.report.bars import KINDS, parts_text
from harness.report.text import markdown, plain
from harness.units import count, percent, seconds
from harness.wording.figures import both_text, ends_text, estimate_text, fact_text, repeats_text, server_text
from harness.wording.run_answer import run_answer
from harness.wording.said import said

__all__ = ["markdown_report"]


class _Raw(str):
    """Text that is Markdown already."""


def markdown_report(analysis: Analysis, charts: Sequence[tuple[str, str]] = (), lacking: str = "") -> str:
    """Return report.md. `charts` are (path relative to the report, title); `lacking` says why others are missing."""
    # The template is ours and its output is Markdown, not HTML; `finalize` escapes every expression for that.
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, finalize=_finalize, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "raw": _Raw,
        "code": lambda text: _Raw(plain(text)),
        "seconds": lambda value: "-" if value is None else seconds(value),
        "exact": lambda value: f"{round(value, 3) + 0.0:.3f}",  # no -0.000
        "fact": lambda pair: fact_text(*pair),
        "known": lambda value: "unknown" if value is None else value,
        "number": lambda value: "-" if value is None or value != value else f"{value:.1f}",
        "percent": percent,
        "estimate": lambda found: "-" if found is None else estimate_text(found),
        "rate": _rate,
        "parts": lambda parts: parts_text(parts, 0.005),
        "servers": _servers,
        "details": _details,
        "sum": lambda items, field: sum(getattr(item, field) for item in items),
    }
    template = environment.from_string(files(__package__).joinpath("report.md.j2").read_text(encoding="utf-8"))
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    summaries = [summary for candidate in analysis.candidates for summary in candidate.pipelines]
    shown = {settings.candidate for settings in analysis.choice.settings}
    return template.render(
        **analysis._asdict(),
        said=said(analysis),
        answer=_Raw("\n".join(answer_markdown(run_answer(analysis)))),
        pipelines=pipelines,
        streamed={summary.pipeline for summary in summaries if summary.first_token is not None},
        thinking={summary.pipeline for summary in summaries if summary.first_thought is not None},
        kinds=[kind for kind in KINDS if any(getattr(s.job_parts, kind.field) for s in summaries)],
        critical_paths=[
            summary.median_path
            for candidate in analysis.candidates
            for summary in candidate.pipelines
            if candidate.name in shown and summary.median_path is not None and len(summary.median_path.steps) > 1
        ],
        charts=charts,
        lacking_charts=lacking,
        titles={name: kind.title for name, kind in SETTINGS.items()},
        repeats_text=f"{repeats_text(analysis)} of {count(len(analysis.candidates), 'candidate')}",
    )


def _finalize(value: Any) -> Any:
    return value if isinstance(value, _Raw) else markdown(str(value))


def _rate(found: Estimate | None) -> str:
    if found is None:
        return "-"
    if found.profile_interval is not None:
        return f"{found.value:.1f} ({', '.join(both_text(found, '{:.2g}'.format))})"
    return f"{found.value:.1f}" + (f" ({ends_text(found.interval, '{:.1f}'.format)})" if found.interval else "")


def _servers(candidate: CandidateSummary) -> str:
    texts = []
    for use in candidate.servers:
        slots = count(use.slots, "slot") + (" (extrapolated)" if use.extrapolated else "")
        slots += f", {levers_said(use.levers)}" if use.levers else ""
        texts.append(f"{server_text(use.server, use.machine)}: {slots}, {use.concurrency}, {use.scheduling}")
    return "; ".join(texts)


def _details(details: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in details.items())
