"""What a graph may say: names that are there, no circles, lists with a bound, templates that can be filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from harness.workload.embeddings import count_texts
from harness.workload.mistakes import Mistakes, unknown
from harness.workload.networks import nx
from harness.workload.prompts import Prompt, Slot
from harness.workload.schema import AgentSpec, NodeSpec, Workload, distribution
from harness.workload.source import Loc

__all__ = [
    "FLOW",
    "Definition",
    "Resolved",
    "check_definition",
    "check_subpipelines",
    "deciding",
    "definitions",
    "find_circles",
]

MAX_NODES = 1000  # of one pipeline, its sub-pipelines written out
FLOW = ("input", "previous")  # what templates in loops and sub-pipelines can name beside nodes and inputs


class Resolved(NamedTuple):
    """An agent node's agent with its parsed prompt; `where` finds a slot's place for a message."""

    name: str
    spec: AgentSpec
    prompt: Prompt
    where: Mapping[tuple[bool, int], str]  # (in the system message?, offset) -> file:line:column
    is_card: bool  # from agents/, not from this file


class Definition(NamedTuple):
    """A graph as it is written: a pipeline or a sub-pipeline."""

    title: str  # `pipeline "digest"`
    at: Loc  # of its nodes
    nodes: Mapping[str, NodeSpec]
    inside: bool  # a sub-pipeline


def definitions(workload: Workload) -> Iterator[Definition]:
    """Yield every graph that is written down, pipelines first."""
    for name, pipeline in workload.pipelines.items():
        yield Definition(f'pipeline "{name}"', ("pipelines", name, "nodes"), pipeline.nodes, inside=False)
    for name, sub in workload.subpipelines.items():
        yield Definition(f'sub-pipeline "{name}"', ("subpipelines", name, "nodes"), sub.nodes, inside=True)


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


def check_subpipelines(workload: Workload, mistakes: Mistakes) -> None:
    """Check that sub-pipelines that are used are there, none includes itself, and all of it stays of a size."""
    uses: nx.DiGraph = nx.DiGraph()
    uses.add_nodes_from(workload.subpipelines)
    for definition in definitions(workload):
        for name, node in definition.nodes.items():
            if node.pipeline is None:
                continue
            at: Loc = (*definition.at, name, "pipeline")
            if node.pipeline not in workload.subpipelines:
                hint = unknown("sub-pipeline", node.pipeline, workload.subpipelines)
                if node.pipeline in workload.pipelines:
                    hint = f'"{node.pipeline}" is a pipeline with arrivals of its own; write it below `subpipelines`'
                mistakes.add(at, f'node "{name}" uses: {hint}')
            elif definition.inside:
                uses.add_edge(definition.at[1], node.pipeline)
    circles = find_circles(uses)
    for circle in circles:
        user = next(n for n, spec in workload.subpipelines[circle[0]].nodes.items() if spec.pipeline == circle[1])
        message = f"a sub-pipeline includes itself: {' -> '.join(circle)}; for a loop write `repeat`"
        mistakes.add(("subpipelines", circle[0], "nodes", user, "pipeline"), message)
    if mistakes:
        return
    sizes: dict[str, int] = {}
    for name in reversed(list(nx.topological_sort(uses))):
        sizes[name] = _size(workload.subpipelines[name].nodes.values(), sizes)
    for name, pipeline in workload.pipelines.items():
        size = _size(pipeline.nodes.values(), sizes)
        if size > MAX_NODES:
            at = ("pipelines", name)
            message = f'pipeline "{name}": expected at most {MAX_NODES} nodes with its sub-pipelines, found {size}'
            mistakes.add(at, message, key=True)


def _size(nodes: Iterable[NodeSpec], sizes: Mapping[str, int]) -> int:
    return sum(sizes[node.pipeline] + 1 if node.pipeline else 1 for node in nodes)


def check_definition(
    definition: Definition,
    workload: Workload,
    resolved: Mapping[Loc, Resolved],
    item_counts: Mapping[str, int],
    mistakes: Mistakes,
) -> None:
    """Check one graph as it is written."""
    nodes = definition.nodes
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(nodes)
    for name, node in nodes.items():
        at: Loc = (*definition.at, name)
        for i, written in enumerate(node.after):
            before = written.partition(".")[0]
            wrong = _wrong_edge(written, nodes, node.after[:i])
            if wrong:
                mistakes.add((*at, "after", i), f'node "{name}" waits for "{written}"{wrong}')
            else:
                graph.add_edge(before, name)
        _check_name(definition, name, workload, item_counts, mistakes)

    circles = find_circles(graph)
    for circle in circles:
        message = f"nodes wait for each other in a circle: {' -> '.join(circle)}; remove one `after`"
        mistakes.add((*definition.at, circle[0], "after"), message, key=True)
    stuck = {name for circle in circles for name in circle}
    behind = {after for name in stuck for after in nx.descendants(graph, name)} - stuck
    for name in (name for name in graph if name in behind):
        message = f'node "{name}" can never start: it comes after the circle {" -> ".join(circles[0])}'
        mistakes.add((*definition.at, name), message, key=True)
    ordered = not circles and mistakes.ordered(definition.at)  # else it is not known what comes before what
    for name in nodes:
        before_it = nx.ancestors(graph, name) if ordered else set(nodes)
        _check_over(definition, name, before_it, item_counts, mistakes)
        _check_texts(definition, name, before_it, item_counts, mistakes)
        _check_until(definition, name, workload, mistakes)
    if ordered:
        _check_templates(definition, graph, resolved, item_counts, mistakes)


def _wrong_edge(written: str, nodes: Mapping[str, NodeSpec], earlier: tuple[str, ...]) -> str:
    """Say what is wrong with an entry of `after`; "" where nothing is."""
    before, dot, label = written.partition(".")
    if before not in nodes:
        return f": {unknown('node', before, nodes)}"
    labels = nodes[before].labels
    if dot and not labels:
        return f': "{before}" has no branch and so no labels; write {before}'
    if dot and label not in labels:
        return f": {unknown('label', label, labels)}"
    if written in earlier or before in earlier or (not dot and any(e.partition(".")[0] == before for e in earlier)):
        return " twice; name it once"
    return ""


def _check_name(
    definition: Definition, name: str, workload: Workload, inputs: Mapping[str, int], mistakes: Mistakes
) -> None:
    other = ""
    if name in inputs:
        other = "an input"
    elif name == "item":
        other = "the item of a fan-out"
    elif name in FLOW and (definition.inside or _has_loops(workload)):
        other = "what comes into a loop or a sub-pipeline"
    if other:
        message = f'"{name}" is {other} as well, so {{{name}}} would be ambiguous; rename the node'
        mistakes.add((*definition.at, name), message, key=True)
    elif name == "until" and definition.inside:
        message = 'a sub-pipeline\'s end is called "until" in reports; rename the node'
        mistakes.add((*definition.at, name), message, key=True)


def _has_loops(workload: Workload) -> bool:
    return bool(workload.subpipelines) or any(
        node.repeat is not None for pipeline in workload.pipelines.values() for node in pipeline.nodes.values()
    )


def _check_over(
    definition: Definition, name: str, before: set[str], item_counts: Mapping[str, int], mistakes: Mistakes
) -> None:
    node, nodes = definition.nodes[name], definition.nodes
    at: Loc = (*definition.at, name)
    if node.over is None:
        return
    items: float | None
    if node.over in item_counts:
        if node.items is not None:
            message = f'node "{name}": `items` is for a list that a node answers; the input "{node.over}" has its own'
            mistakes.add((*at, "items"), message, key=True)
        items = item_counts[node.over]
    elif node.over in nodes:
        source = nodes[node.over]
        if source.agent is None or source.over is not None:
            kind = _kind_of(source) or "a fan-out itself"
            message = f'"{node.over}" is {kind}; name an agent node that answers one list'
            mistakes.add((*at, "over"), f'node "{name}" fans out: {message}')
        elif node.over not in before:
            message = f'the node "{node.over}" need not be done by then; add `after: [{node.over}]`'
            mistakes.add((*at, "over"), f'node "{name}" fans out: {message}')
        if node.items is None:
            message = f'node "{name}" fans out over what "{node.over}" answers: add `items: {{count: [2, 5], max: 8}}`'
            mistakes.add((*at, "over"), message)
            return
        items = node.items.max or distribution(node.items.count, whole=True).highest
        if items is None:
            message = f'node "{name}": the list needs a bound; add `max` to `items`'
            mistakes.add((*at, "items"), message, key=True)
    else:
        hint = unknown("input", node.over, item_counts)
        if "did you mean" not in hint:
            close = unknown("input or node", node.over, [other for other in nodes if other != name])
            hint = close if "did you mean" in close else hint
        mistakes.add((*at, "over"), f'node "{name}" fans out: {hint}')
        return
    if node.enough is not None and items and node.enough > items:
        most = f"at most {items:g}, the number of items"
        mistakes.add((*at, "enough"), f'node "{name}": expected {most}, found {node.enough}')


def _kind_of(node: NodeSpec) -> str:
    """Say what a node is that makes no single call; "" where that is not due to its kind."""
    if node.embed is not None:
        return "an embedding"
    return "a tool" if node.tool else "a sub-pipeline" if node.pipeline else ""


def _check_texts(
    definition: Definition, name: str, before: set[str], item_counts: Mapping[str, int], mistakes: Mistakes
) -> None:
    """Check what a node embeds: an input, or the answers of an earlier node, whose number is known."""
    embed, nodes = definition.nodes[name].embed, definition.nodes
    if embed is None or embed.texts == "item" or embed.texts in item_counts:
        return
    source = nodes.get(embed.texts)
    if source is None or embed.texts == name:
        known = [*item_counts, *(other for other in nodes if other in before)]
        message = unknown("input or earlier node", embed.texts, known)
    elif source.agent is None:
        message = f'"{embed.texts}" is {_kind_of(source)}, whose texts cannot be read here; name an agent node'
    elif embed.texts not in before:
        message = f'the node "{embed.texts}" need not be done by then; add `after: [{embed.texts}]`'
    elif count_texts(embed, nodes, item_counts) is None:
        message = f'how many answers "{embed.texts}" has is not known beforehand; name a node that makes one call, or '
        message += "one that fans out over an input and waits for all"
    else:
        return
    mistakes.add((*definition.at, name, "embed", "texts"), f'node "{name}" embeds: {message}')


def _check_until(definition: Definition, name: str, workload: Workload, mistakes: Mistakes) -> None:
    node = definition.nodes[name]
    until = None if node.repeat is None else node.repeat.ends
    if until is None:
        return
    at: Loc = (*definition.at, name, "repeat", "until")
    if node.pipeline is None:
        if until.node is not None:
            mistakes.add(
                (*at, "node"), f'node "{name}": a loop of one call reads its own answer; remove `node`', key=True
            )
        return
    if node.pipeline not in workload.subpipelines:
        return
    body = workload.subpipelines[node.pipeline].nodes
    if until.node is not None:
        *outer, last = until.node.split("/")
        for step in outer:
            inner = body[step].pipeline if step in body else None
            body = workload.subpipelines[inner].nodes if inner and inner in workload.subpipelines else {}
        if last not in body:
            hint = unknown("node", until.node, body)
            mistakes.add((*at, "node"), f'node "{name}" repeats until: sub-pipeline "{node.pipeline}" has {hint}')
        elif body[last].agent is None or body[last].over is not None:
            kind = _kind_of(body[last]) or "a fan-out"
            message = f'node "{name}" repeats until: "{until.node}" is {kind}; name a node that makes one call'
            mistakes.add((*at, "node"), message)
    elif deciding(node.pipeline, workload) is None and (
        workload.control == "model" or "when" in until.model_fields_set
    ):
        message = f'sub-pipeline "{node.pipeline}" does not end in one call, so say whose answer: add `node`'
        mistakes.add(at, f'node "{name}" repeats until: {message}', key=True)


def deciding(subpipeline: str, workload: Workload, within: tuple[str, ...] = ()) -> str | None:
    """Return the node whose answer ends a sub-pipeline's loop where none is named: its last call, if it has one."""
    nodes = workload.subpipelines[subpipeline].nodes
    awaited = {before.partition(".")[0] for node in nodes.values() for before in node.after}
    ends = [name for name in nodes if name not in awaited]
    if len(ends) != 1:
        return None
    node = nodes[ends[0]]
    if node.pipeline is not None:
        known = node.pipeline in workload.subpipelines and node.pipeline not in within  # else a mistake noted elsewhere
        inner = deciding(node.pipeline, workload, (*within, subpipeline)) if known else None
        return None if inner is None else f"{ends[0]}/{inner}"
    return ends[0] if node.agent is not None and node.over is None else None


