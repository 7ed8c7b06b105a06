"""From a workload to agent graphs: networkx to check them, tuples for the walk (harness.core.graph)."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.arrival_processes import ArrivalProcess
from harness.core.graph import Graph, Node, Pipeline
from harness.workload.checks import Resolved, check_definition, check_subpipelines, definitions
from harness.workload.estimate import estimate_embeddings, estimate_prompts
from harness.workload.growth import check_growth
from harness.workload.inline import DEFAULTS, Inlined, inline
from harness.workload.mistakes import Mistakes
from harness.workload.networks import nx
from harness.workload.prefixes import check_shared
from harness.workload.replies import check_replies
from harness.workload.schema import PipelineSpec, Workload
from harness.workload.source import Loc

__all__ = ["agent_graphs", "arrival", "compile_graph", "compile_pipelines"]


def agent_graphs(
    workload: Workload,
    resolved: Mapping[Loc, Resolved],
    item_tokens: Mapping[str, tuple[int, ...]],
    mistakes: Mistakes,
) -> dict[str, Inlined]:
    """Check every graph and write each pipeline's out; mistakes go into `mistakes`, and then there are none.

    An edge u -> v says that v starts when u is done; its `labels` say which labels of u's branch it needs (none = any).
    Node attributes: `inline.DEFAULTS`.

    Args:
        resolved: agents by where their node stands in the file.
        item_tokens: an estimate for every item of every input.
    """
    counts = {name: len(items) for name, items in item_tokens.items()}
    check_subpipelines(workload, mistakes)
    for definition in definitions(workload):
        check_definition(definition, workload, resolved, counts, mistakes)
    if mistakes:
        return {}
    graphs = {name: inline(name, workload, resolved, counts, mistakes) for name in workload.pipelines}
    check_shared(workload, resolved, mistakes)
    for pipeline, inlined in graphs.items():
        if not inlined.uses:
            message = f'pipeline "{pipeline}" calls no model; give a node `agent` or `embed`'
            mistakes.add(("pipelines", pipeline), message, key=True)
        check_replies(workload.pipelines[pipeline], pipeline, inlined, mistakes)
        if workload.control == "model":
            _check_deciders(pipeline, inlined, mistakes)
        agents = {name: resolved[at] for name, at in inlined.written.items() if name in inlined.uses and at in resolved}
        nodes, talks = inlined.graph.nodes, workload.pipelines[pipeline].session is not None
        check_growth(pipeline, nodes, inlined.uses, agents, inlined.written, mistakes, session=talks)
        estimate_prompts(inlined, agents, item_tokens)
        estimate_embeddings(inlined, item_tokens)
        nx.freeze(inlined.graph)
    return graphs


def _check_deciders(pipeline: str, inlined: Inlined, mistakes: Mistakes) -> None:
    """Note loops that would read the same answer: one answer ends one loop."""
    loops: dict[str, str] = {}
    for name, node in inlined.graph.nodes(data=True):
        other = loops.setdefault(node["decides"], name) if node["decides"] else name
        if other != name:
            first, second = other.removesuffix("/until"), name.removesuffix("/until")
            message = f'the answer of "{node["decides"]}" cannot end both "{first}" and "{second}"; name another `node`'
            mistakes.add((*inlined.written[name], "repeat"), f'pipeline "{pipeline}": {message}', key=True)


def compile_graph(graph: nx.DiGraph) -> Graph:
    """Compile a checked graph: nodes in topological order, ties by their order in the file."""
    place = {name: i for i, name in enumerate(graph)}
    order = list(nx.lexicographical_topological_sort(graph, key=lambda name: place[name]))
    index = {name: i for i, name in enumerate(order)}
    return Graph(tuple(_node(graph, name, index) for name in order))


def _node(graph: nx.DiGraph, name: str, index: Mapping[str, int]) -> Node:
    node = {**DEFAULTS, **graph.nodes[name]}
    # Two labels of one branch are two edges, of which one at most is alive.
    edges = sorted(
        (index[before], -1 if label is None else graph.nodes[before]["labels"].index(label))
        for before in graph.predecessors(name)
        for label in graph.edges[before, name].get("labels") or (None,)
    )
    takes = tuple(None if label < 0 else label for _, label in edges)
    successors = sorted(
        index[after] for after in graph.successors(name) for _ in graph.edges[name, after].get("labels") or (None,)
    )
    return Node(
        name=name,
        kind=node["kind"],
        predecessors=tuple(before for before, _ in edges),
        successors=tuple(successors),
        width=node["width"],
        delay_s=node["delay_s"],
        agent=node["agent"],
        model=node["model"],
        num_ctx=node["num_ctx"],
        keep_s=node["keep_s"],
        timeout_s=node["timeout_s"],
        expected_prompt_tokens=node["prompt_tokens"] or None,
        expected_output_tokens=node["output_tokens"] or None,
        takes=() if set(takes) <= {None} else takes,
        need=node["need"],
        enough=node["enough"],
        losers=node["losers"],
        labels=node["labels"],
        shares=node["shares"],
        over=None if node["over_node"] is None else index[node["over_node"]],
        items=node["items"],
        delay=node["delay"],
        output_tokens=node["output"],
        thinking=node["thinking"],
        retries=node["retries"],
        backoff_s=node["backoff_s"],
        priority=node["priority"],
        body=tuple(sorted(index[other] for other in node["body"])),
        end_share=node["end_share"],
        max_iterations=node["max_iterations"],
        answers=node["answers"],
        decides=None if node["decides"] is None else index[node["decides"]],
        passes=node["drawn_passes"],
        grows=node["grows"],
        texts=node["texts"],
        batch=node["batch"],
    )


def arrival(spec: PipelineSpec) -> tuple[ArrivalProcess, int | None]:
    """Return when the pipeline's jobs start, and how many there are.

    None: until another pipeline ends, or all turns of the conversations that a list of times opens.
    """
    process = spec.arrival.process()
    if spec.jobs is None and process.starts is not None:
        return process, _turns(spec, process.starts)
    return process, spec.jobs


def _turns(spec: PipelineSpec, conversations: int) -> int | None:
    """Return how many jobs the arrivals bring; None where that is drawn."""
    if spec.session is None:
        return conversations
    turns = spec.session.session().turns
    return conversations * int(turns.values[0]) if turns.kind == "fixed" else None


def compile_pipelines(workload: Workload, graphs: Mapping[str, nx.DiGraph]) -> tuple[Pipeline, ...]:
    """Compile every pipeline, in the file's order."""
    index = {name: i for i, name in enumerate(workload.pipelines)}
    compiled = []
    for name, spec in workload.pipelines.items():
        when, jobs = arrival(spec)
        compiled.append(
            Pipeline(
                name=name,
                path=spec.path,
                graph=compile_graph(graphs[name]),
                arrival=when,
                jobs=jobs,
                session=None if spec.session is None else spec.session.session(),
                until=None if spec.while_ is None else index[spec.while_],
                after=None if spec.after is None else index[spec.after],
                draws_as="" if spec.after is None else _first_of_chain(workload, name),
            )
        )
    return tuple(compiled)


def _first_of_chain(workload: Workload, name: str) -> str:
    """Return the pipeline that the others come after, one by one. Circles were refused by the checks."""
    while (before := workload.pipelines[name].after) is not None:
        name = before
    return name
