"""An agent graph as numbers and texts, for a page that draws it itself: the boxes and lines of a report, no times."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.report.graph_layout import HEIGHT, WIDTH, back, curve, height_of, width_of, x_of, y_of
from harness.report.text import plain, shortened
from harness.units import count
from harness.workload.draw import is_dense, label, layered, row_of, summary
from harness.workload.networks import nx

__all__ = ["DrawnGraph", "DrawnLine", "DrawnNode", "drawn_graph"]

_LONGEST = 20  # characters that fit into a box


class DrawnNode(NamedTuple):
    """A box; lengths are pixels at the drawing's own size."""

    node: str  # its name in the pipeline, such as `refine/critic`
    x: float
    y: float
    width: float
    height: float
    texts: tuple[str, ...]  # its lines
    title: str  # all that is known of it, in a line


class DrawnLine(NamedTuple):
    """A line between two boxes."""

    d: str  # an SVG path
    again: bool  # the way back of a loop


class DrawnGraph(NamedTuple):
    """The graph of one pipeline; without boxes where it is too dense to be drawn."""

    pipeline: str
    width: float
    height: float
    nodes: tuple[DrawnNode, ...]
    lines: tuple[DrawnLine, ...]
    says: tuple[str, ...]  # where it is too dense: what there is, in words


def drawn_graph(pipeline: str, graph: nx.DiGraph[str], facts: nx.DiGraph[str]) -> DrawnGraph:
    """Lay a graph out as reports do.

    Args:
        pipeline: its name.
        graph: as `harness.workload.dependencies.dependencies` returns it.
        facts: the same with estimates of tokens, as a loaded workload has it.
    """
    once: Any = nx.DiGraph()
    once.add_nodes_from(graph.nodes(data=True))
    once.add_edges_from((a, b) for a, b, again in graph.edges(data="again") if not again)
    if is_dense(once):
        return DrawnGraph(pipeline, 0, 0, (), (), tuple(plain(line) for line in summary(once)))
    levels, edges = layered(once)
    rows = row_of(levels, edges)
    column = {node: i for i, level in enumerate(levels) for node in level}
    backs = [(a, b) for a, b, again in graph.edges(data="again") if again]
    nodes = tuple(
        DrawnNode(name, x_of(column[name]), y_of(rows[name]), WIDTH, HEIGHT, *_texts(name, facts.nodes[name]))
        for name in graph
    )
    lines = [DrawnLine(curve(column[a], rows[a], column[b], rows[b], a, b), False) for a, b in edges]
    lines += [DrawnLine(back(column[a], rows[a], column[b], rows[b]), True) for a, b in backs]
    return DrawnGraph(pipeline, width_of(levels), height_of(rows, backs=bool(backs)), nodes, tuple(lines), ())


def _texts(name: str, facts: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the lines in a node's box, and its title."""
    named = plain(label(name, facts))
    if facts["kind"] == "tool":
        return (shortened(plain(name), _LONGEST), "tool"), f"{named}: a tool"
    if facts["embeds"]:
        return (shortened(named, _LONGEST), "embedding"), f"{named}: an embedding"
    agent = plain(facts["agent"])
    prompt, answer = round(facts["prompt_tokens"]), round(facts["output_tokens"])
    title = f"{named}: agent {agent}, a prompt of about {count(prompt, 'token')}, an answer of {count(answer, 'token')}"
    return (shortened(named, _LONGEST), shortened(agent, 26), f"{prompt} in, {answer} out"), title
