"""What a workload asks for before anything runs: width, span, total work, and what follows for the slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.core.context import ABOUT
from harness.core.graph import Pipeline
from harness.units import count
from harness.workload.contexts import context_hints
from harness.workload.control import control_of
from harness.workload.images import image_hints
from harness.workload.load import Loaded
from harness.workload.longest import longest
from harness.workload.machines import started_on
from harness.workload.networks import nx
from harness.workload.scenarios import Scenario, scenarios, waits_for
from harness.workload.thinking import thinking_hints
from harness.workload.traffic import (
    arrivals_in_words,
    generated_tokens,
    history_tokens,
    jobs_at_once,
    needed_tokens,
    too_long,
)

__all__ = ["Description", "LengthRange", "PipelineFacts", "Work", "describe", "max_weight_antichain", "span_of"]

MAX_LOOKED_AT = 64  # ways that a job can go, for its width


class Work(NamedTuple):
    """Calls and tokens; prompt tokens are estimated from the texts' length, output tokens the limits with thinking.

    An embedding counts as a call for each request; its tokens are in the pipeline's `control`.

    Of a graph with branches, loops or lists of varying length these are means; calls that nobody needs in the end
    (`need`, `enough`) are counted in full.
    """

    calls: float
    prompt_tokens: int
    output_tokens: int


class LengthRange(NamedTuple):
    """The longest chain of one job: what no number of slots can shorten.

    The chain with most expected output tokens; among equals the one with most prompt tokens, then tool
    seconds. A fan-out counts as one of its calls, a loop as its mean number of passes; where there are branches, the
    figures are means over all ways that a job can go, and `nodes` is the chain of the longest. `longest_tool_s` is
    the most tool seconds on any chain.
    """

    nodes: tuple[str, ...]
    calls: float
    prompt_tokens: int
    output_tokens: int
    tool_s: float
    longest_tool_s: float


class PipelineFacts(NamedTuple):
    """One pipeline. `jobs` and `total` are None where another pipeline's end decides (`while`)."""

    name: str
    path: str
    arrivals: str
    jobs: int | None  # None as well where a list of times opens conversations of drawn length
    width: int  # most calls of one job that could ever run together
    width_all_jobs: int | None  # the same over all its jobs; None: no bound (open arrivals without an end)
    span: LengthRange
    work: Work  # of one job
    total: Work | None  # of all jobs
    expected: bool = False  # `span`, `work` and `total` are means: not every job is the same
    # what decides: (branch, loop, list, need, grows, sizes, think, retry, reply, first or embed; words)
    control: tuple[tuple[str, str], ...] = ()


class Description(NamedTuple):
    """A workload in figures. `max_useful_slots` is None where nothing bounds the calls at once."""

    pipelines: tuple[PipelineFacts, ...]
    max_useful_slots: int | None
    total: Work  # of all pipelines whose number of jobs is known
    hints: tuple[str, ...]


def describe(loaded: Loaded) -> Description:
    """Work a workload's figures out; every time and token in it is expected, not measured."""
    facts = tuple(_facts(loaded, pipeline) for pipeline in loaded.pipelines)
    widest = _width_of_all(loaded.pipelines, facts)
    known = [fact.total for fact in facts if fact.total is not None]
    total = Work(*(sum(column) for column in zip(*known, strict=True))) if known else Work(0, 0, 0)
    return Description(facts, widest, total, _hints(loaded, facts, widest))


def _facts(loaded: Loaded, pipeline: Pipeline) -> PipelineFacts:
    graph = loaded.graphs[pipeline.name]
    ways = scenarios(graph)
    work = work_of(ways, pipeline)
    width = widest(graph, ways)
    at_once = jobs_at_once(pipeline)
    return PipelineFacts(
        name=pipeline.name,
        path=pipeline.path,
        arrivals=arrivals_in_words(loaded.pipelines, pipeline),
        jobs=pipeline.jobs,
        width=width,
        width_all_jobs=None if at_once is None else at_once * width,
        span=mean_span(ways),
        work=work,
        total=None if pipeline.jobs is None else Work(*(_tidy(pipeline.jobs * figure) for figure in work)),
        expected=len(ways) > 1 or any(_varies(node) for _, node in graph.nodes(data=True)),
        control=control_of(graph, loaded),
    )


def _varies(node: Mapping[str, Any]) -> bool:
    until = node.get("kind") == "until" and node.get("max_iterations", 1) > 1
    loop = until and (node.get("end_share", 0) > 0 or node.get("drawn_passes") is not None)
    thinks = node.get("thinking") is not None and node["thinking"].kind != "fixed"
    return loop or thinks or any(node.get(key) is not None for key in ("items", "output", "delay"))


def _tidy(value: float) -> Any:
    """Return a whole number as one, any other with one decimal."""
    return round(value) if abs(value - round(value)) < 1e-9 else round(value, 1)


