"""An agent graph as SVG: the median job on it, its critical path, and the slack of every other node."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from harness.analysis.critical_path import NodeSlack
from harness.analysis.details import JobGraph
from harness.report.text import plain, shortened
from harness.units import seconds
from harness.workload.draw import is_dense, layered, row_of, summary
from harness.workload.networks import nx

__all__ = ["graph_svg"]

_WIDTH, _HEIGHT = 192, 58  # of a node's box
_GAP_X, _GAP_Y = 52, 22
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
                _x(column[name]),
                _y(rows[name]),
                name,
                shortened(plain(name), _LONGEST_NAME - len(times)) + times,
                _time(slack, bool(job.slack)),
                "critical" if critical else "" if slack is None else f"slack {seconds(slack.slack_s)}",
                critical,
                slack is not None or critical,
            )
        )
    lines = [_Line(_curve(column[a], rows[a], column[b], rows[b], a, b), _edge(a, b) in pairs, False) for a, b in edges]
    lines += [
        _Line(_back(column[a], rows[a], column[b], rows[b]), (a, b) in pairs, True)
        for a, b, again in graph.edges(data="again")
        if again
    ]
    bottom = max(rows.values())
    backs = any(again for *_, again in graph.edges(data="again"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=lambda value: plain(str(value))
    )
    return environment.from_string(_TEMPLATE).render(
        width=_x(len(levels) - 1) + _WIDTH + 8,
        height=_y(bottom) + _HEIGHT + (30 if backs else 8),
        boxes=boxes,
        lines=sorted(lines, key=lambda line: line.critical),  # the path lies on top
        box_width=_WIDTH,
        box_height=_HEIGHT,
        summary=f"Agent graph of {job.path.pipeline}; its critical path is {', then '.join(dict.fromkeys(on_path))}",
    )


def _time(slack: NodeSlack | None, known: bool) -> str:
    if slack is None:
        return "did not run" if known else "too many calls to analyse"
    return f"{seconds(slack.end_s - slack.start_s)} from {seconds(slack.start_s)}"


def _x(column: int) -> float:
    return 4 + column * (_WIDTH + _GAP_X)


def _y(row: int) -> float:
    return 4 + row * (_HEIGHT + _GAP_Y)


def _edge(a: Any, b: Any) -> tuple[str, str]:
    """Return the real edge that a piece of line belongs to: a long one passes levels as `(from, to, level)`."""
    return (a[0] if isinstance(a, tuple) else a, b[1] if isinstance(b, tuple) else b)


def _curve(column_a: int, row_a: int, column_b: int, row_b: int, a: Any, b: Any) -> str:
    x0 = _x(column_a) + (_WIDTH if not isinstance(a, tuple) else _WIDTH / 2)
    x1 = _x(column_b) + (0 if not isinstance(b, tuple) else _WIDTH / 2)
    y0, y1 = _y(row_a) + _HEIGHT / 2, _y(row_b) + _HEIGHT / 2
    bend = min(_GAP_X, (x1 - x0) / 2)
    return f"M{x0:g} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"


def _back(column_a: int, row_a: int, column_b: int, row_b: int) -> str:
    """Draw a loop's way back below the boxes."""
    x0, x1 = _x(column_a) + _WIDTH / 2 + 12, _x(column_b) + _WIDTH / 2 - 12
    y0, y1 = _y(row_a) + _HEIGHT, _y(row_b) + _HEIGHT
    low = max(y0, y1) + 24
    return f"M{x0:g} {y0:g}C{x0:g} {low:g} {x1:g} {low:g} {x1:g} {y1:g}"
