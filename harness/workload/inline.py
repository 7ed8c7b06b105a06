"""Write sub-pipelines and loops out: one flat graph for each pipeline, and which texts each of its nodes can name.

A node of a sub-pipeline is called `refine/critic`. A loop ends in a node `refine/until` that takes no time: it ends the
loop or begins its next pass. Where a sub-pipeline without a loop can end in several places, a node of that name joins
them, so that a node after it waits for one thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.workload.checks import Definition, Resolved, deciding
from harness.workload.embeddings import embedded
from harness.workload.growth import PassCounts, growth_of, passes_of
from harness.workload.mistakes import Mistakes
from harness.workload.networks import nx
from harness.workload.prompts import Slot
from harness.workload.reads import Loop, Readable, Reads, Result
from harness.workload.schema import NodeSpec, RepeatSpec, Workload, distribution, is_fixed
from harness.workload.source import Loc

__all__ = ["DEFAULTS", "Inlined", "inline"]

# What every node of an agent graph has; networkx keeps it as attributes.
DEFAULTS: Mapping[str, Any] = {
    "kind": "agent",
    "width": 1,  # calls at once, at most
    "mean_width": 1.0,
    "delay_s": 0.0,  # of a tool, the mean
    "delay": None,  # its distribution, where it varies
    "agent": "",
    "model": "",
    **dict.fromkeys(("num_ctx", "keep_s")),  # the context and the keep-alive that its calls ask for, as in `Node`
    "timeout_s": None,
    "over": None,  # the input or the node
    "over_node": None,  # the node alone
    "embeds": "",  # of an embedding: an input or a node, as the file names it, or `item`
    "texts": 0,  # in all its requests, at most
    "batch": 0,  # of these in one request
    "items": None,
    "prompt_tokens": 0,  # of one call, an estimate; of a conversation's first turn
    "system_tokens": 0,  # of these, the ones that a conversation has once and not in every turn
    "output_tokens": 0,  # of one call, the mean
    "output": None,  # its distribution, where it varies
    "thinking_tokens": 0,  # of one call, before its answer and not in these; the mean
    "thinking": None,  # their distribution; None: it does not think
    "need": None,
    "enough": None,
    "losers": "cancel",
    "labels": (),
    "shares": (),
    "retries": 0,
    "backoff_s": 0.0,
    "priority": 0,
    "answers": False,
    "body": (),  # of an until node: what runs again
    "end_share": 0.0,
    "max_iterations": 1,
    "drawn_passes": None,  # of an until node: how many, where that is drawn when the loop begins
    "shares_prefix": False,  # the server may find the system message again, of any agent that has the same
    "grows": None,  # what comes in with each further pass of the loop around it
    "run": PassCounts(1.0, 0.0, 1),  # where it grows: of that loop
    "grown_tokens": 0.0,  # of a prompt, what the passes before have brought, an estimate: the mean
    "decides": None,
    "passes": 1.0,  # how often it runs where it runs at all, the mean
}


class Inlined(NamedTuple):
    """A pipeline written out."""

    graph: nx.DiGraph
    uses: Mapping[str, Readable]
    loops: Mapping[str, Loop]
    written: Mapping[str, Loc]  # where each node stands in the file; an `until` where what it ends does


class Edge(NamedTuple):
    """Where a node comes from: another node, or one label of its branch."""

    source: str
    label: str | None = None


class _Frame:
    """One use of a graph: a pipeline, or a sub-pipeline as a node."""

    def __init__(
        self,
        definition: Definition,
        prefix: str = "",
        entry: tuple[Edge, ...] = (),
        node: NodeSpec | None = None,  # that uses it
        came_in: Reads = (),
        loops: tuple[str, ...] = (),
        repeat: RepeatSpec | None = None,  # of the innermost of `loops`
        passes: float = 1.0,
        priority: int = 0,
    ) -> None:
        self.definition, self.prefix, self.entry, self.node = definition, prefix, entry, node
        self.came_in, self.loops, self.repeat = came_in, loops, repeat
        self.passes, self.priority = passes, priority
        self.before: nx.DiGraph = nx.DiGraph()
        self.before.add_nodes_from(definition.nodes)
        for name, spec in definition.nodes.items():
            self.before.add_edges_from((before.partition(".")[0], name) for before in spec.after)


class _Inliner:
    def __init__(
        self,
        workload: Workload,
        resolved: Mapping[Loc, Resolved],
        item_counts: Mapping[str, int],
        mistakes: Mistakes,
    ) -> None:
        self.workload, self.resolved, self.item_counts, self.mistakes = workload, resolved, item_counts, mistakes
        self.graph: Any = nx.DiGraph()
        self.order: list[str] = []  # as written; an edge may name a node before it comes
        self.uses: dict[str, Readable] = {}
        self.loops: dict[str, Loop] = {}
        self.written: dict[str, Loc] = {}

    def definition(self, name: str) -> Definition:
        nodes = self.workload.subpipelines[name].nodes
        return Definition(f'sub-pipeline "{name}"', ("subpipelines", name, "nodes"), nodes, inside=True)

    # --- how a graph ends, from its text alone ---

    def ends(self, definition: Definition, prefix: str) -> list[Edge]:
        """Return where a graph can end: nodes that nobody waits for, and labels that nobody takes."""
        found: list[Edge] = []
        for name, spec in definition.nodes.items():
            taken = {before.partition(".")[::2] for other in definition.nodes.values() for before in other.after}
            labels = {label for before, label in taken if before == name}
            if not labels:
                found.append(self.end(name, spec, prefix))
            elif "" not in labels:
                found += [Edge(prefix + name, label) for label in spec.labels if label not in labels]
        return found

    def end(self, name: str, spec: NodeSpec, prefix: str) -> Edge:
        """Return what somebody who comes after a node waits for."""
        if spec.repeat is not None:
            return Edge(f"{prefix}{name}/until")
        if spec.pipeline is None:
            return Edge(prefix + name)
        ends = self.ends(self.definition(spec.pipeline), f"{prefix}{name}/")
        return ends[0] if len(ends) == 1 else Edge(f"{prefix}{name}/until")

    def result(self, name: str, spec: NodeSpec, prefix: str) -> Result:
        """Return whose answers are the result of a node."""
        if spec.pipeline is None:
            return Result(() if spec.agent is None else (prefix + name,))
        return self.results(self.definition(spec.pipeline), f"{prefix}{name}/")

    def results(self, definition: Definition, prefix: str) -> Result:
        main: list[str] = []
        otherwise: list[str] = []
        awaited = {before.partition(".")[0] for other in definition.nodes.values() for before in other.after}
        for name, spec in definition.nodes.items():
            if name not in awaited:
                inner = self.result(name, spec, prefix)
                main += inner.main
                otherwise += inner.otherwise
        otherwise += [edge.source for edge in self.ends(definition, prefix) if edge.label is not None]
        return Result(tuple(main), tuple(dict.fromkeys(otherwise)))

    # --- writing it out ---

    def expand(self, frame: _Frame) -> None:
        for name, spec in frame.definition.nodes.items():
            flat = frame.prefix + name
            edges = self.edges(frame, spec)
            came_in = self.came_in(frame, spec)
            passes = frame.passes * (passes_of(spec.repeat).mean if spec.repeat else 1.0)
            priority = frame.priority if spec.priority is None else spec.priority
            # Nodes without `after` of a sub-pipeline wait as the node that uses it does.
            waits = spec if spec.after or frame.node is None else frame.node
            if spec.pipeline is not None:
                inner = _Frame(
                    self.definition(spec.pipeline),
                    prefix=f"{flat}/",
                    entry=edges,
                    node=waits,
                    came_in=came_in,
                    loops=(*frame.loops, flat) if spec.repeat else frame.loops,
                    repeat=spec.repeat or frame.repeat,
                    passes=passes,
                    priority=priority,
                )
                self.expand(inner)
                ends = self.ends(inner.definition, inner.prefix)
                result = self.results(inner.definition, inner.prefix)
                body = [other for other in self.order if other.startswith(inner.prefix)]
            else:
                self.add(frame, name, spec, edges, waits, passes, priority)
                self.use(frame, name, spec, came_in)
                ends, result, body = [Edge(flat)], Result((flat,)), [flat]
            if spec.repeat is not None:
                self.loops[flat] = Loop(frozenset(body), (result,))
                self.add_until(frame, name, spec, ends, body, passes)
            elif len(ends) > 1:
                self.add_join(frame, name, ends, passes)

    def edges(self, frame: _Frame, spec: NodeSpec) -> tuple[Edge, ...]:
        if not spec.after:
            return frame.entry
        edges = []
        for before in spec.after:
            name, _, label = before.partition(".")
            end = self.end(name, frame.definition.nodes[name], frame.prefix)
            edges.append(Edge(end.source, label) if label else end)
        return tuple(edges)

    def came_in(self, frame: _Frame, spec: NodeSpec) -> Reads:
        if not spec.after:
            return frame.came_in
        names = dict.fromkeys(before.partition(".")[0] for before in spec.after)
        found = (self.result(name, frame.definition.nodes[name], frame.prefix) for name in names)
        return tuple(result for result in found if result.main or result.otherwise)

    def connect(self, flat: str, edges: tuple[Edge, ...]) -> None:
        """Add the edges into a node."""
        labels: dict[str, list[str] | None] = {}
        for source, label in edges:
            if label is None:
                labels[source] = None
            elif (known := labels.setdefault(source, [])) is not None:
                known.append(label)
        for source, taken in labels.items():
            self.graph.add_edge(source, flat, labels=tuple(taken or ()))

    def add(
        self,
        frame: _Frame,
        name: str,
        spec: NodeSpec,
        edges: tuple[Edge, ...],
        waits: NodeSpec,
        passes: float,
        priority: int,
    ) -> None:
        flat, at = frame.prefix + name, (*frame.definition.at, name)
        self.written[flat] = at
        self.order.append(flat)
        need = 1 if waits.need == "any" else None if waits.need == "all" else waits.need
        attributes: dict[str, Any] = {**DEFAULTS, "passes": passes, "priority": priority, "need": need}
        attributes["losers"] = spec.losers if spec.enough is not None else waits.losers
        if spec.tool is not None:
            delay = distribution(spec.tool.delay_s)
            varies = None if is_fixed(spec.tool.delay_s) else delay
            attributes |= {"kind": "tool", "delay_s": float(delay.mean), "delay": varies}
            attributes |= {"labels": tuple(spec.labels), "shares": tuple(label.p for label in spec.labels.values())}
        else:
            attributes |= self.agent(at, spec)
            attributes |= growth_of(spec, spec.repeat or frame.repeat)
            if spec.embed is not None:
                attributes |= embedded(spec.embed, frame.definition.nodes, self.item_counts, attributes["width"])
            if spec.over in frame.definition.nodes:
                attributes["over_node"] = frame.prefix + (spec.over or "")
        self.graph.add_node(flat, **attributes)
        self.connect(flat, edges)

    def agent(self, at: Loc, spec: NodeSpec) -> dict[str, Any]:
        resolved = self.resolved.get(at)
        agent = self.workload.agents.get(spec.agent) if isinstance(spec.agent, str) else spec.agent
        agent = agent if resolved is None else resolved.spec
        attributes: dict[str, Any] = {
            "shares_prefix": agent is not None and agent.shares_prefix,
            "answers": spec.answers,
            "timeout_s": spec.timeout_s or self.workload.timeout_s,
            "width": 1,
            "over": spec.over,
            "enough": spec.enough,
            "labels": tuple(spec.labels),
            "shares": tuple(label.p for label in spec.labels.values()),
        }
        if resolved is not None:
            said, output = resolved.spec, distribution(resolved.spec.output_tokens, whole=True)
            attributes |= {"agent": resolved.name, "model": said.model or "", "keep_s": said.keep_s}
            attributes |= {"num_ctx": said.num_ctx, "output": None if is_fixed(said.output_tokens) else output}
            attributes["output_tokens"] = max(1, round(output.mean))
            if said.thinking_tokens is not None:
                thinking = distribution(said.thinking_tokens, whole=True)
                attributes |= {"thinking": thinking, "thinking_tokens": max(1, round(thinking.mean))}
        if spec.retry is not None:
            attributes |= {"retries": spec.retry.times, "backoff_s": spec.retry.backoff_s}
        if spec.items is not None:
            count = distribution(spec.items.count, whole=True)
            most = spec.items.max or count.highest
            if most is not None:
                items = count._replace(most=float(most))
                attributes |= {"items": items, "width": int(most), "mean_width": items.mean}
        elif spec.over is not None:
            attributes |= {"width": (width := self.item_counts.get(spec.over, 0)), "mean_width": float(width)}
        return attributes

    def add_until(
        self, frame: _Frame, name: str, spec: NodeSpec, ends: list[Edge], body: list[str], passes: float
    ) -> None:
        flat = frame.prefix + name
        assert spec.repeat is not None
        until = spec.repeat.ends
        decides = None
        if until is not None and spec.pipeline is None:
            decides = flat
        elif until is not None and spec.pipeline is not None:
            inner = until.node or deciding(spec.pipeline, self.workload)
            decides = None if inner is None else f"{flat}/{inner}"
        self.order.append(f"{flat}/until")
        self.written[f"{flat}/until"] = (*frame.definition.at, name)
        self.graph.add_node(
            f"{flat}/until",
            **{
                **DEFAULTS,
                "kind": "until",
                "body": tuple(body),
                "end_share": 0.0 if until is None else until.p,
                "max_iterations": spec.repeat.most,
                "drawn_passes": spec.repeat.drawn,
                "decides": decides,
                "passes": passes,
            },
        )
        self.connect(f"{flat}/until", tuple(ends))

    def add_join(self, frame: _Frame, name: str, ends: list[Edge], passes: float) -> None:
        """Add a loop of one pass: a node that takes no time."""
        flat = frame.prefix + name
        self.written[f"{flat}/until"] = (*frame.definition.at, name)
        self.order.append(f"{flat}/until")
        self.graph.add_node(f"{flat}/until", **{**DEFAULTS, "kind": "until", "end_share": 1.0, "passes": passes})
        self.connect(f"{flat}/until", tuple(ends))

    def use(self, frame: _Frame, name: str, spec: NodeSpec, came_in: Reads) -> None:
        flat, nodes = frame.prefix + name, frame.definition.nodes
        if spec.embed is not None:
            source = {spec.embed.texts: (Result((frame.prefix + spec.embed.texts,)),)}
            self.uses[flat] = Readable(source if spec.embed.texts in nodes else {}, frame.loops)
        if spec.agent is None:
            return
        before = nx.ancestors(frame.before, name)
        names: dict[str, Reads] = {
            other: (self.result(other, nodes[other], frame.prefix),) for other in nodes if other in before
        }
        if spec.repeat is not None:
            names["input"] = came_in
        elif frame.definition.inside:
            names["input"] = frame.came_in
        self.uses[flat] = Readable(names, (*frame.loops, flat) if spec.repeat is not None else frame.loops)
        self.check_texts(frame, name, names)

    def check_texts(self, frame: _Frame, name: str, names: Mapping[str, Reads]) -> None:
        """Note templates that name what has no text, in this use of the graph at least."""
        agent = self.resolved.get((*frame.definition.at, name))
        for is_system, template in (
            () if agent is None else ((False, agent.prompt.template), (True, agent.prompt.system or ()))
        ):
            for slot in template:
                if not isinstance(slot, Slot) or any(
                    found.main or found.otherwise for found in names.get(slot.name, (_SOME,))
                ):
                    continue
                if slot.name == "input":
                    why = f'node "{frame.prefix.rstrip("/") or name}" comes after nothing that has a text; add `after`'
                else:
                    why = "that node ends in a tool or an embedding and has no text"
                assert agent is not None
                place = f'agent "{agent.name}" in node "{name}" of {frame.definition.title} names {{{slot.name}}}'
                self.mistakes.add_at(agent.where[is_system, slot.offset], f"{place}: {why}")

    def finished(self, pipeline: str) -> Inlined:
        """Return the whole, its nodes in the order in which they were written out."""
        graph: Any = nx.DiGraph(name=pipeline)
        graph.add_nodes_from((name, self.graph.nodes[name]) for name in self.order)
        for source, after, data in self.graph.edges(data=True):
            every = len(data["labels"]) == len(graph.nodes[source]["labels"])  # every label: it does not matter which
            graph.add_edge(source, after, labels=() if every else data["labels"])
        return Inlined(graph, self.uses, self.loops, self.written)


_SOME = Result(("",))  # a name that is an input's, or the item: it has a text


def inline(
    pipeline: str,
    workload: Workload,
    resolved: Mapping[Loc, Resolved],
    item_counts: Mapping[str, int],
    mistakes: Mistakes,
) -> Inlined:
    """Write one pipeline out; it has been checked (`harness.workload.checks`)."""
    spec = workload.pipelines[pipeline]
    definition = Definition(f'pipeline "{pipeline}"', ("pipelines", pipeline, "nodes"), spec.nodes, inside=False)
    inliner = _Inliner(workload, resolved, item_counts, mistakes)
    inliner.expand(_Frame(definition, priority=spec.priority))
    return inliner.finished(pipeline)
