"""An agent graph as SVG: the median job on it, its critical path, and the slack of every other node."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from harness.analysis.critical_path import NodeSlack
from harness.analysis.details import JobGraph
from harness.report.graph_layout import HEIGHT, WIDTH, back, curve, height_of, width_of, x_of, y_of
from harness.report.text import plain, shortened
from harness.units import seconds
from harness.workload.draw import is_dense, layered, row_of, summary
from harness.workload.networks import nx

__all__ = ["graph_svg"]

_LONGEST_NAME = 20  # of these fit into a box; the whole name is its title


class _Box(NamedTuple):
    x: float
    y: float
    name: str
    text: str
    time: str
    slack: str
    critical: bool
    reached: bool


class _Line(NamedTuple):
    d: str
    critical: bool
    again: bool


_TEMPLATE = """\
<svg class="graph" viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" height="{{ height }}" role="img" \
aria-label="{{ summary }}">
{% for line in lines %}
<path class="edge{{ ' critical' if line.critical }}{{ ' again' if line.again }}" d="{{ line.d }}"/>
{% endfor %}
{% for box in boxes %}
<g class="node{{ ' critical' if box.critical }}{{ '' if box.reached else ' unreached' }}" \
transform="translate({{ box.x }} {{ box.y }})">
<title>{{ box.name }}: {{ box.time }}, {{ box.slack }}</title>
<rect width="{{ box_width }}" height="{{ box_height }}" rx="4"/>
<text x="12" y="20" class="name">{{ box.text }}</text>
<text x="12" y="36">{{ box.time }}</text>
<text x="12" y="50" class="slack">{{ box.slack }}</text>
</g>
{% endfor %}
</svg>
"""


def graph_svg(job: JobGraph) -> str:
    """Return the drawing: boxes left to right in the order of dependencies, with times and slack in words too.

    Of a graph that is too dense to be drawn: what there is, in words.
    """
    graph = job.graph
    once: Any = nx.DiGraph()
    once.add_nodes_from(graph.nodes(data=True))
    once.add_edges_from((a, b) for a, b, again in graph.edges(data="again") if not again)
    if is_dense(once):
        return "".join(f"<p>{escape(plain(line))}.</p>" for line in summary(once))
    levels, edges = layered(once)
    rows = row_of(levels, edges)
    column = {node: i for i, level in enumerate(levels) for node in level}
    found = {slack.node: slack for slack in job.slack}
    on_path = [step.node for step in job.path.steps]
    pairs = set(pairwise(on_path))

    boxes = []
    for name in graph:
        slack = found.get(name)
        critical = name in on_path
        times = f" ×{slack.steps}" if slack is not None and slack.steps > 1 else ""
        boxes.append(
            _Box(
                x_of(column[name]),
                y_of(rows[name]),
                name,
                shortened(plain(name), _LONGEST_NAME - len(times)) + times,
                _time(slack, bool(job.slack)),
                "critical" if critical else "" if slack is None else f"slack {seconds(slack.slack_s)}",
                critical,
                slack is not None or critical,
            )
        )
    lines = [_Line(curve(column[a], rows[a], column[b], rows[b], a, b), _edge(a, b) in pairs, False) for a, b in edges]
    lines += [
        _Line(back(column[a], rows[a], column[b], rows[b]), (a, b) in pairs, True)
        for a, b, again in graph.edges(data="again")
        if again
    ]
    backs = any(again for *_, again in graph.edges(data="again"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=lambda value: plain(str(value))
    )
    return environment.from_string(_TEMPLATE).render(
        width=width_of(levels),
        height=height_of(rows, backs=backs),
        boxes=boxes,
        lines=sorted(lines, key=lambda line: line.critical),  # the path lies on top
        box_width=WIDTH,
        box_height=HEIGHT,
        summary=f"Agent graph of {job.path.pipeline}; its critical path is {', then '.join(dict.fromkeys(on_path))}",
    )


def _time(slack: NodeSlack | None, known: bool) -> str:
    if slack is None:
        return "did not run" if known else "too many calls to analyse"
    return f"{seconds(slack.end_s - slack.start_s)} from {seconds(slack.start_s)}"


def _edge(a: Any, b: Any) -> tuple[str, str]:
    """Return the real edge that a piece of line belongs to: a long one passes levels as `(from, to, level)`."""
    return (a[0] if isinstance(a, tuple) else a, b[1] if isinstance(b, tuple) else b)
