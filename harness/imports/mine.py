"""The graph behind many traces, from what ran before what: sequence, parallel work, fan-out, branches, loops.

- Steps of one kind that overlap in time are one fan-out; steps of one kind one after the other are a loop.
- What comes back in between belongs to the same loop: its passes are then traces themselves, mined the same way.
- What is left has each node once in a trace. a comes before b where it has ended when b starts, in (nearly) all traces
  that have both. Each set of nodes that occurred together has its own Hasse diagram of that order; the union of them is
  the graph, and where the successors of a node differ between them, it branches.

Interval orders as evidence of causality: van der Aalst, "Process Mining" (2016), chapters 5 and 7 (footprints, loops).
Two things that only ever happened one after the other look like a sequence here, whatever decided that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx

from harness.imports.draft import Names
from harness.imports.growth import grown
from harness.imports.steps import TraceStep

__all__ = ["CHOICE", "LOOP", "SAME_S", "Label", "LoopStats", "MinedNode", "Occurrence", "mine", "occurrences"]

Label = tuple[str, str, str]  # kind, name, whose
SAME_S = 5e-4  # clocks and event loops blur what is closer than this
NEARLY_ALL = 0.98
LOOP, CHOICE = "loop", "choice"


class Occurrence(NamedTuple):
    """A node's turn in one trace: one step, the steps of a fan-out, or a whole loop."""

    label: Label
    start_s: float
    end_s: float
    steps: tuple[TraceStep, ...]
    passes: tuple[tuple[Occurrence, ...], ...] = ()  # of a loop


class LoopStats(NamedTuple):
    """How often a loop ran."""

    most: int
    mean: float
    always_most: bool


class MinedNode(NamedTuple):
    """A node of the graph. `after` names nodes and the branch labels that lead here."""

    label: Label
    after: tuple[tuple[Label, str | None], ...]
    branch: Mapping[str, int]  # label -> in how many traces it was taken; empty: no branch
    occurrences: tuple[Occurrence, ...]
    loop: LoopStats | None = None
    body: tuple[MinedNode, ...] = ()
    decider: Label | None = None  # the node of the body that ends its passes


def occurrences(steps: Sequence[TraceStep]) -> list[Occurrence]:
    """Join the steps of one trace that belong to one fan-out; `steps` in the order of their starts."""
    result: list[Occurrence] = []
    latest: dict[Label, int] = {}
    for step in steps:
        at = latest.get(step.label)
        if at is not None:
            before = result[at]
            if step.start_s < before.end_s - SAME_S or step.start_s - before.start_s <= SAME_S:
                end_s = max(before.end_s, step.end_s)
                result[at] = before._replace(end_s=end_s, steps=(*before.steps, step))
                continue
        latest[step.label] = len(result)
        result.append(Occurrence(step.label, step.start_s, step.end_s, (step,)))
    return result


def mine(traces: Sequence[Sequence[Occurrence]], depth: int = 0) -> tuple[MinedNode, ...]:
    """Return the graph of traces, nodes in topological order."""
    folded = [list(trace) for trace in traces]
    loops: dict[Label, tuple[LoopStats, tuple[MinedNode, ...], Label]] = {}
    for group in _loop_groups(folded):
        _fold_loop(folded, group, loops, depth)
    variants = _variants(folded, _order(folded))
    return _graph(folded, _with_choices(variants, folded), loops)


# Loops


