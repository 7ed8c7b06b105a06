"""Random graphs: width and span against brute force; compiling keeps them; a drawing can be read back."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.workload.build import compile_graph
from harness.workload.checks import find_circles
from harness.workload.describe import max_weight_antichain, span_of
from harness.workload.draw import draw as draw_graph
from harness.workload.draw import label


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 7) -> nx.DiGraph:
    """Draw a graph as `build.agent_graph` makes them: agents, fan-outs and tools, in any order of names."""
    n = draw(st.integers(1, max_nodes))
    names = draw(st.permutations([f"n{i}" for i in range(n)]))
    graph: Any = nx.DiGraph()
    for name in sorted(names):
        kind = draw(st.sampled_from(["agent", "agent", "tool"]))
        width = draw(st.integers(1, 4)) if kind == "agent" else 1
        graph.add_node(
            name,
            kind=kind,
            width=width,
            over="docs" if width > 1 else None,
            delay_s=draw(st.sampled_from([0.0, 0.5, 2.0])) if kind == "tool" else 0.0,
            agent=name if kind == "agent" else "",
            model="",
            timeout_s=None,
            prompt_tokens=draw(st.integers(0, 50)) if kind == "agent" else 0,
            output_tokens=draw(st.integers(1, 50)) if kind == "agent" else 0,
        )
    for i, earlier in enumerate(names):
        for later in names[i + 1 :]:
            if draw(st.booleans()):
                graph.add_edge(earlier, later)
    return graph


def calls(graph: nx.DiGraph) -> dict[str, int]:
    return {name: node["width"] if node["kind"] == "agent" else 0 for name, node in graph.nodes.items()}


@given(graphs())
def test_width_is_that_of_brute_force(graph: nx.DiGraph) -> None:
    weight = calls(graph)
    reach = {name: nx.descendants(graph, name) for name in graph}
    best = 0
    for size in range(len(graph) + 1):
        for chosen in combinations(graph, size):
            if not any(b in reach[a] or a in reach[b] for a, b in combinations(chosen, 2)):
                best = max(best, sum(weight[name] for name in chosen))
    found = max_weight_antichain(graph, weight)
    assert sum(found.values()) == best
    assert not any(b in reach[a] or a in reach[b] for a, b in combinations(found, 2))


@given(graphs())
def test_span_is_that_of_brute_force(graph: nx.DiGraph) -> None:
    ends = [(a, b) for a in graph for b in graph if graph.in_degree(a) == 0 and graph.out_degree(b) == 0]
    chains = [chain for a, b in ends for chain in nx.all_simple_paths(graph, a, b)] + [[a] for a, b in ends if a == b]

    def total(chain: list[str], key: str) -> float:
        return float(sum(graph.nodes[name][key] for name in chain))

    span = span_of(graph)
    assert (span.output_tokens, span.prompt_tokens, span.tool_s) == max(
        (total(chain, "output_tokens"), total(chain, "prompt_tokens"), total(chain, "delay_s")) for chain in chains
    )
    assert span.longest_tool_s == max(total(chain, "delay_s") for chain in chains)
    assert all(graph.has_edge(a, b) for a, b in pairwise(span.nodes))
    assert span.calls == sum(graph.nodes[name]["kind"] == "agent" for name in span.nodes)


@given(graphs())
def test_compiling_keeps_the_graph(graph: nx.DiGraph) -> None:
    compiled = compile_graph(graph).nodes
    names = [node.name for node in compiled]
    assert sorted(names) == sorted(graph)
    edges = {(names[before], node.name) for node in compiled for before in node.predecessors}
    assert edges == set(graph.edges)
    assert edges == {(node.name, names[after]) for node in compiled for after in node.successors}
    for i, node in enumerate(compiled):
        assert all(before < i for before in node.predecessors)
        assert list(node.predecessors) == sorted(node.predecessors)
        assert (node.kind, node.width, node.delay_s) == tuple(
            graph.nodes[node.name][key] for key in ("kind", "width", "delay_s")
        )


def test_ties_of_the_topological_order_are_the_order_of_the_file() -> None:
    graph: Any = nx.DiGraph()
    node = {"kind": "agent", "width": 1, "delay_s": 0.0, "agent": "", "model": "", "timeout_s": None,
            "prompt_tokens": 0, "output_tokens": 1}  # fmt: skip
    for name in ("d", "b", "c", "a"):
        graph.add_node(name, **node)
    graph.add_edge("a", "d")
    assert [node.name for node in compile_graph(graph).nodes] == ["b", "c", "a", "d"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_a_circle_is_found_exactly_where_there_is_one(pairs: list[tuple[int, int]]) -> None:
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(range(6))
    graph.add_edges_from(pairs)
    circles = find_circles(graph)
    assert bool(circles) == (not nx.is_directed_acyclic_graph(graph))
    for circle in circles:
        assert circle[0] == circle[-1] == min(circle)
        assert all(graph.has_edge(a, b) for a, b in pairwise(circle))


# --- reading a drawing back ----------------------------------------------------------------------

SIDES = {
    "─": "lr", "│": "ud", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu",
    "├": "rud", "┤": "lud", "┬": "lrd", "┴": "lru", "┼": "lrud",
}  # fmt: skip
STEP = {"l": (0, -1), "r": (0, 1), "u": (-1, 0), "d": (1, 0)}
BACK = {"l": "r", "r": "l", "u": "d", "d": "u"}


def read_back(lines: list[str], graph: nx.DiGraph) -> set[tuple[str, str]] | None:
    """Follow every line of a drawing from node to node; None for the list form."""
    if any("<-" in line for line in lines):
        return {
            (before, line.split(" ")[0])
            for line in lines
            if "<-" in line
            for before in line.split("<- ")[1].split(", ")
        }
    cells = {(row, column): char for row, line in enumerate(lines) for column, char in enumerate(line)}
    starts, ends = {}, {}
    for name in graph:
        text = label(name, graph.nodes[name])
        ((row, column),) = [(r, line.index(text)) for r, line in enumerate(lines) if f" {text} " in f" {line} "]
        starts[row, column + len(text) + 1] = name
        ends[row, column - 2] = name
    edges = set()
    for start, name in starts.items():
        todo, seen = [(start, "r")], set()
        while todo:
            place, heading = todo.pop()
            if (place, heading) in seen or place not in cells or cells[place] not in SIDES:
                continue
            seen.add((place, heading))
            if heading == "r" and place in ends:
                edges.add((name, ends[place]))
            sides = SIDES[cells[place]]
            # An upright line that a flat one meets without touching is a crossing: the flat one goes on.
            if BACK[heading] not in sides:
                assert cells[place] == "│"
                sides = "lr"
            for side in sides:
                if side not in (BACK[heading], "l"):  # lines run up, down and to the right, never back
                    row, column = STEP[side]
                    todo.append(((place[0] + row, place[1] + column), side))
    return edges


@settings(max_examples=300)
@given(graphs(max_nodes=6))
def test_a_drawing_says_what_the_graph_says(graph: nx.DiGraph) -> None:
    lines = draw_graph(graph, columns=120)
    assert all(len(line) <= 120 for line in lines)
    assert read_back(lines, graph) == set(graph.edges)


def shape(edges: str, **labels: str) -> nx.DiGraph:
    graph: Any = nx.DiGraph()
    for name in sorted(set(edges.replace(" ", ""))):
        graph.add_node(labels.get(name, name), kind="agent", width=1, delay_s=0.0)
    graph.add_edges_from((labels.get(edge[0], edge[0]), labels.get(edge[1], edge[1])) for edge in edges.split())
    return graph


DRAWINGS = {
    "chain": (shape("ab bc"), ["a ──── b ──── c"]),
    "diamond": (
        shape("ab ac ad be ce de", a="plan", e="edit"),
        ["      ┌── b ─┐", "plan ─┼── c ─┼── edit", "      └── d ─┘"],
    ),
    "past a level": (shape("ab bc ac"), ["a ─┬── b ─┬── c", "   └──────┘"]),
    "a line that could be misread": (shape("ac ad bd"), ["a", "b", "c  <- a", "d  <- a, b"]),
    "two apart": (shape("ac bd"), ["a ────── c", "b ────── d"]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing(name: str) -> None:
    graph, expected = DRAWINGS[name]
    assert draw_graph(graph) == expected


def test_a_drawing_that_is_too_wide_becomes_a_list() -> None:
    graph = shape("ab bc", a="x" * 30, b="y" * 30, c="z" * 30)
    assert max(map(len, draw_graph(graph, columns=76))) <= 76
