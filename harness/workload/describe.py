"""What a workload asks for before anything runs: width, span, total work, and what follows for the slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import networkx as nx

from harness.core.graph import Arrival, Pipeline
from harness.core.sizes import Distribution
from harness.workload.load import Loaded
from harness.workload.schema import OllamaServer

__all__ = ["Description", "PipelineFacts", "Span", "Work", "describe", "max_weight_antichain", "span_of"]


class Work(NamedTuple):
    """Calls and tokens; prompt tokens are estimated from the texts' length, output tokens the limits."""

    calls: int
    prompt_tokens: int
    output_tokens: int


class Span(NamedTuple):
    """The longest chain of one job: what no number of slots can shorten.

    The chain with most expected output tokens; among equals the one with most prompt tokens, then tool
    seconds. A fan-out counts as one of its calls. `longest_tool_s` is the most tool seconds on any chain.
    """

    nodes: tuple[str, ...]
    calls: int
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
    span: Span
    work: Work  # of one job
    total: Work | None  # of all jobs


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
    before = 0.0 if pipeline.session is None else (pipeline.session.turns.mean - 1) / 2  # turns, on average
    work = Work(
        calls=sum(node["width"] for _, node in graph.nodes.items() if node["kind"] == "agent"),
        prompt_tokens=sum(
            node["width"] * round(node["prompt_tokens"] + before * _turn_tokens(node))
            for _, node in graph.nodes.items()
        ),
        output_tokens=sum(node["width"] * node["output_tokens"] for _, node in graph.nodes.items()),
    )
    width = sum(max_weight_antichain(graph, _calls_of(graph)).values())
    at_once = _jobs_at_once(pipeline)
    return PipelineFacts(
        name=pipeline.name,
        path=pipeline.path,
        arrivals=_arrivals(loaded.pipelines, pipeline),
        jobs=pipeline.jobs,
        width=width,
        width_all_jobs=None if at_once is None else at_once * width,
        span=span_of(graph),
        work=work,
        total=None if pipeline.jobs is None else Work(*(pipeline.jobs * figure for figure in work)),
    )


def _turn_tokens(node: Mapping[str, Any]) -> int:
    """Return how much longer each turn makes the prompts of the next: what was asked and what was answered."""
    return int(node["prompt_tokens"] - node["system_tokens"] + node["output_tokens"])


