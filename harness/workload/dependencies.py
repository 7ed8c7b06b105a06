"""Who waits for whom among what is recorded, and as which agent: for analyses of a run, from its workload alone."""

from __future__ import annotations

from typing import Any

from harness.workload.draw import again
from harness.workload.inline import Inlined, inline
from harness.workload.mistakes import Mistakes
from harness.workload.networks import nx
from harness.workload.schema import AgentSpec, Workload
from harness.workload.source import Source

__all__ = ["agents_of", "dependencies"]


def dependencies(workload: Workload, pipeline: str) -> nx.DiGraph[str]:
    """Return who waits for whom among what is recorded: agents and tools.

    Nodes that end a loop are left out, their edges joined; an edge from one pass into the next has `again`.
    """
    written: Any = _written_out(workload, pipeline).graph
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


def agents_of(workload: Workload, pipeline: str) -> dict[str, tuple[str, AgentSpec]]:
    """Return the agent of every node of a pipeline, those of its sub-pipelines too, by the name that its calls have.

    Each with its own name; that of an agent that is written at its node is PIPELINE.NODE.
    """
    found: dict[str, tuple[str, AgentSpec]] = {}
    for node, at in _written_out(workload, pipeline).written.items():
        graphs: Any = workload.pipelines if at[0] == "pipelines" else workload.subpipelines
        agent = graphs[at[1]].nodes[at[3]].agent
        if isinstance(agent, AgentSpec):
            found[node] = f"{pipeline}.{node}", agent
        elif agent in workload.agents:
            found[node] = agent, workload.agents[agent]
    return found


def _written_out(workload: Workload, pipeline: str) -> Inlined:
    return inline(pipeline, workload, {}, {}, Mistakes(Source(workload.name, None, {}, {})))