def _loop_groups(traces: Sequence[Sequence[Occurrence]]) -> list[set[Label]]:
    """Return the sets of nodes that run again together."""
    repeated: set[Label] = set()
    overlap: set[tuple[Label, Label]] = set()
    between: Counter[tuple[Label, Label]] = Counter()  # (b, a): b lies between two turns of a
    for trace in traces:
        labels = [occurrence.label for occurrence in trace]
        if len(set(labels)) == len(labels):
            continue
        turns: dict[Label, list[Occurrence]] = {}
        for occurrence in trace:
            turns.setdefault(occurrence.label, []).append(occurrence)
        again = {label: spans for label, spans in turns.items() if len(spans) > 1}
        repeated |= set(again)
        for a, spans in again.items():
            starts = [one.start_s for one in spans]  # in order, and none of them overlaps the next
            for b, others in turns.items():
                if a == b:
                    continue
                for other in others:
                    last = bisect_left(starts, other.end_s - SAME_S) - 1
                    if last >= 0 and _overlap(other, spans[last]):
                        overlap.add((b, a))
                    elif spans[0].end_s <= other.start_s + SAME_S and other.end_s <= spans[-1].start_s + SAME_S:
                        between[b, a] += 1
    groups = nx.Graph()
    groups.add_nodes_from(repeated)
    groups.add_edges_from((b, a) for b, a in between if (b, a) not in overlap)
    return [set(group) for group in nx.connected_components(groups)]


def _overlap(a: Occurrence, b: Occurrence) -> bool:
    return a.start_s < b.end_s - SAME_S and b.start_s < a.end_s - SAME_S


def _fold_loop(
    traces: list[list[Occurrence]],
    group: set[Label],
    loops: dict[Label, tuple[LoopStats, tuple[MinedNode, ...], Label]],
    depth: int,
) -> None:
    """Put one occurrence in the place of all of a loop's, in every trace; add the loop to `loops`."""
    split = [_passes([one for one in trace if one.label in group]) for trace in traces]
    present = [passes for passes in split if passes]
    # The head begins a pass. Only what repeats can: else the body would be what it was, again and again.
    counted = [Counter(one.label for one in passes[0]) for passes in present]
    repeated = {label for turns in counted for label, n in turns.items() if n > 1}
    starts = Counter(one.label for passes in present for one in _layers(passes[0])[0])
    head = max(sorted(repeated), key=lambda label: starts[label])
    split = [_passes([one for one in trace if one.label in group], head) for trace in traces]
    present = [passes for passes in split if passes]
    alone_last = all([one.label for one in passes[-1]] == [head] for passes in present)
    # A conversation that grows begins with the head's first call, so that is the loop's.
    grows = grown([[one.steps[0] for one in _flat(passes) if one.label == head and one.steps] for passes in present])
    rotate = len(group) > 1 and alone_last and grows is None
    own: Label = (LOOP, head[1], f"{depth}/{head[0]}/{head[2]}")
    bodies: list[list[Occurrence]] = []
    counts: list[int] = []
    for trace, passes in zip(traces, split, strict=True):
        if not passes:
            continue
        first: list[Occurrence] = []
        if rotate:  # the head once, then passes that end with it
            first = passes[0][:1]
            flat = [*passes[0][1:], *(one for later in passes[1:] for one in later)]
            passes = _passes(flat, head, ends=True)
        trace[:] = [one for one in trace if one.label not in group]
        trace += first
        if passes:
            every = _flat(passes)
            start_s = min(one.start_s for one in every)
            end_s = max(one.end_s for one in every)
            trace.append(Occurrence(own, start_s, end_s, (), tuple(map(tuple, passes))))
            counts.append(len(passes))
            bodies += [_once(turn, head) for turn in passes]
        trace.sort(key=lambda one: (one.start_s, one.end_s))
    if len(group) == 1:
        body: tuple[MinedNode, ...] = (MinedNode(head, (), {}, tuple(one for turn in bodies for one in turn)),)
    else:
        body = mine(bodies, depth + 1)
    ends = Counter(turn[-1].label for turn in bodies)
    decider = head if rotate else max(sorted(ends), key=lambda label: ends[label])
    loops[own] = (LoopStats(max(counts), sum(counts) / len(counts), min(counts) == max(counts)), body, decider)


def _flat(passes: Iterable[Sequence[Occurrence]]) -> list[Occurrence]:
    return [one for turn in passes for one in turn]


