"""Agent graphs for other programs to draw: Mermaid and DOT (Graphviz).

Labels of branches stand on their edges; a loop's way back is dotted. Names in a workload are letters, digits, `-`, `_`
and `/`, so that nothing in them needs escaping; other text is quoted all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from harness.workload.draw import again, label
from harness.workload.networks import nx

__all__ = ["dot", "mermaid"]

Graphs: TypeAlias = "Iterable[tuple[str, nx.DiGraph]]"


def mermaid(graphs: Graphs) -> str:
    """Return the graphs as one Mermaid flowchart, a subgraph for each pipeline."""
    lines = ["flowchart LR"]
    for p, (pipeline, graph) in enumerate(graphs):
        place = {name: f"p{p}n{i}" for i, name in enumerate(graph)}
        lines.append(f'  subgraph p{p}["{pipeline}"]')
        for name in graph:
            lines.append(f"    {place[name]}{_shape(name, graph)}")
        for a, b, data in graph.edges(data=True):
            taken = f"|{_label(data)}| " if data.get("labels") else ""
            lines.append(f"    {place[a]} --> {taken}{place[b]}")
        lines += [f"    {place[end]} -. again .-> {place[start]}" for end in graph for start in again(graph, end)]
        lines.append("  end")
    return "\n".join(lines)


def _shape(name: str, graph: nx.DiGraph) -> str:
    node = graph.nodes[name]
    text = f'"{_quoted(label(name, node))}"'
    if node.get("labels"):
        return f"{{{text}}}"  # a branch: a rhombus
    return f"([{text}])" if node["kind"] != "agent" else f"[{text}]"


def dot(graphs: Graphs) -> str:
    """Return the graphs as one DOT digraph, a cluster for each pipeline."""
    lines = ["digraph workload {", "  rankdir=LR;", "  node [shape=box];"]
    for p, (pipeline, graph) in enumerate(graphs):
        place = {name: f"p{p}n{i}" for i, name in enumerate(graph)}
        lines += [f"  subgraph cluster_{p} {{", f'    label="{_quoted(pipeline)}";']
        for name in graph:
            node = graph.nodes[name]
            shape = ", shape=diamond" if node.get("labels") else ", style=rounded" if node["kind"] != "agent" else ""
            lines.append(f'    {place[name]} [label="{_quoted(label(name, node))}"{shape}];')
        for a, b, data in graph.edges(data=True):
            taken = f' [label="{_label(data)}"]' if data.get("labels") else ""
            lines.append(f"    {place[a]} -> {place[b]}{taken};")
        for end in graph:
            for start in again(graph, end):
                lines.append(f'    {place[end]} -> {place[start]} [style=dotted, constraint=false, label="again"];')
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _label(data: dict[str, tuple[str, ...]]) -> str:
    return _quoted(" or ".join(data["labels"]))


def _quoted(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")
