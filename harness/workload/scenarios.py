"""What one job can turn out to be: every way in which its branches can go, with how often, and what then runs.

Figures of graphs with branches are means over these (loops at their mean number of passes). Passes of a loop that take
different labels are not distinguished further: each way counts for all passes of it.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from harness.core.draws import uniform
from harness.workload.networks import nx

__all__ = ["Scenario", "scenarios", "waits_for"]

MAX_WAYS = 256  # beyond that many ways they are drawn


class Scenario(NamedTuple):
    """One way: how often, and the graph of the nodes that run with the edges that are taken."""

    share: float
    graph: nx.DiGraph


class _Way(NamedTuple):
    share: float
    taken: dict[str, str]  # branch -> label
    live: frozenset[str]


def scenarios(graph: nx.DiGraph) -> tuple[Scenario, ...]:
    """Return all ways, or a fixed sample of them where there are more than `MAX_WAYS`."""
    order = list(nx.topological_sort(graph))
    if not any(graph.nodes[name].get("labels") for name in order):
        return (Scenario(1.0, graph),)
    ways = [_Way(1.0, {}, frozenset())]
    for name in order:
        ways = [after for way in ways for after in _step(graph, name, way)]
        if len(ways) > MAX_WAYS:
            ways = [_drawn(graph, order, i) for i in range(MAX_WAYS)]
            break
    return tuple(Scenario(way.share, _taken(graph, way)) for way in ways)


def _step(graph: nx.DiGraph, name: str, way: _Way) -> list[_Way]:
    if not _live(graph, name, way):
        return [way]
    live = way.live | {name}
    node = graph.nodes[name]
    labels, shares = node.get("labels", ()), node.get("shares", ())
    if not labels:
        return [way._replace(live=live)]
    return [
        _Way(way.share * share, {**way.taken, name: label}, live) for label, share in zip(labels, shares, strict=True)
    ]


def _live(graph: nx.DiGraph, name: str, way: _Way) -> bool:
    before = list(graph.predecessors(name))
    return not before or any(_alive(graph, other, name, way) for other in before)


def _alive(graph: nx.DiGraph, before: str, name: str, way: _Way) -> bool:
    labels = graph.edges[before, name].get("labels")
    return before in way.live and (not labels or way.taken[before] in labels)


def _drawn(graph: nx.DiGraph, order: list[str], i: int) -> _Way:
    way = _Way(1 / MAX_WAYS, {}, frozenset())
    for name in order:
        after = _step(graph, name, way)
        drawn = uniform(0, "scenario", i, name)
        shares = accumulate(graph.nodes[name].get("shares", ()) if len(after) > 1 else ())
        at = next((label for label, up_to in enumerate(shares) if drawn < up_to), len(after) - 1)
        way = after[at]._replace(share=way.share)
    return way


def _taken(graph: nx.DiGraph, way: _Way) -> nx.DiGraph:
    taken: Any = nx.DiGraph()
    taken.add_nodes_from((name, graph.nodes[name]) for name in graph if name in way.live)
    taken.add_edges_from((a, b) for a, b in graph.edges if b in way.live and _alive(graph, a, b, way))
    return taken


def waits_for(graph: nx.DiGraph) -> nx.DiGraph:
    """Return who surely waits for whom: an edge u -> v where all calls of u have ended before one of v begins.

    Without `need` and `enough` these are the paths of the graph. A node that needs k of its n predecessors waits for
    whatever more than n - k of them wait for, and for themselves only where losers are cancelled.
    """
    before: dict[str, set[str]] = {}
    for name in nx.topological_sort(graph):
        node = graph.nodes[name]
        predecessors = list(graph.predecessors(name))
        need = node.get("need")
        runs_on = node.get("losers") == "run" and need is not None
        spare = 0 if need is None or not runs_on else max(0, len(predecessors) - need)
        behind = [before[p] | (set() if _goes_on(graph, p) else {p}) for p in predecessors]
        counts: dict[str, int] = {}
        for names in behind:
            for other in names:
                counts[other] = counts.get(other, 0) + 1
        before[name] = {other for other, count in counts.items() if count > spare}
    order: Any = nx.DiGraph()
    order.add_nodes_from(graph.nodes(data=True))
    order.add_edges_from((a, b) for b, others in before.items() for a in others)
    return order


def _goes_on(graph: nx.DiGraph, name: str) -> bool:
    """Return whether items of a fan-out may still run when it counts as done."""
    node = graph.nodes[name]
    return node.get("enough") is not None and node.get("losers") == "run"
