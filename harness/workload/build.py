"""From a workload to agent graphs: networkx to check them, tuples for the walk (harness.core.graph)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import networkx as nx

from harness.core.graph import Arrival, Bursts, Graph, Node, Pipeline, Ramp, Session
from harness.workload import schema
from harness.workload.mistakes import Mistakes, unknown
from harness.workload.prompts import Prompt, Slot, estimate_tokens
from harness.workload.schema import AgentSpec, NodeSpec, PipelineSpec, Workload
from harness.workload.schema.sizes import distribution
from harness.workload.source import Loc

__all__ = ["Resolved", "agent_graph", "arrival", "compile_graph", "compile_pipelines", "find_circles", "session"]


class Resolved(NamedTuple):
    """An agent node's agent with its parsed prompt; `where` finds a slot's place for a message."""

    name: str
    spec: AgentSpec
    prompt: Prompt
    where: Mapping[tuple[bool, int], str]  # (in the system message?, offset) -> file:line:column


def agent_graph(
    pipeline: str,
    spec: PipelineSpec,
    resolved: Mapping[str, Resolved],
    item_tokens: Mapping[str, tuple[int, ...]],
    default_timeout_s: float,
    mistakes: Mistakes,
) -> nx.DiGraph:
    """Build the graph of one pipeline and check what it means; mistakes go into `mistakes`.

    An edge u -> v says that v starts when u is done. Node attributes: `kind`, `width`, `delay_s`, `agent`,
    `model`, `timeout_s`, `over`, `prompt_tokens` (of one call, an estimate; of a conversation's first turn),
    `system_tokens` (of these, the ones that a conversation has once) and `output_tokens` (of one call).
    """
    graph: Any = nx.DiGraph(name=pipeline)
    for name, node in spec.nodes.items():
        graph.add_node(name, **_attributes(name, node, resolved, item_tokens, default_timeout_s))
    for name, node in spec.nodes.items():
        at: Loc = ("pipelines", pipeline, "nodes", name)
        for i, before in enumerate(node.after):
            if before not in spec.nodes:
                mistakes.add(
                    (*at, "after", i),
                    f'node "{name}" waits for "{before}": {unknown("node", before, spec.nodes)}',
                )
            elif before in node.after[:i]:
                mistakes.add((*at, "after", i), f'node "{name}" waits for "{before}" twice; name it once')
            else:
                graph.add_edge(before, name)
        if node.over is not None and node.over not in item_tokens:
            mistakes.add((*at, "over"), f'node "{name}" fans out: {unknown("input", node.over, item_tokens)}')
        if name == "item" or name in item_tokens:
            other = "an input" if name in item_tokens else "the item of a fan-out"
            mistakes.add(
                at,
                f'"{name}" is {other} as well, so {{{name}}} would be ambiguous; rename the node',
                key=True,
            )
    if all(node.agent is None for node in spec.nodes.values()):
        mistakes.add(("pipelines", pipeline), f'pipeline "{pipeline}" calls no agent; give a node `agent`', key=True)

    circles = find_circles(graph)
    for circle in circles:
        at = ("pipelines", pipeline, "nodes", circle[0], "after")
        mistakes.add(at, f"nodes wait for each other in a circle: {' -> '.join(circle)}; remove one `after`", key=True)
    stuck = {name for circle in circles for name in circle}
    behind = {after for name in stuck for after in nx.descendants(graph, name)} - stuck
    for name in (name for name in graph if name in behind):
        at = ("pipelines", pipeline, "nodes", name)
        mistakes.add(
            at,
            f'node "{name}" can never start: it comes after the circle {" -> ".join(circles[0])}',
            key=True,
        )
    if not circles:
        _check_templates(pipeline, spec, graph, resolved, item_tokens, mistakes)
        _estimate_prompts(graph, resolved, item_tokens)
    nx.freeze(graph)
    return graph


def _attributes(
    name: str,
    node: NodeSpec,
    resolved: Mapping[str, Resolved],
    item_tokens: Mapping[str, tuple[int, ...]],
    default_timeout_s: float,
) -> dict[str, Any]:
    if node.tool is not None:
        kind, delay_s, width, timeout_s = "tool", node.tool.delay_s, 1, None
    else:
        kind, delay_s, timeout_s = "agent", 0.0, node.timeout_s or default_timeout_s
        width = len(item_tokens.get(node.over, ())) if node.over else 1
    agent = resolved.get(name)
    return {
        "kind": kind,
        "width": width,
        "delay_s": delay_s,
        "agent": agent.name if agent else "",
        "model": (agent.spec.model or "") if agent else "",
        "timeout_s": timeout_s,
        "over": node.over,
        "prompt_tokens": 0,
        "system_tokens": 0,
        "output_tokens": agent.spec.output_tokens if agent else 0,
    }


def find_circles(graph: nx.DiGraph) -> list[list[str]]:
    """Return a circle (a, b, ..., a) for each knot of nodes that wait for each other, from its first node."""
    place = {name: i for i, name in enumerate(graph)}
    circles = []
    for knot in nx.strongly_connected_components(graph):
        first = min(knot, key=lambda name: place[name])
        if len(knot) > 1 or graph.has_edge(first, first):
            edges = nx.find_cycle(graph.subgraph(sorted(knot, key=lambda name: place[name])), source=first)
            names = [edge[0] for edge in edges]
            start = min(range(len(names)), key=lambda i: place[names[i]])
            circles.append([*names[start:], *names[:start], names[start]])
    return sorted(circles, key=lambda circle: place[circle[0]])


def _check_templates(
    pipeline: str,
    spec: PipelineSpec,
    graph: nx.DiGraph,
    resolved: Mapping[str, Resolved],
    item_tokens: Mapping[str, tuple[int, ...]],
    mistakes: Mistakes,
) -> None:
    misspelt = any(before not in spec.nodes for node in spec.nodes.values() for before in node.after)
    for name, agent in resolved.items():
        before = nx.ancestors(graph, name)
        usable = [
            *item_tokens,
            *(other for other in spec.nodes if other in before and graph.nodes[other]["kind"] == "agent"),
        ]
        if spec.nodes[name].over is not None:
            usable.append("item")
        for is_system, template in ((False, agent.prompt.template), (True, agent.prompt.system or ())):
            for slot in template:
                if not isinstance(slot, Slot) or slot.name in usable:
                    continue
                if not (misspelt and slot.name in spec.nodes):  # else a misspelt `after` is the real mistake
                    reason = _why_not(slot.name, name, spec, graph, usable)
                    place = f'agent "{agent.name}" in node "{name}" of pipeline "{pipeline}"'
                    message = f"{place} names {{{slot.name}}}: {reason}"
                    mistakes.add_at(agent.where[is_system, slot.offset], message)


def _why_not(slot: str, node: str, spec: PipelineSpec, graph: nx.DiGraph, usable: Iterable[str]) -> str:
    if slot == "item":
        return "there is an item only where the node fans out; add `over: INPUT`"
    if slot == node:
        return "that is the node itself"
    if slot in spec.nodes:
        if graph.nodes[slot]["kind"] == "tool":
            return "that node is a tool and has no text"
        return f"that node need not be done by then; add `after: [{slot}]`"
    return unknown("input or earlier node", slot, usable)


def _estimate_prompts(
    graph: nx.DiGraph, resolved: Mapping[str, Resolved], item_tokens: Mapping[str, tuple[int, ...]]
) -> None:
    """Set `prompt_tokens`: text by its length, an item by the mean of its input, an answer by its limit."""
    for name, agent in resolved.items():
        node = graph.nodes[name]
        total = 0.0
        for part in (*agent.prompt.template, *(agent.prompt.system or ())):
            if isinstance(part, str):
                total += estimate_tokens(part)
            elif part.name == "item":
                items = item_tokens.get(node["over"], ())
                total += sum(items) / len(items) if items else 0
            elif part.name in item_tokens:
                total += sum(item_tokens[part.name])
            elif part.name in graph:  # else a mistake that has been noted
                upstream = graph.nodes[part.name]
                numbering = 3 if upstream["width"] > 1 else 0
                total += upstream["width"] * (upstream["output_tokens"] + numbering)
        node["prompt_tokens"] = round(total)
        node["system_tokens"] = sum(
            estimate_tokens(part) for part in agent.prompt.system or () if isinstance(part, str)
        )


def compile_graph(graph: nx.DiGraph) -> Graph:
    """Compile a checked graph: nodes in topological order, ties by their order in the file."""
    place = {name: i for i, name in enumerate(graph)}
    order = list(nx.lexicographical_topological_sort(graph, key=lambda name: place[name]))
    index = {name: i for i, name in enumerate(order)}
    return Graph(
        tuple(
            Node(
                name=name,
                kind=graph.nodes[name]["kind"],
                predecessors=tuple(sorted(index[other] for other in graph.predecessors(name))),
                successors=tuple(sorted(index[other] for other in graph.successors(name))),
                width=graph.nodes[name]["width"],
                delay_s=graph.nodes[name]["delay_s"],
                agent=graph.nodes[name]["agent"],
                model=graph.nodes[name]["model"],
                timeout_s=graph.nodes[name]["timeout_s"],
                expected_prompt_tokens=graph.nodes[name]["prompt_tokens"] or None,
                expected_output_tokens=graph.nodes[name]["output_tokens"] or None,
            )
            for name in order
        )
    )


def arrival(spec: PipelineSpec) -> tuple[Arrival, int | None]:
    """Return when the pipeline's jobs start, and how many there are.

    None: until another pipeline ends, or all turns of the conversations that a list of times opens.
    """
    match spec.arrival:
        case schema.AtTimes(at_s=due_s) | schema.Trace(trace=tuple(due_s)):
            return Arrival(due_s=due_s), spec.jobs or _turns(spec, len(due_s))
        case schema.Closed(closed=users, think_s=think):
            if isinstance(think, int | float):
                return Arrival(users=users, think_s=think), spec.jobs
            return Arrival(users=users, think=distribution(think)), spec.jobs
        case schema.Poisson(poisson_per_s=rate):
            return Arrival(poisson_per_s=rate), spec.jobs
        case schema.Ramp(ramp=ramp):
            return Arrival(ramp=Ramp(ramp.from_per_s, ramp.to_per_s, ramp.over_s)), spec.jobs
        case schema.Bursts(bursts=bursts):
            return Arrival(bursts=Bursts(bursts.size, bursts.every_s)), spec.jobs
        case schema.Every(every_s=every_s):
            return Arrival(every_s=every_s), spec.jobs
        case schema.Trace(trace=name):  # the schema has put its times in its place
            raise ValueError(f"{name} was not read")


def _turns(spec: PipelineSpec, conversations: int) -> int | None:
    """Return how many jobs so many arrivals bring; None where that is drawn."""
    if spec.session is None:
        return conversations
    turns = session(spec.session).turns
    return conversations * int(turns.values[0]) if turns.kind == "fixed" else None


def session(spec: schema.Session) -> Session:
    """Compile what a conversation is."""
    return Session(distribution(spec.turns, whole=True), distribution(spec.think_s), spec.reuse_prefix)


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
                session=None if spec.session is None else session(spec.session),
                until=None if spec.while_ is None else index[spec.while_],
                after=None if spec.after is None else index[spec.after],
            )
        )
    return tuple(compiled)