def _check_templates(
    definition: Definition,
    graph: nx.DiGraph,
    resolved: Mapping[Loc, Resolved],
    inputs: Mapping[str, int],
    mistakes: Mistakes,
) -> None:
    nodes = definition.nodes
    misspelt = any(before.partition(".")[0] not in nodes for node in nodes.values() for before in node.after)
    for name, node in nodes.items():
        agent = resolved.get((*definition.at, name))
        if agent is None:
            continue
        before = nx.ancestors(graph, name)
        usable = [*inputs, *(other for other in nodes if other in before and _has_text(nodes[other]))]
        if node.over is not None:
            usable.append("item")
        if definition.inside or node.repeat is not None:
            usable += FLOW
        for is_system, template in ((False, agent.prompt.template), (True, agent.prompt.system or ())):
            for slot in template:
                if not isinstance(slot, Slot) or slot.name in usable:
                    continue
                if misspelt and slot.name in nodes:  # a misspelt `after` is the real mistake
                    continue
                place = f'agent "{agent.name}" in node "{name}" of {definition.title} names {{{slot.name}}}'
                why = _why_not(slot.name, name, nodes, before, usable, inside=definition.inside)
                mistakes.add_at(agent.where[is_system, slot.offset], f"{place}: {why}")


def _has_text(node: NodeSpec) -> bool:
    return node.tool is None and node.embed is None


def _why_not(
    name: str, node: str, nodes: Mapping[str, NodeSpec], before: set[str], usable: list[str], *, inside: bool
) -> str:
    if name == "item":
        return "there is an item only where the node fans out; add `over: INPUT`"
    if name == node:
        return (
            f"that is the node itself{'; its answer of the pass before is {previous}' if 'previous' in usable else ''}"
        )
    if name in nodes and not _has_text(nodes[name]):
        return f"that node is {_kind_of(nodes[name])} and has no text"
    if name in nodes and name not in before:
        return f"that node need not be done by then; add `after: [{name}]`"
    if name in FLOW:
        return "there is that only in a loop (`repeat`) or in a sub-pipeline"
    hint = unknown("input or earlier node", name, usable)
    return f"{hint} (a sub-pipeline sees its own nodes alone)" if inside and "did you mean" not in hint else hint