def _once(turn: Sequence[Occurrence], head: Label) -> list[Occurrence]:
    """Join several turns of the head in one pass, which something that ran all the while held together."""
    heads = [one for one in turn if one.label == head]
    if len(heads) < 2:
        return list(turn)
    steps = tuple(step for one in heads for step in one.steps)
    passes = tuple(inner for one in heads for inner in one.passes)
    joined = Occurrence(head, heads[0].start_s, max(one.end_s for one in heads), steps, passes)
    return sorted([joined, *(one for one in turn if one.label != head)], key=lambda one: (one.start_s, one.end_s))


def _layers(turn: Sequence[Occurrence]) -> list[list[Occurrence]]:
    """Split a pass at the instants at which nothing of it is in flight."""
    layers: list[list[Occurrence]] = []
    end_s = float("-inf")
    for one in turn:
        if one.start_s >= end_s - SAME_S and not (layers and one.start_s - layers[-1][0].start_s <= SAME_S):
            layers.append([])
        layers[-1].append(one)
        end_s = max(end_s, one.end_s)
    return layers


def _passes(found: Sequence[Occurrence], head: Label | None = None, *, ends: bool = False) -> list[list[Occurrence]]:
    """Split a loop's turns into passes: each begins with the layer of `head` (or ends with it)."""
    if not found:
        return []
    passes: list[list[Occurrence]] = [[]]
    for layer in _layers(found):
        has_head = any(one.label == head for one in layer)
        if has_head and not ends and any(one.label == head for one in passes[-1]):
            passes.append([])
        passes[-1] += layer
        if has_head and ends:
            passes.append([])
    return [turn for turn in passes if turn]


# Order, branches


def _order(traces: Sequence[Sequence[Occurrence]]) -> dict[Label, set[Label]]:
    """Return for each node those that come after it."""
    both: Counter[tuple[Label, Label]] = Counter()
    before: Counter[tuple[Label, Label]] = Counter()
    for trace in traces:
        for i, a in enumerate(trace):
            for b in trace[i + 1 :]:
                pair = (a.label, b.label)
                both[pair] += 1
                # Equal starts are no order, unless the first takes no time: then it may well have caused the second.
                if a.end_s <= b.start_s + SAME_S and b.end_s > a.start_s + SAME_S:
                    before[pair] += 1
    graph: Any = nx.DiGraph()
    for (first, second), n in before.items():
        if n >= NEARLY_ALL * (both[first, second] + both[second, first]):
            graph.add_edge(first, second, n=n)
    while True:
        try:
            circle = nx.find_cycle(graph)
        except nx.NetworkXNoCycle:
            break
        graph.remove_edge(*min(circle, key=lambda edge: graph.edges[edge]["n"]))
    return {a: set(graph.successors(a)) for a in graph}


Edges = dict[Label, list[Label]]  # node -> those directly before it
Variants = list[tuple[Edges, int]]  # and in how many traces it was so


def _covering(present: Iterable[Label], order: Mapping[Label, set[Label]]) -> Edges:
    """Return the Hasse diagram of the order on these nodes: what each waits for."""
    graph: Any = nx.DiGraph()
    names = sorted(present)
    graph.add_nodes_from(names)
    graph.add_edges_from((a, b) for a in names for b in order.get(a, ()) if b in graph)
    reduced = nx.transitive_reduction(graph)
    return {b: sorted(reduced.predecessors(b)) for b in names}


def _variants(traces: Sequence[Sequence[Occurrence]], order: Mapping[Label, set[Label]]) -> Variants:
    """Return the Hasse diagram of each set of nodes that occurred together, and how often it did."""
    sets = Counter(frozenset(one.label for one in trace) for trace in traces)
    ordered = sorted(sets.items(), key=lambda item: (-item[1], sorted(item[0])))
    return [(_covering(present, order), n) for present, n in ordered]


def _with_choices(variants: Variants, traces: Sequence[Sequence[Occurrence]]) -> Variants:
    """Add a node that takes no time wherever no single agent call stands before a choice.

    That is at the start, and after a join, a tool, a fan-out or a loop: in the language agents branch, and tools do.
    """
    fan = {one.label for trace in traces for one in trace if len(one.steps) > 1}
    for number in range(50):  # each round settles one choice; more than so many are no graph any more
        sources = _undecided(variants, fan)
        if sources is None:
            break
        variants = [(_chosen(edges, sources, (CHOICE, "choose", str(number))), n) for edges, n in variants]
    return variants