def work_of(ways: Sequence[Scenario], pipeline: Pipeline) -> Work:
    """Return the mean work of a job."""
    calls = prompt = output = 0.0
    for share, graph in ways:
        for _, node in graph.nodes(data=True):
            if node["kind"] == "agent":
                made = share * node.get("passes", 1.0) * node.get("mean_width", node["width"])
                calls += made
                if node["batch"]:
                    continue
                prompt += made * (node["prompt_tokens"] + history_tokens(pipeline, node))
                output += made * generated_tokens(node)
    return Work(_tidy(calls), round(prompt), round(output))


def widest(graph: nx.DiGraph, ways: Sequence[Scenario]) -> int:
    """Return the most calls that could ever run together in a job, whatever each takes.

    Branches that exclude each other are looked at one way at a time. It is a bound where there are very many ways, and
    where losers are left to run: they may or may not overlap with what comes after.
    """
    distinct = {frozenset(way.graph): way.graph for way in ways}
    largest = [names for names in distinct if not any(names < other for other in distinct)]
    graphs = [distinct[names] for names in largest] if len(largest) <= MAX_LOOKED_AT else [graph]
    return max(sum(max_weight_antichain(waits_for(one), _calls_of(one)).values()) for one in graphs)


def _calls_of(graph: nx.DiGraph) -> dict[str, int]:
    return {name: node["width"] if answers(node) else 0 for name, node in graph.nodes.items()}


def answers(node: Mapping[str, Any]) -> bool:
    """Whether a node makes calls that take a slot: all but tools and embeddings."""
    return node["kind"] == "agent" and not node.get("batch")


def max_weight_antichain(graph: nx.DiGraph, weight: Mapping[str, int]) -> dict[str, int]:
    """Return the heaviest set of nodes none of which must wait for another, with their weights.

    Dilworth's theorem with weights: take each node as `weight` copies; the most copies without order between
    them are all copies less a maximum matching of earlier to later copies in the transitive closure, here a
    maximum flow. The set is read off the minimum cut (Koenig): a node is in it when neither its left nor its
    right copy is in the vertex cover.
    """
    heavy = [name for name in graph if weight[name] > 0]
    flow: Any = nx.DiGraph()
    flow.add_nodes_from(("source", "sink"))
    for name in heavy:
        flow.add_edge("source", ("left", name), capacity=weight[name])
        flow.add_edge(("right", name), "sink", capacity=weight[name])
    for name in heavy:
        for later in nx.descendants(graph, name):
            if weight[later] > 0:
                flow.add_edge(("left", name), ("right", later))  # no capacity: unlimited
    if flow.number_of_edges() == 0:
        return {}
    _, (near, _) = nx.minimum_cut(flow, "source", "sink")
    return {name: weight[name] for name in heavy if ("left", name) in near and ("right", name) not in near}


def span_of(graph: nx.DiGraph) -> LengthRange:
    """Return the longest chain of one job."""

    def cost(name: str) -> tuple[float, float, float, float]:
        node = graph.nodes[name]
        read = 0 if node.get("batch") else node["prompt_tokens"] + node.get("grown_tokens", 0.0)
        figures = generated_tokens(node), read, node["delay_s"], int(node["kind"] == "agent")
        passes = node.get("passes", 1.0)
        return figures[0] * passes, figures[1] * passes, figures[2] * passes, figures[3] * passes

    chain = _longest_chain(graph, cost)
    sums = [sum(column) for column in zip(*(cost(name) for name in chain), strict=True)]
    slowest = _longest_chain(graph, lambda name: (graph.nodes[name]["delay_s"] * graph.nodes[name].get("passes", 1.0),))
    waited = (graph.nodes[name]["delay_s"] * graph.nodes[name].get("passes", 1.0) for name in slowest)
    return LengthRange(
        nodes=tuple(name for name in chain if graph.nodes[name]["kind"] != "until"),
        calls=_tidy(sums[3]),
        prompt_tokens=round(sums[1]),
        output_tokens=round(sums[0]),
        tool_s=float(sums[2]),
        longest_tool_s=float(sum(waited)),
    )


def mean_span(ways: Sequence[Scenario]) -> LengthRange:
    """Return the mean of the longest chains of all ways, with the nodes of the longest."""
    if len(ways) == 1:
        return span_of(ways[0].graph)
    spans = [(way.share, span_of(way.graph)) for way in ways]
    _, longest = max(spans, key=lambda entry: (entry[1].output_tokens, entry[1].prompt_tokens))

    def mean(figure: Callable[[LengthRange], float]) -> float:
        return sum(share * figure(span) for share, span in spans)

    return LengthRange(
        nodes=longest.nodes,
        calls=_tidy(mean(lambda span: span.calls)),
        prompt_tokens=round(mean(lambda span: span.prompt_tokens)),
        output_tokens=round(mean(lambda span: span.output_tokens)),
        tool_s=mean(lambda span: span.tool_s),
        longest_tool_s=mean(lambda span: span.longest_tool_s),
    )


