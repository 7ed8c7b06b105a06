"""Draw an agent graph with lines, left to right; as a list where lines could be misread; in words where it is dense.

Time and space are linear in nodes and edges: what is too wide is not laid out at all."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from typing import Any

from harness.units import count, seconds
from harness.workload.networks import nx

__all__ = ["again", "draw", "is_dense", "label", "layered", "row_of", "summary"]

# A cell's connections: left, right, up, down.
_LINES = {
    "lr": "─", "ud": "│", "rd": "┌", "ld": "┐", "ru": "└", "lu": "┘",
    "rud": "├", "lud": "┤", "lrd": "┬", "lru": "┴", "lrud": "┼", "l": "─", "r": "─",
}  # fmt: skip

NARROWEST = 7  # columns of a level: a letter, the gap with one line in it, and what keeps them apart
DENSE = 200  # edges: beyond that, and beyond `CROWDED` a node, nobody reads a list of them
CROWDED = 6
SHOWN = 5  # names in one line of what is said instead

Cell = tuple[int, int]
Node = Any  # a node's name, or (name, name, level) for a line that passes a level


def label(name: str, node: dict[str, Any]) -> str:
    """Name a node: `merge`, a fan-out `summarize x8`, a tool `look-up (0.3 s)`, the end of a loop `polish/until (3x)`,
    one whose prompts grow from pass to pass `act (grows)`.

    An embedding is named with its requests and texts, `index x3 (40 texts)`.

    What varies is said to be about so much, or at most.
    """
    if node["kind"] == "tool":
        about = "about " if node.get("delay") else ""
        return f"{name} ({about}{seconds(node['delay_s'])})"
    if node["kind"] == "until":
        return f"{name} ({node['max_iterations']}x)" if node["body"] else name
    if node.get("batch"):
        requests = "" if node["width"] == 1 else f" x{'0-' if node.get('items') else ''}{node['width']}"
        return f"{name}{requests} ({count(node['texts'], 'text')})"
    grows = " (grows)" if node.get("grows") else ""
    if not node.get("over"):
        return f"{name}{grows}"
    width = f"x0-{node['width']}" if node.get("items") else f"x{node['width']}"
    return f"{name} {width}{grows}"


def again(graph: nx.DiGraph, name: str) -> tuple[str, ...]:
    """Return where the next pass of the loop begins that ends in `name`; none where it ends no loop."""
    body = graph.nodes[name].get("body", ())
    return tuple(node for node in body if not any(before in body for before in graph.predecessors(node)))


def draw(graph: nx.DiGraph, columns: int = 76) -> list[str]:
    """Return the graph as lines of text, no wider than `columns` unless a name is.

    Every node stands right of all that it waits for. Nodes with the same successors share one vertical line,
    and two different lines only ever cross (the upright one goes over the other). Where that is not possible,
    or not in `columns`, the answer is a list: every node with what it waits for. A label of a branch stands before the
    node that needs it; a loop is drawn once, and its end says where it goes back to. A list of very many edges
    would not be read either: then a few lines say what there is.
    """
    lines = _diagram(graph, columns)
    if lines is not None and max(map(len, lines)) <= columns:
        return lines
    if not is_dense(graph):
        return _list(graph, columns)
    return [line for text in summary(graph) for line in textwrap.wrap(text, columns, subsequent_indent="    ")]


def is_dense(graph: nx.DiGraph) -> bool:
    """Whether a drawing or a list of all edges would tell nobody anything."""
    edges = graph.number_of_edges()
    return bool(edges > DENSE and edges > CROWDED * len(graph))


def summary(graph: nx.DiGraph) -> tuple[str, ...]:
    """Say what there is in a graph that is too dense to be drawn, a line for each fact."""
    levels = Counter(_depths(graph).values())
    awaited, waits = (max(graph, key=lambda name: degree(name)) for degree in (graph.out_degree, graph.in_degree))
    return (
        f"{count(len(graph), 'node')} and {count(graph.number_of_edges(), 'edge')}, too many to draw or to list",
        f"begins with {_some([name for name in graph if not graph.in_degree(name)])}",
        f"ends with {_some([name for name in graph if not graph.out_degree(name)])}",
        f"longest chain: {count(len(levels), 'node')}; at most {count(max(levels.values()), 'node')} side by side",
        f"most nodes wait for {label(awaited, graph.nodes[awaited])}: {graph.out_degree(awaited)}",
        f"{label(waits, graph.nodes[waits])} waits for most nodes: {graph.in_degree(waits)}",
    )


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _list(graph: nx.DiGraph, columns: int) -> list[str]:
    labels = {name: label(name, graph.nodes[name]) for name in graph}
    pad = min(max(map(len, labels.values())), columns // 2)
    lines = []
    for name in nx.lexicographical_topological_sort(graph, key=_place(graph).__getitem__):
        before = sorted(graph.predecessors(name), key=_place(graph).__getitem__)
        parts = [f"{other}{_taken(graph, other, name)}" for other in before]
        text = f"{labels[name]:<{pad}}  <- {', '.join(parts)}" if before else labels[name]
        if back := again(graph, name):
            text += f"; back to {', '.join(back)}"
        lines += textwrap.wrap(text, columns, subsequent_indent=" " * (pad + 5), break_on_hyphens=False) or [text]
    return lines


def _taken(graph: nx.DiGraph, before: str, name: str) -> str:
    """Say which labels of a branch an edge needs: `[billing]`."""
    taken = graph.edges[before, name].get("labels")
    return f"[{'/'.join(taken)}]" if taken else ""


def _text(graph: nx.DiGraph, node: Node) -> str:
    """Return what a diagram shows of a node; a line that passes shows nothing."""
    if not isinstance(node, str):
        return ""
    taken = [_taken(graph, before, node) for before in graph.predecessors(node)]
    back = "" if not again(graph, node) else " again"
    return f"{taken[0]} {label(node, graph.nodes[node])}" if any(taken) else label(node, graph.nodes[node]) + back


def _place(graph: nx.DiGraph) -> dict[str, int]:
    return {name: i for i, name in enumerate(graph)}


def _diagram(graph: nx.DiGraph, columns: int) -> list[str] | None:
    if NARROWEST * max(_depths(graph).values()) >= columns:
        return None
    if any(graph.in_degree(b) > 1 for a, b in graph.edges if _taken(graph, a, b)):
        return None  # the label before a node would seem to be that of all lines into it
    levels, edges = layered(graph)
    rows = row_of(levels, edges)
    leads: dict[Node, list[Node]] = defaultdict(list)
    for a, b in edges:
        leads[a].append(b)
    canvas: dict[Cell, str] = {}
    x = 0
    for depth, level in enumerate(levels):
        texts = {node: _text(graph, node) for node in level}
        width = max(map(len, texts.values()))
        leaving = {node: leads[node] for node in level}
        for node, text in texts.items():
            for i, char in enumerate(text):
                canvas[rows[node], x + i] = char
            if leaving[node]:  # the line on to the gap; a dummy is all line, from the gap before it
                start = x + len(text) + 1 if text else x - 1
                for column in range(start, x + width + 2):
                    canvas[rows[node], column] = "─"
        x += width + 2
        if depth + 1 == len(levels):
            break
        channels = _channels(leaving, rows)
        if channels is None:
            return None
        end = x + 2 * len(channels) + 1
        _draw_gap(canvas, channels, x, end)
        x = end + 1
    height = max(row for row, _ in canvas) + 1
    lines = [[" "] * (max(column for _, column in canvas) + 1) for _ in range(height)]
    for (row, column), char in canvas.items():
        lines[row][column] = char
    return ["".join(line).rstrip() for line in lines]


def _depths(graph: nx.DiGraph) -> dict[str, int]:
    """Return the level of every node: that after its last predecessor."""
    depth: dict[str, int] = {}
    for name in nx.topological_sort(graph):
        depth[name] = 1 + max((depth[before] for before in graph.predecessors(name)), default=-1)
    return depth


def layered(graph: nx.DiGraph) -> tuple[list[list[Node]], list[tuple[Node, Node]]]:
    """Put every node on the level after its last predecessor; long edges pass others as dummies."""
    depth = _depths(graph)
    levels: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in graph:
        levels[depth[name]].append(name)
    edges: list[tuple[Node, Node]] = []
    for a, b in graph.edges:
        last: Node = a
        for level in range(depth[a] + 1, depth[b]):
            dummy = (a, b, level)
            levels[level].append(dummy)
            edges.append((last, dummy))
            last = dummy
        edges.append((last, b))
    return levels, edges


def row_of(levels: list[list[Node]], edges: list[tuple[Node, Node]]) -> dict[Node, int]:
    """Order each level by the mean row of what its nodes wait for (Sugiyama's barycentre), one node a row."""
    rows: dict[Node, int] = {}
    comes_from: dict[Node, list[Node]] = defaultdict(list)
    for a, b in edges:
        comes_from[b].append(a)
    for level in levels:

        def centre(node: Node) -> float:
            above = [rows[before] for before in comes_from[node]]
            return sum(above) / len(above) if above else float(len(rows))

        level.sort(key=centre)
        wanted = [centre(node) for node in level]
        mean = sum(wanted) / len(wanted) if rows else (max(map(len, levels)) - 1) / 2
        start = max(0, round(mean - (len(level) - 1) / 2))
        for i, node in enumerate(level):
            rows[node] = start + i
    top = min(rows.values())
    return {node: row - top for node, row in rows.items()}


Channel = tuple[list[int], list[int]]  # rows that come in from the left, rows that go out to the right


def _channels(leaving: dict[Node, list[Node]], rows: dict[Node, int]) -> list[Channel] | None:
    """Give nodes with the same successors one upright line; order them so that none runs into another."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for node, after in leaving.items():
        if after:
            groups.setdefault(tuple(sorted(rows[b] for b in after)), []).append(rows[node])
    channels = [(sorted(sources), list(targets)) for targets, sources in groups.items()]
    targets_of_all = [row for targets in groups for row in targets]
    if len(set(targets_of_all)) < len(targets_of_all):
        return None  # two lines would run into one, and each could be read as the other
    # On one row, a line that still comes in must end left of where another begins to go out.
    order: nx.DiGraph = nx.DiGraph()
    order.add_nodes_from(range(len(channels)))
    comes_in = {row: i for i, (sources, _) in enumerate(channels) for row in sources}
    goes_out = {row: j for j, (_, targets) in enumerate(channels) for row in targets}
    order.add_edges_from((i, goes_out[row]) for row, i in comes_in.items() if goes_out.get(row, i) != i)
    if not nx.is_directed_acyclic_graph(order):
        return None
    return [channels[i] for i in nx.lexicographical_topological_sort(order)]


def _draw_gap(canvas: dict[Cell, str], channels: list[Channel], x: int, end: int) -> None:
    flat: dict[Cell, str] = {}
    upright: dict[Cell, str] = {}
    for i, (sources, targets) in enumerate(channels):
        at = x + 2 * i
        for row in sources:
            flat.update(((row, column), "lr") for column in range(x, at))
        for row in targets:
            flat.update(((row, column), "lr") for column in range(at + 1, end))
        touched = [*sources, *targets]
        for row in range(min(touched), max(touched) + 1):
            sides = "l" * (row in sources) + "r" * (row in targets)
            sides += "u" * (row > min(touched)) + "d" * (row < max(touched))
            upright[row, at] = sides
    for cell, sides in {**flat, **upright}.items():
        canvas[cell] = _LINES[sides]