def _undecided(variants: Variants, fan: set[Label]) -> tuple[Label, ...] | None:
    """Return the nodes after which a choice is made that none of them can make alone; () at the start."""
    if len({frozenset(b for b, before in edges.items() if not before) for edges, _ in variants}) > 1:
        return ()
    outcomes = _outcomes(variants)
    for edges, _ in variants:
        for target, before in sorted(edges.items()):
            if len(before) < 2 or any(all(target in found for found in outcomes[a]) for a in before):
                continue  # one of them always leads here: whether this node runs is decided
            if any(target not in other and all(a in other for a in before) for other, _ in variants):
                return tuple(before)
    for source in sorted(outcomes):
        if len(outcomes[source]) > 1 and (source[0] not in ("agent", CHOICE) or source in fan):
            return (source,)
    return None


def _chosen(edges: Edges, sources: Sequence[Label], choice: Label) -> Edges:
    """Put the choice between `sources` and all that waits for every one of them."""
    wanted = set(sources)
    if not wanted <= set(edges):
        return edges
    new = {
        b: [*sorted(set(before) - wanted), choice] if wanted <= set(before) and (wanted or not before) else before
        for b, before in edges.items()
    }
    return {**new, choice: list(sources)}


def _outcomes(variants: Variants) -> dict[Label, Counter[frozenset[Label]]]:
    """Return for each node what came directly after it, and in how many traces."""
    outcomes: dict[Label, Counter[frozenset[Label]]] = {}
    for edges, n in variants:
        after: dict[Label, set[Label]] = {label: set() for label in edges}
        for b, before in edges.items():
            for a in before:
                after[a].add(b)
        for a, targets in after.items():
            outcomes.setdefault(a, Counter())[frozenset(targets)] += n
    return outcomes


def _graph(
    traces: Sequence[Sequence[Occurrence]],
    variants: Variants,
    loops: Mapping[Label, tuple[LoopStats, tuple[MinedNode, ...], Label]],
) -> tuple[MinedNode, ...]:
    outcomes = _outcomes(variants)
    labels = {a: _named(by_targets) for a, by_targets in outcomes.items()}
    turns: dict[Label, list[Occurrence]] = {}
    for trace in traces:
        for one in trace:
            turns.setdefault(one.label, []).append(one)
    nodes: Any = nx.DiGraph()
    nodes.add_nodes_from([*turns, *(label for label in sorted(outcomes) if label not in turns)])
    place = {label: i for i, label in enumerate(nodes)}
    waits: dict[Label, set[tuple[Label, str | None]]] = {b: set() for b in nodes}
    for a, by_targets in labels.items():
        always = frozenset.intersection(*by_targets)
        for targets, name in by_targets.items():
            for b in targets:
                nodes.add_edge(a, b)
                waits[b].add((a, None if b in always else name))
    result: list[MinedNode] = []
    for label in nx.lexicographical_topological_sort(nodes, key=place.__getitem__):
        branch = {labels[label][targets]: n for targets, n in outcomes[label].items()} if len(labels[label]) > 1 else {}
        stats, body, decider = loops.get(label, (None, (), None))
        after = tuple(sorted(waits[label], key=lambda item: (place[item[0]], item[1] or "")))
        result.append(MinedNode(label, after, branch, tuple(turns.get(label, ())), stats, body, decider))
    return tuple(result)


def _named(outcomes: Mapping[frozenset[Label], int]) -> dict[frozenset[Label], str]:
    """Give each outcome of a node a name: what only it leads to."""
    always = frozenset.intersection(*outcomes)
    free = Names()
    names: dict[frozenset[Label], str] = {}
    for targets in sorted(outcomes, key=lambda targets: (-outcomes[targets], sorted(targets))):
        leads = (f"{label[1]}-loop" if label[0] == LOOP else label[1] for label in sorted(targets - always))
        names[targets] = free("-and-".join(leads)[:40] or "end", "way")
    return names
