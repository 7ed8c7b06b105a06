"""report.html: one file that needs nothing else, no network, no library, and shows whatever it is given as text.

Three things keep what others wrote from acting: Jinja escapes every expression (`plain` takes control characters out
first), data for the script is JSON in which no `<` is left, put in place with `textContent`, and the page's own
Content-Security-Policy allows one script, named by its hash, and nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from harness.analysis.details import Details
from harness.analysis.model import Analysis, CandidateSummary
from harness.report.bars import KINDS, parts_text
from harness.report.graph_svg import graph_svg
from harness.report.headline import cell_of, figures, lead
from harness.report.page_data import timeline_data
from harness.report.score_file import SavedScore
from harness.report.text import plain
from harness.units import count, percent, seconds, size

__all__ = ["html_report"]

# What a chart's colours become on a dark page; its specification is for a white one.
_DARK = {
    "#0072B2": "#4BA3DB",
    "#D55E00": "#F0803A",
    "#009E73": "#2FBF95",
    "#CC79A7": "#D993B9",
    "#E69F00": "#E69F00",
    "#56B4E9": "#8CCBF2",
    "#F0E442": "#E3D94F",
    "#8C564B": "#B98378",
    "#999999": "#8A8F94",
    "#BBBBBB": "#6E747A",
    "#000000": "#E4E7EA",
    "#000": "#E4E7EA",
    "black": "#E4E7EA",
    "#555555": "#A3ABB3",
    "#888888": "#7B838B",
    "#888": "#7B838B",
    "#E6E6E6": "#2E343A",
    "#ddd": "#2E343A",
    "white": "#15181B",
}


def html_report(
    analysis: Analysis, details: Details, charts: Mapping[str, str], score: SavedScore | None = None
) -> str:
    """Return the page. `charts` are SVG texts by name, as `charts_of` and `detail_charts` name them."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "seconds": lambda value: "–" if value is None else seconds(value),
        "percent": percent,
        "number": lambda value: "–" if value is None or value != value else f"{value:.1f}",
        "signed": lambda value: f"{value * 100:+.1f} %".replace("-", "−"),
        "parts": lambda parts: parts_text(parts, 0.005),
        "exact": lambda value: f"{round(value, 3) + 0.0:.3f}",
        "fact": _fact,
        "time": lambda found: cell_of(found, seconds),
        "rate": lambda found: cell_of(found, "{:.1f}".format),
    }
    script = _own("report.js")
    pipelines = analysis.candidates[0].pipelines if analysis.candidates else ()
    summaries = [summary for candidate in analysis.candidates for summary in candidate.pipelines]
    shown = {settings.candidate for settings in analysis.choice.settings}
    kinds = [kind for kind in KINDS if any(getattr(s.job_parts, kind.field) for s in summaries)]
    node_kinds = [kind for kind in KINDS if any(getattr(of.parts, kind.field) for of in details.nodes)]
    template = environment.from_string(_own("report.html.j2"))
    return template.render(
        **analysis._asdict(),
        title=f"{analysis.run.workload}: how to run it",
        lead=lead(analysis),
        figures=figures(analysis),
        pipelines=pipelines,
        streamed={summary.pipeline for summary in summaries if summary.first_token is not None},
        failed=any(summary.jobs_failed for summary in summaries),
        shown=shown,
        kinds=kinds,
        node_kinds=node_kinds,
        details=details,
        graphs=[
            (job, Markup(graph_svg(job)))  # noqa: S704  our own template, autoescaped
            for job in details.graphs
            if job.path.candidate in shown and len(job.graph)
        ],
        charts={name: Markup(_inline(name, svg)) for name, svg in charts.items()},  # noqa: S704  Vega's, escaped
        data=_json(timeline_data(details.timelines)),
        first_timeline=next((i for i, of in enumerate(details.timelines) if of.candidate in shown and of.median), 0),
        score=score,
        script=Markup(script),  # noqa: S704  our own files
        style=Markup(_own("report.css") + _chart_colours()),  # noqa: S704
        policy=_policy(script),
        machine_line=_machine_line(analysis),
        repeats_text=f"{count(analysis.run.repeats, 'repeat')} of {count(len(analysis.candidates), 'candidate')}",
        calls=sum(summary.calls for summary in summaries),
        servers_of=_servers,
    )


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) else plain(str(value))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _json(value: Any) -> Markup:
    """Write data for a `<script type="application/json">`: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  just made harmless


def _inline(name: str, svg: str) -> str:
    """Make an SVG part of a page: its ids are its own, and its colours are the page's to change."""
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", svg)
    return re.sub(r"^<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", "", svg)


def _chart_colours() -> str:
    rules = []
    for light, dark in _DARK.items():
        colour = f"light-dark({light},{dark})"
        rules.append(f'.chart [fill="{light}" i]{{fill:{colour}}}.chart [stroke="{light}" i]{{stroke:{colour}}}')
    return "\n".join(rules)


def _servers(candidate: CandidateSummary) -> list[str]:
    texts = []
    for use in candidate.servers:
        slots = count(use.slots, "slot") + (" (extrapolated)" if use.extrapolated else "")
        order = "" if use.order == "fifo" else f", {use.order}"
        texts.append(f"{use.server}: {slots}, {use.cap}{order}")
    return texts


def _machine_line(analysis: Analysis) -> str:
    machine = dict(analysis.run.machine)
    facts = [str(machine["cpu"])] if "cpu" in machine else []
    if "cores" in machine:
        facts.append(count(int(machine["cores"]), "core"))
    return ", ".join(facts)


def _fact(pair: tuple[str, object]) -> str:
    key, value = pair
    return size(value) if key.endswith("_bytes") and isinstance(value, (int, float)) else str(value)
