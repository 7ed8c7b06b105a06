"""A graph whose edges may go back, as the workload language has it: branches, joins, bounded loops.

LangGraph's edges form any directed graph. The language has no edge back: what runs again is a sub-pipeline that is
repeated. Each strongly connected component becomes one loop:

- every way back and every way out leave the same node: its body is the component, repeated until that node ends it;
- the only way out is at the entry (an agent that calls tools until it is done): the entry once, then, where it goes
  on, a loop whose body is the rest with the entry as its last node. Both are exact. Where the state adds up messages
  and the rest are tools, it is one loop of all, whose prompts may grow;
- anything else: the component without its ways back, and a question, because which way an iteration takes and
  whether it is the last are then drawn apart from each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import networkx as nx

from harness.imports.draft import END, DraftNote, DraftStep, Flow, Names, ask, note

__all__ = ["DEFAULT_MAX", "Vertex", "structure"]

GUESSED_PASSES, GUESSED_NEW_TOKENS = (2, 5), 200  # of an agent with tools
DEFAULT_MAX = 5  # passes of a loop, until a person says otherwise


class Vertex(NamedTuple):
    """A node of the graph that is read: where it always goes on to, and what it chooses between."""

    name: str
    kind: Literal["agent", "tool", "graph"]
    target: str = ""  # the agent, or the sub-pipeline
    always: tuple[str, ...] = ()
    choice: Mapping[str, str] = {}  # label -> target, END being one
    delay_s: Any = 0
    keys: Mapping[str, Any] = {}
    body: Flow = ()
    notes: tuple[DraftNote, ...] = ()
    chats: bool = False  # an agent that may be sent all messages before
    leads: bool = False  # it is, and all else in its circle are its tools or stand around it
    again: bool = False  # the same node as another one
    shares: Mapping[str, float] = {}  # of labels, where they follow from something; else equal, and a question

    @property
    def targets(self) -> list[str]:
        """Every target once, in order, without END."""
        return [name for name in dict.fromkeys((*self.always, *self.choice.values())) if name != END]


Vertices = dict[str, Vertex]


def structure(vertices: Mapping[str, Vertex], entries: Iterable[str], graphs: Names) -> Flow:
    """Return the graph as a flow; `entries` are where it starts, `graphs` names the sub-pipelines."""
    left = dict(vertices)
    entries = list(entries)
    while loop := _first_loop(left):
        left, entries = _fold(left, loop, entries, graphs)
    left = _chosen_apart(left)
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(left)
    graph.add_edges_from((name, target) for name, vertex in left.items() for target in vertex.targets)
    place = {name: i for i, name in enumerate(left)}
    after: dict[str, list[str]] = {name: [] for name in left}
    steps = []
    for name in nx.lexicographical_topological_sort(graph, key=place.__getitem__):
        vertex = left[name]
        keys = dict(vertex.keys)
        labels = _labels(vertex)
        for target in dict.fromkeys(vertex.always):
            if target != END:
                after[target].append(name)
        told = bool(vertex.shares) and set(vertex.shares) == set(labels)
        if len(labels) > 1:
            keys["branch"] = {label: vertex.shares[label] if told else share for label, (share, _) in labels.items()}
        for label, (_, target) in labels.items():
            if target != END and target not in vertex.always:
                after[target].append(f"{name}.{label}" if len(labels) > 1 else name)
        notes = vertex.notes
        if len(labels) > 1 and not told:
            notes = (*notes, ask(f"how often does {name} go each way? The graph does not say.", "equal shares"))
        step = DraftStep(name, vertex.kind, tuple(after[name]), vertex.target, vertex.delay_s, keys, vertex.body, notes)
        steps.append(step._replace(again=vertex.again))
    return tuple(steps)


def _chosen_apart(vertices: Vertices) -> Vertices:
    """Put a node that takes no time behind each that chooses and may not: a sub-pipeline, a fan-out, a loop."""
    new: Vertices = {}
    for name, vertex in vertices.items():
        new[name] = vertex
        if len(_labels(vertex)) > 1 and (vertex.kind == "graph" or {"over", "repeat"} & set(vertex.keys)):
            chooser = _free(f"after-{name}", {**vertices, **new})
            said = note(f"takes no time: it stands for the choice after {name}.")
            new[chooser] = Vertex(chooser, "tool", choice=vertex.choice, notes=(said,), shares=vertex.shares)
            new[name] = vertex._replace(choice={}, always=(*vertex.always, chooser))
    return new


def _first_loop(vertices: Vertices) -> list[str]:
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(vertices)
    graph.add_edges_from((name, target) for name, vertex in vertices.items() for target in vertex.targets)
    for name in vertices:  # in order, so that equal graphs give equal files
        if graph.has_edge(name, name):
            return (
                [name] if len(_component(graph, name)) == 1 else [v for v in vertices if v in _component(graph, name)]
            )
        component = _component(graph, name)
        if len(component) > 1:
            return [v for v in vertices if v in component]
    return []


def _component(graph: Any, name: str) -> set[str]:
    return {*(nx.descendants(graph, name) & nx.ancestors(graph, name)), name}


def _labels(vertex: Vertex) -> dict[str, tuple[float, str]]:
    """Return label -> (share, target): labels with the same target are one."""
    by_target: dict[str, list[str]] = {}
    for label, target in vertex.choice.items():
        by_target.setdefault(target, []).append(label)
    result: dict[str, tuple[float, str]] = {}
    left = 1.0
    for i, (target, labels) in enumerate(by_target.items()):
        share = round(len(labels) / len(vertex.choice), 4)
        if i == len(by_target) - 1:
            share = round(left, 4)
        left -= share
        result["-or-".join(labels)[:60]] = (share, target)
    return result


def _fold(vertices: Vertices, loop: list[str], entries: list[str], graphs: Names) -> tuple[Vertices, list[str]]:
    """Put one vertex in the place of a component; return the vertices and the entries."""
    inside = set(loop)
    heads = [
        name
        for name in loop
        if name in entries or any(name in vertex.targets for v, vertex in vertices.items() if v not in inside)
    ]
    head = heads[0] if heads else loop[0]
    back = [(name, label) for name in loop for label, to in vertices[name].choice.items() if to == head]
    out = [(name, label) for name in loop for label, to in vertices[name].choice.items() if to not in inside]
    always_back = [name for name in loop if head in vertices[name].always]
    always_out = [name for name in loop if any(to not in inside for to in vertices[name].always)]
    notes: list[DraftNote] = []
    if len(heads) > 1:
        notes.append(ask(f"the circle {', '.join(loop)} is entered at {', '.join(heads)}; here always at {head}."))

    agent = _grows(vertices, loop, head)
    if agent and len(heads) <= 1 and len(loop) > 1:
        return _growing(vertices, loop, head, agent, entries, graphs)
    deciders = {name for name, _ in (*back, *out)}
    head_to = [to for to in (*vertices[head].always, *vertices[head].choice.values()) if to in inside]
    if len(heads) <= 1 and out and not always_back and not always_out and len(deciders) == 1:
        decider = next(iter(deciders))
        if {to for to in vertices[decider].choice.values() if to in inside} == {head} and not any(
            to in inside for to in vertices[decider].always
        ):
            return _until(vertices, loop, head, decider, entries, graphs, len(out) / (len(out) + len(back)))
    exits_at_head = out and not always_out and {name for name, _ in out} == {head}
    if len(heads) <= 1 and exits_at_head and head_to and head not in head_to and not vertices[head].always:
        return _rotated(vertices, loop, head, head_to, entries, graphs)
    return _approximate(
        vertices, loop, head, entries, graphs, notes, always_out, len(out), len(back) + len(always_back)
    )


def _repeat(share: float, decider: str = "", body: Flow = ()) -> dict[str, Any]:
    """Return `repeat`. A decider that makes one call in the body is named, because its answer can be looked at."""
    share = round(share, 4)
    plain = (step for step in body if step.kind == "agent" and not {"over", "repeat"} & set(step.keys))
    if not any(step.name == decider for step in plain):
        return {"repeat": {"max": DEFAULT_MAX, "until": share}}
    return {"repeat": {"max": DEFAULT_MAX, "until": {"p": share, "node": decider}}}


def _how_often(name: str, share: float) -> DraftNote:
    return ask(
        f"how many passes does the loop {name} make at most, and how often is one the last? The graph does not say.",
        f"at most {DEFAULT_MAX}, and a share of {share:.4g}",
    )


def _until(
    vertices: Vertices, loop: list[str], head: str, decider: str, entries: list[str], graphs: Names, share: float
) -> tuple[Vertices, list[str]]:
    """Repeat the component until its one decider ends it."""
    ways_out = [to for to in vertices[decider].choice.values() if to not in loop]
    if len(loop) == 1 and vertices[head].kind == "agent" and not vertices[head].keys:
        only = vertices[head]
        folded = only._replace(
            choice={},
            keys={**only.keys, **_repeat(share)},
            notes=(*only.notes, _how_often(head, share)),
        )
        return _placed(vertices, loop, folded, ways_out, only.always, entries)
    body = {name: vertices[name] for name in loop}
    body[decider] = body[decider]._replace(choice={})
    name = _free(f"{head}-loop", vertices)
    sub = graphs(name)
    flow = structure(body, [head], graphs)
    folded = Vertex(name, "graph", sub, keys=_repeat(share, decider, flow), body=flow, notes=(_how_often(name, share),))
    return _placed(vertices, loop, folded, ways_out, (), entries)


def _grows(vertices: Vertices, loop: list[str], head: str) -> str:
    """Return the one agent of a circle that may be sent all messages, where all else in it are tools; else nothing."""
    agents = [name for name in loop if vertices[name].leads] or [n for n in loop if vertices[n].kind != "tool"]
    if len(agents) != 1 or not vertices[agents[0]].chats or vertices[agents[0]].kind != "agent":
        return ""
    return agents[0]


def _growing(
    vertices: Vertices, loop: list[str], head: str, agent: str, entries: list[str], graphs: Names
) -> tuple[Vertices, list[str]]:
    """Repeat an agent and its tools as one conversation: all of its calls are in the loop, and its prompts grow."""
    low, high = GUESSED_PASSES
    asked = ask(
        f"how many tokens come in between two calls of {agent} (what it asked for, the results of its tools)? Where it "
        "does not send all messages before with every call, leave out `grows`.",
        f"{GUESSED_NEW_TOKENS} tokens",
    )
    goes_on = round(1 - 2 / (low + high), 4)  # in all passes but the last one of each
    ways_out: list[str] = []
    body: Vertices = {}
    for name in loop:
        vertex = vertices[name]
        ways_out += [to for to in (*vertex.always, *vertex.choice.values()) if to not in loop]
        choice = {label: to if to in loop and to != head else END for label, to in vertex.choice.items()}
        shares: dict[str, float] = {}
        if set(choice.values()) == {END}:
            choice = {}
        elif END in choice.values() and any(to not in loop for to in vertex.choice.values()):
            merged = _labels(vertex._replace(choice=choice))
            on = round(goes_on / (len(merged) - 1), 4)
            shares = {label: on for label, (_, to) in merged.items() if to != END}
            shares |= {label: round(1 - sum(shares.values()), 4) for label, (_, to) in merged.items() if to == END}
        stays = tuple(to for to in vertex.always if to in loop and to != head)
        body[name] = vertex._replace(choice=choice, always=stays, shares=shares)
    body[agent] = body[agent]._replace(
        chats=False,
        leads=False,
        keys={**body[agent].keys, "grows": {"by": GUESSED_NEW_TOKENS}},
        notes=(*body[agent].notes, asked),
    )
    often = ask(f"how many calls does {agent} make until it is done? The graph does not say.", f"{low} to {high} calls")
    name = _free(f"{agent}-loop", vertices)
    folded = Vertex(
        name, "graph", graphs(name), keys={"repeat": {"passes": list(GUESSED_PASSES)}},
        body=structure(body, [head], graphs),
        notes=(often,),
    )  # fmt: skip
    return _placed(vertices, loop, folded, list(dict.fromkeys(ways_out)), (), entries)


def _rotated(
    vertices: Vertices, loop: list[str], head: str, head_to: list[str], entries: list[str], graphs: Names
) -> tuple[Vertices, list[str]]:
    """Run the head once, then, where it goes on, a loop of the rest with the head as its end."""
    before = vertices[head]
    first = head_to[0]
    ways_out = [to for to in before.choice.values() if to not in loop]
    share = len(ways_out) / len(before.choice)
    body = {name: vertices[name] for name in loop if name != head}
    inside = {label: to for label, to in before.choice.items() if to in loop}
    if len(set(inside.values())) > 1:  # it has chosen where to go on; here that stands before the rest
        first = _free(f"{head}-next", vertices)
        body = {
            first: Vertex(first, "tool", choice=inside, notes=(note(f"takes no time: {head} has chosen."),)),
            **body,
        }
    body[head] = before._replace(choice={}, always=(), notes=(), again=True)
    name = _free(f"{head}-loop", vertices)
    sub = graphs(name)
    flow = structure(body, [first], graphs)
    folded = Vertex(
        name,
        "graph",
        sub,
        keys=_repeat(share, head, flow),
        body=flow,
        notes=(
            note(f"{head} has run once before this; it ends every pass and decides whether there is another."),
            _how_often(name, share),
        ),
    )
    choice = {label: name if to in loop else to for label, to in before.choice.items()}
    new, entries = _placed(vertices, [v for v in loop if v != head], folded, ways_out, (), entries)
    new[head] = before._replace(choice=choice)
    return {v: new[v] for v in _in_order(vertices, new, head)}, entries


def _approximate(
    vertices: Vertices,
    loop: list[str],
    head: str,
    entries: list[str],
    graphs: Names,
    notes: list[DraftNote],
    always_out: list[str],
    outs: int,
    backs: int,
) -> tuple[Vertices, list[str]]:
    share = outs / (outs + backs) if outs else 0.5
    body: Vertices = {}
    ways_out: list[str] = []
    outside = [name for name in loop if any(to not in loop for to in vertices[name].choice.values())]
    for name in loop:
        vertex = vertices[name]
        ways_out += [to for to in (*vertex.always, *vertex.choice.values()) if to not in loop]
        choice = {label: to if to in loop and to != head else END for label, to in vertex.choice.items()}
        if set(choice.values()) == {END}:
            choice = {}
        stays = tuple(to for to in vertex.always if to in loop and to != head)
        body[name] = vertex._replace(choice=choice, always=stays)
    name = _free(f"{head}-loop", vertices)
    sub = graphs(name)
    if not outs and not always_out:
        notes.append(
            ask(f"nothing in the graph leads out of the circle {', '.join(loop)}: what ends it?", "a pass, at random")
        )
    else:
        notes.append(
            ask(
                f"the circle {', '.join(loop)} is left or closed at several nodes: is one pass of this loop, and "
                "then whether it was the last, near enough to what it does?"
            )
        )
    if always_out:
        notes.append(ask(f"{', '.join(always_out)} also goes on out of the circle in every pass; here once, after it."))
    flow = structure(body, [head], graphs)
    folded = Vertex(
        name,
        "graph",
        sub,
        keys=_repeat(share, outside[0] if outside else "", flow),
        body=flow,
        notes=(*notes, _how_often(name, share)),
    )
    return _placed(vertices, loop, folded, ways_out, (), entries)


def _placed(
    vertices: Vertices,
    loop: list[str],
    folded: Vertex,
    ways_out: list[str],
    always: tuple[str, ...],
    entries: list[str],
) -> tuple[Vertices, list[str]]:
    """Put `folded` where the first of `loop` stands, with its ways out; others point to it now."""
    targets = list(dict.fromkeys(ways_out))
    extra: Vertices = {}
    if len(targets) > 1:
        chooser = _free(f"after-{folded.name}", vertices)
        counts = {to if to != END else "end": to for to in targets}
        extra[chooser] = Vertex(
            chooser, "tool", choice=counts, notes=(note("takes no time: it stands for the way out of the loop."),)
        )
        folded = folded._replace(always=(*always, chooser))
    else:
        folded = folded._replace(always=(*always, *(to for to in targets if to != END)))
    new: Vertices = {}
    for name, vertex in vertices.items():
        if name in loop:
            if folded.name not in new:
                new[folded.name] = folded
                new |= extra
            continue
        new[name] = vertex._replace(
            always=tuple(dict.fromkeys(folded.name if to in loop else to for to in vertex.always)),
            choice={label: folded.name if to in loop else to for label, to in vertex.choice.items()},
        )
    return new, list(dict.fromkeys(folded.name if name in loop else name for name in entries))


def _in_order(old: Vertices, new: Vertices, head: str) -> list[str]:
    names = [name for name in new if name != head]
    at = next((i for i, name in enumerate(names) if name not in old), len(names))
    return [*names[:at], head, *names[at:]]


def _free(name: str, vertices: Mapping[str, Vertex]) -> str:
    while name in vertices:
        name += "-again"
    return name
