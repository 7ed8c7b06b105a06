"""Who waits for whom among what is recorded: for analyses of a run, from its workload alone."""

from __future__ import annotations

from typing import Any

import networkx as nx

from harness.workload.draw import again
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
    written: Any = inline(pipeline, workload, {}, {}, nowhere).graph
    graph: Any = nx.DiGraph(written)
    nx.set_edge_attributes(graph, values=False, name="again")
    # Bodies and where they begin are read from the whole graph: by the time that an outer loop's end is left out, those
    # of the loops in it are gone.
    for name in [name for name in nx.topological_sort(written) if written.nodes[name]["kind"] == "until"]:
        before, after = list(graph.predecessors(name)), list(graph.successors(name))
        graph.remove_node(name)
        graph.add_edges_from(((a, b) for a in before for b in after), again=False)
        starts = again(written, name)
        graph.add_edges_from(((a, b) for a in before for b in starts if not graph.has_edge(a, b)), again=True)
    return graph