def _jobs_at_once(pipeline: Pipeline) -> int | None:
    """Return the most jobs that can be under way together; of a conversation it is one."""
    if pipeline.arrival.users:
        users = pipeline.arrival.users
        return users if pipeline.jobs is None else min(users, pipeline.jobs)
    session = pipeline.session
    if session is None:
        return pipeline.jobs
    if pipeline.arrival.due_s:
        opened = len(pipeline.arrival.due_s)
        return opened if pipeline.jobs is None else min(opened, pipeline.jobs)
    if pipeline.jobs is None or session.turns.kind != "fixed":
        return pipeline.jobs
    return -(-pipeline.jobs // max(1, int(session.turns.mean)))


def _calls_of(graph: nx.DiGraph) -> dict[str, int]:
    return {name: node["width"] if node["kind"] == "agent" else 0 for name, node in graph.nodes.items()}


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


def span_of(graph: nx.DiGraph) -> Span:
    """Return the longest chain of one job."""

    def cost(name: str) -> tuple[int, int, float, int]:
        node = graph.nodes[name]
        return node["output_tokens"], node["prompt_tokens"], node["delay_s"], int(node["kind"] == "agent")

    chain = _longest_chain(graph, cost)
    sums = [sum(column) for column in zip(*(cost(name) for name in chain), strict=True)]
    slowest = _longest_chain(graph, lambda name: (graph.nodes[name]["delay_s"],))
    return Span(
        nodes=chain,
        calls=int(sums[3]),
        prompt_tokens=int(sums[1]),
        output_tokens=int(sums[0]),
        tool_s=float(sums[2]),
        longest_tool_s=float(sum(graph.nodes[name]["delay_s"] for name in slowest)),
    )


def _longest_chain(graph: nx.DiGraph, cost: Callable[[str], tuple[float, ...]]) -> tuple[str, ...]:
    """Return the chain with the largest sum of costs, compared figure by figure."""
    best: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {}
    for name in nx.topological_sort(graph):
        own = cost(name)
        before = [best[other] for other in graph.predecessors(name)]
        sums, chain = max(before, key=lambda entry: entry[0], default=((0.0,) * len(own), ()))
        best[name] = tuple(a + b for a, b in zip(sums, own, strict=True)), (*chain, name)
    return max(best.values(), key=lambda entry: entry[0])[1]


def _width_of_all(pipelines: tuple[Pipeline, ...], facts: tuple[PipelineFacts, ...]) -> int | None:
    """Return the most calls at once over all pipelines that may overlap; only `after` keeps two apart."""
    if any(fact.width_all_jobs is None for fact in facts):
        return None
    order: nx.DiGraph = nx.DiGraph()
    order.add_nodes_from(pipeline.name for pipeline in pipelines)
    order.add_edges_from((pipelines[p.after].name, p.name) for p in pipelines if p.after is not None)
    return sum(max_weight_antichain(order, {fact.name: fact.width_all_jobs or 0 for fact in facts}).values())


def _arrivals(pipelines: tuple[Pipeline, ...], pipeline: Pipeline) -> str:
    """Say in words when jobs start, and how many there are."""
    text = _pace(pipeline.arrival, pipeline.session is not None, pipeline.jobs)
    if pipeline.session is not None:
        turns, think = pipeline.session.turns, pipeline.session.think
        text += f", {_spoken(turns)} turns each with {_spoken(think)} s between them"
    if pipeline.until is not None:
        text += f" until {pipelines[pipeline.until].name} has ended"
    elif pipeline.jobs is not None and (pipeline.session is not None or not _counted(pipeline.arrival)):
        text += f", {'1 job' if pipeline.jobs == 1 else f'{pipeline.jobs} jobs'}"
    return text if pipeline.after is None else f"{text}, when {pipelines[pipeline.after].name} has ended"


def _counted(when: Arrival) -> bool:
    """Tell whether the words for the pace name the number of jobs."""
    return bool(when.due_s) or when.every_s == 0


def _pace(when: Arrival, sessions: bool, jobs: int | None) -> str:
    what = "conversation" if sessions else "job"
    if when.users:
        users = "1 user" if when.users == 1 else f"{when.users} users"
        think = f"{when.think_s:g}" if when.think is None else _spoken(when.think)
        return f"{users}, {think} s between {'conversations' if sessions else 'reply and next request'}"
    if when.poisson_per_s is not None:
        return f"{when.poisson_per_s:g} {what}s a second at random (Poisson)"
    if when.ramp is not None:
        first, last, over_s = when.ramp
        return f"{first:g} to {last:g} {what}s a second at random (Poisson), over {over_s:g} s"
    if when.bursts is not None:
        return f"{when.bursts.size} {what}s at once every {when.bursts.every_s:g} s"
    if when.every_s:
        return f"a {what} every {when.every_s:g} s"
    number = len(when.due_s) or jobs or 0
    counted = f"1 {what}" if number == 1 else f"{number} {what}s"
    if not when.due_s or when.due_s[-1] == 0:
        if sessions and not when.due_s:
            return "conversations, all at once"
        return counted if number == 1 else f"{counted} at once"
    if number == 1:
        return f"{counted} at {when.due_s[0]:g} s"
    shown = ", ".join(f"{due:g}" for due in when.due_s[:4]) + (", ..." if number > 4 else "")
    return f"{counted}, at {shown} s"


def _spoken(size: Distribution) -> str:
    """Write `6`, `2 to 10`, `about 4.5 (lognormal)`."""
    if size.kind == "fixed":
        return f"{size.values[0]:g}"
    if size.kind == "uniform":
        return f"{size.values[0]:g} to {size.values[1]:g}"
    return f"about {size.mean:.3g} ({size.kind})"


def _hints(loaded: Loaded, facts: tuple[PipelineFacts, ...], widest: int | None) -> tuple[str, ...]:
    hints = []
    if widest is not None:
        calls = "1 call" if widest == 1 else f"{widest} calls"
        hints.append(f"At most {calls} can run together, so more than {widest} slots can never be filled.")
        for name, spec in loaded.servers.items():
            if spec.slots > widest:
                hints.append(f"{name}: {spec.slots} slots, of which {spec.slots - widest} will stay empty.")
    else:
        hints.append("Jobs keep arriving whether or not earlier ones have ended: any number can pile up.")
    for fact in facts:
        if fact.work.calls > 1 and fact.width == 1:
            hints.append(f"{fact.name}: its calls follow one another; slots help only across jobs.")
        if fact.work.prompt_tokens > 2 * fact.work.output_tokens:
            hints.append(
                f"{fact.name}: about {fact.work.prompt_tokens / fact.work.output_tokens:.0f} prompt tokens "
                "for each output token; batching shares the writing, not the reading."
            )
    for pipeline in loaded.pipelines:
        for node, needed in _needs(loaded, pipeline).items():
            for name, spec in loaded.servers.items():
                running = isinstance(spec, OllamaServer) and spec.url is not None
                if needed > spec.context_tokens and not running:
                    hints.append(_too_long(loaded, pipeline, node, needed, name, spec.context_tokens))
    unused = [name for name in loaded.workload.servers if name not in loaded.servers]
    hints += [f"{name}: no candidate uses this server." for name in unused]
    if loaded.derived:
        added = ", ".join(loaded.derived)
        hints.append(f"Not in the file, added for the standard set of candidates: {added}.")
    return tuple(hints)


def _needs(loaded: Loaded, pipeline: Pipeline) -> dict[str, int]:
    """Return the context that one call of each agent node needs, of a conversation in its last turn: estimated tokens."""
    return {
        name: node["prompt_tokens"] + (_most_turns(pipeline) - 1) * _turn_tokens(node) + node["output_tokens"]
        for name, node in loaded.graphs[pipeline.name].nodes.items()
        if node["kind"] == "agent"
    }


def _most_turns(pipeline: Pipeline) -> int:
    """Return how many turns a conversation has at most, or on average where nothing bounds them."""
    if pipeline.session is None:
        return 1
    turns = pipeline.session.turns
    most = int(turns.mean if turns.highest is None else turns.highest)
    return max(1, most if pipeline.jobs is None else min(most, pipeline.jobs))


def _too_long(loaded: Loaded, pipeline: Pipeline, node: str, needed: int, server: str, context_tokens: int) -> str:
    where = f"{pipeline.name}.{node}"
    turns = _most_turns(pipeline)
    if turns == 1:
        return (
            f"{where} needs about {needed} tokens; {server} holds {context_tokens} a slot: raise context_tokens or "
            "shorten the prompt."
        )
    grows = max(1, _turn_tokens(loaded.graphs[pipeline.name].nodes[node]))
    fits = turns - -(-(needed - context_tokens) // grows)
    about = f"about {fits} of its {turns} turns" if fits > 0 else "not even one turn"
    return (
        f"{where}: a conversation of {turns} turns needs about {needed} tokens; {server} holds {context_tokens} a "
        f"slot, {about}, and the turns after that fail: raise context_tokens, or have fewer or shorter turns."
    )
