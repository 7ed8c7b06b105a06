"""Who waits for whom among what is recorded: for analyses of a run, from its workload alone."""

from __future__ import annotations

from typing import Any

import networkx as nx

from harness.workload.inline import inline
from harness.workload.mistakes import Mistakes
from harness.workload.schema import Workload
from harness.workload.source import Source

__all__ = ["dependencies"]


def dependencies(workload: Workload, pipeline: str) -> nx.DiGraph[str]:
    """Return who waits for whom among what is recorded: agents and tools.

    Nodes that end a loop are left out, their edges joined; an edge from one pass into the next has `again`.
    """
    nowhere = Mistakes(Source(workload.name, None, {}, {}))
    graph: Any = nx.DiGraph(inline(pipeline, workload, {}, {}, nowhere).graph)
    nx.set_edge_attributes(graph, values=False, name="again")
    for name in [name for name in nx.topological_sort(graph) if graph.nodes[name]["kind"] == "until"]:
        before, after, body = list(graph.predecessors(name)), list(graph.successors(name)), graph.nodes[name]["body"]
        starts = [node for node in body if not any(other in body for other in graph.predecessors(node))]
        graph.remove_node(name)
        graph.add_edges_from(((a, b) for a in before for b in after), again=False)
        graph.add_edges_from(((a, b) for a in before for b in starts if not graph.has_edge(a, b)), again=True)
    return graph