def _longest_chain(graph: nx.DiGraph, cost: Callable[[str], tuple[float, ...]]) -> tuple[str, ...]:
    """Return the chain with the largest sum of costs, compared figure by figure.

    A node that needs k of its predecessors waits for the k-th of them.
    """
    best: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {}
    for name in nx.topological_sort(graph):
        own = cost(name)
        before = [best[other] for other in graph.predecessors(name)]
        sums, chain = max(before, key=lambda entry: entry[0], default=((0.0,) * len(own), ()))
        need = graph.nodes[name].get("need")
        if need is not None and need < len(before):
            sums, chain = sorted(before, key=lambda entry: entry[0])[need - 1]
        best[name] = tuple(a + b for a, b in zip(sums, own, strict=True)), (*chain, name)
    return max((best[name] for name in graph if not graph.out_degree(name)), key=lambda entry: entry[0])[1]


def _width_of_all(pipelines: tuple[Pipeline, ...], facts: tuple[PipelineFacts, ...]) -> int | None:
    """Return the most calls at once over all pipelines that may overlap; only `after` keeps two apart."""
    if any(fact.width_all_jobs is None for fact in facts):
        return None
    order: nx.DiGraph = nx.DiGraph()
    order.add_nodes_from(pipeline.name for pipeline in pipelines)
    order.add_edges_from((pipelines[p.after].name, p.name) for p in pipelines if p.after is not None)
    return sum(max_weight_antichain(order, {fact.name: fact.width_all_jobs or 0 for fact in facts}).values())


def _hints(loaded: Loaded, facts: tuple[PipelineFacts, ...], widest: int | None) -> tuple[str, ...]:
    hints = []
    if widest is not None:
        calls = "1 call" if widest == 1 else f"{widest} calls"
        slots = "1 slot" if widest == 1 else f"{widest} slots"
        beside = " beside embeddings" if loaded.embedding_models else ""
        hints.append(f"At most {calls} can run together{beside}, so more than {slots} can never be filled.")
        for name, spec in loaded.servers.items():
            if spec.slots > widest:
                hints.append(f"{name}: {spec.slots} slots, of which {spec.slots - widest} will stay empty.")
    else:
        hints.append("Jobs keep arriving whether or not earlier ones have ended: any number can pile up.")
    for fact in facts:
        if fact.work.calls > 1 and fact.width == 1:
            hints.append(f"{fact.name}: its calls follow one another; slots help only across jobs.")
        if fact.work.prompt_tokens > 2 * fact.work.output_tokens > 0:
            hints.append(
                f"{fact.name}: about {fact.work.prompt_tokens / fact.work.output_tokens:.0f} prompt tokens "
                "for each output token; batching shares the writing, not the reading."
            )
    for pipeline in loaded.pipelines:
        most = longest(loaded, pipeline.name)
        for node, attributes in most.graph.nodes(data=True):
            for name, spec in loaded.servers.items():
                context = spec.context_for(attributes["num_ctx"])
                if not answers(attributes) or context is None:
                    continue
                if needed_tokens(pipeline, attributes) > context:
                    hints.append(too_long(pipeline, node, attributes, name, context, ABOUT[most.how_sure(node)]))
    tables = [one.nodes for one in loaded.workload.pipelines.values()]
    tables += [one.nodes for one in loaded.workload.subpipelines.values()]
    used = {node.pipeline for nodes in tables for node in nodes.values()}
    hints += [f"{name}: nothing uses this sub-pipeline." for name in loaded.workload.subpipelines if name not in used]
    decisions = {kind for fact in facts for kind, _ in fact.control} & {"branch", "loop", "list"}
    if loaded.workload.control == "model" and decisions:
        hints.append("The model decides branches, loops and lists: candidates get different work, so no pairs.")
    hints += (*thinking_hints(loaded), *image_hints(loaded), *context_hints(loaded))
    unused = [name for name in loaded.workload.servers if name not in loaded.servers]
    if loaded.skipped:
        hints += [f'"{name}" is left out: {why}.' for name, why in loaded.skipped.items()]
    else:
        hints += [f"{name}: no candidate uses this server." for name in unused]
    machines = started_on(loaded.servers)
    if len(machines) > 1:
        places = "; ".join(f"{', '.join(names)}: {machine or 'none named'}" for machine, names in machines.items())
        hints.append(
            f"Servers without `url` are started on this machine, and the file names several for them ({places}): "
            "slotwise run refuses that, simulate and recommend --no-measure do not."
        )
    if not loaded.workload.compare:
        ways = count(len(loaded.plans), "standard way is", "standard ways are")
        hints.append(f"The file has no `compare`: {ways} tried. slotwise recommend searches more.")
    if loaded.derived:
        added = ", ".join(loaded.derived)
        hints.append(f"Not in the file, added for the standard set of candidates: {added}{_roomy(loaded)}.")
    return tuple(hints)


def _roomy(loaded: Loaded) -> str:
    """Say which context such servers have where it is larger than usual, for the longest call (`with_room`)."""
    if loaded.workload.servers:
        return ""
    larger = {spec.context_tokens for spec in loaded.servers.values() if "context_tokens" in spec.model_fields_set}
    return f", with {max(larger)} tokens of context a slot, which the longest call needs" if larger else ""
