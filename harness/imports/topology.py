"""The nodes, edges and routers of a graph that was read, as a flow of the workload."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from harness.errors import UserError
from harness.imports.account import ImportLoss
from harness.imports.draft import END, DraftNote, Flow, Names, ask, note
from harness.imports.node_work import WorkDrafter
from harness.imports.reading.routes import START
from harness.imports.reading.work import CALLS, NOTHING, TOOLS, count_in, some
from harness.imports.structure import Vertex, structure

__all__ = ["count_graph", "flow_of"]

_PERSON: dict[str, Any] = {"work": {"do": "person"}, "stub": False, "retry": None, "timeout_s": None, "notes": []}
_PLAIN = {**_PERSON, "work": NOTHING}


def flow_of(read: Mapping[str, Any], target: str, drafter: WorkDrafter) -> Flow:
    """Return a graph's flow; UserError where none of its nodes can be reached."""
    return _Topology(read, target, drafter).flow()


class _Topology:
    """One graph on its way to a flow."""

    def __init__(self, read: Mapping[str, Any], target: str, drafter: WorkDrafter) -> None:
        self._read, self._target, self._drafter = read, target, drafter
        self._names = Names({"item", "input", "previous", "until", "prompt-text"})
        self._name = {START: START, END: END, **{key: self._names(key) for key in read["nodes"]}}
        self._sent = _sent(read)
        self._vertices: dict[str, Vertex] = {}
        self._notes: dict[str, list[DraftNote]] = {}

    def flow(self) -> Flow:
        entry, leaves = self._nodes()
        self._edges(leaves)
        for route in self._read["routes"]:
            self._route(route, leaves[self._name[route["from"]]])
        self._vertices = {name: self._through(vertex, entry) for name, vertex in self._vertices.items()}
        start = self._vertices.pop(START)
        if start.choice or len(start.always) == 0:
            start = start._replace(name=self._names("start"))
            said = note("takes no time: it stands for the choice of where to begin.")
            self._vertices = {start.name: start._replace(notes=(said, *start.notes)), **self._vertices}
            entries = [start.name] if start.choice else []
        else:
            entries = list(start.always)
        self._defer(entry)
        kept = self._kept(entries)
        for name, more in self._notes.items():
            if name in kept:
                kept[name] = kept[name]._replace(notes=(*kept[name].notes, *more))
        return structure(kept, [name for name in entries if name != END], self._drafter.graphs)

    def _nodes(self) -> tuple[dict[str, str], dict[str, str]]:
        """Make the vertices; return where each node is entered and what its ways leave from."""
        entry, leaves = {}, {START: START}
        framework = any(node["agent"] for node in self._read["nodes"].values())
        self._vertices[START] = Vertex(START, "tool")
        for key, node in self._read["nodes"].items():
            name = self._name[key]
            entry[name] = leaves[name] = name
            made = self._drafter.node(name, node, self._sent.get(key, 1))
            chats = made.kind == "agent" and (node["agent"] or (self._read["messages"] and not framework))
            vertex = Vertex(name, made.kind, made.target, keys=made.keys, body=made.body, notes=made.notes)
            vertex = vertex._replace(chats=chats, leads=chats and node["agent"])
            if "before" in node["person"]:
                waits = entry[name] = self._waits(f"{name}-approval", (name,))
                self._vertices[waits] = self._vertices[waits]
            self._vertices[name] = vertex._replace(delay_s=made.delay_s)
            if "after" in node["person"]:
                leaves[name] = self._waits(f"{name}-review", ())
                self._vertices[name] = self._vertices[name]._replace(always=(leaves[name],))
        return entry, leaves

    def _waits(self, text: str, always: tuple[str, ...]) -> str:
        name = self._names(text)
        made = self._drafter.node(name, _PERSON)
        self._vertices[name] = Vertex(name, "tool", always=always, delay_s=made.delay_s, notes=made.notes)
        return name

    def _through(self, vertex: Vertex, entry: Mapping[str, str]) -> Vertex:
        """Lead ways to the person who is asked before a node."""
        if vertex.name in entry.values() and vertex.name not in entry:
            return vertex
        return vertex._replace(
            always=tuple(dict.fromkeys(entry.get(to, to) for to in vertex.always)),
            choice={label: entry.get(to, to) for label, to in vertex.choice.items()},
        )

    def _edges(self, leaves: Mapping[str, str]) -> None:
        pairs = [(a, b) for a, b in self._read["edges"]]
        pairs += [(a, b) for many, b in self._read["joins"] for a in many]
        for a, b in pairs:
            self._always(leaves[self._name[a]], self._name[b])
        for name, said in self._uneven():
            self._notes.setdefault(name, []).append(said)

    def _always(self, name: str, *to: str) -> None:
        vertex = self._vertices[name]
        self._vertices[name] = vertex._replace(always=tuple(dict.fromkeys((*vertex.always, *to))))

    def _route(self, route: Mapping[str, Any], source: str) -> None:
        said: list[DraftNote] = []
        name = "START" if route["from"] == START else self._name[route["from"]]
        if route["unknown"]:
            those = ", ".join(map(repr, route["unknown"]))
            said.append(ask(f"{name} names {those}, which is no node of the graph. Which is meant?", "none"))
        if route["open"]:
            said.append(
                ask(
                    f"where does {name} lead? Its code does not tell, so it may be any node, as LangGraph has it.",
                    "any",
                )
            )
        if "work" in route:  # the router calls a model itself
            chooser = self._names(f"{name}-router".replace("START", "start"))
            made = self._drafter.node(chooser, {**_PLAIN, "work": route["work"]})
            self._vertices[chooser] = Vertex(
                chooser, made.kind, made.target, keys=made.keys, body=made.body, notes=made.notes, delay_s=made.delay_s
            )
            self._always(source, chooser)
            source = chooser
        ways = [(way["label"], [self._name[to] for to, *_ in way["to"]]) for way in route["ways"]]
        if len(ways) == 1:
            self._always(source, *ways[0][1])
        elif ways:
            if route["several"]:
                said.append(
                    ask(
                        f"which ways does {name} take at once? Its code gives a list.",
                        "any one of them, or all at once",
                    )
                )
            if self._vertices[source].choice:  # another router of the same node, which leads somewhere too
                chooser = self._names(f"{name}-also")
                also = note(f"takes no time: it stands for another choice of {name}.")
                self._vertices[chooser] = Vertex(chooser, "tool", notes=(also,))
                self._always(source, chooser)
                source = chooser
            choice: dict[str, str] = {}
            labels = Names()
            for label, to in ways:
                choice[labels(label.strip("_"), "to")] = to[0] if len(to) == 1 else self._together(to)
            self._vertices[source] = self._vertices[source]._replace(choice=choice)
        vertex = self._vertices[source]
        self._vertices[source] = vertex._replace(notes=(*vertex.notes, *said))

    def _together(self, to: list[str]) -> str:
        """Return a node that takes no time and leads to several at once."""
        name = self._names("-and-".join(to)[:40])
        said = note("takes no time: it leads to several nodes at once.")
        self._vertices[name] = Vertex(name, "tool", always=tuple(to), notes=(said,))
        return name

    def _defer(self, entry: Mapping[str, str]) -> None:
        """Let deferred nodes wait for whatever else is under way."""
        for key, node in self._read["nodes"].items():
            if not node["defer"]:
                continue
            name = entry[self._name[key]]
            behind = self._reached([name])
            before = {one for one in self._vertices if name in self._reached([one])}
            for other, vertex in list(self._vertices.items()):
                if other not in behind and other not in before and not any(to != END for to in vertex.targets):
                    self._always(other, name)

    def _reached(self, entries: list[str]) -> set[str]:
        reached: set[str] = set()
        now = [name for name in entries if name != END]
        while now:
            name = now.pop()
            if name not in reached:
                reached.add(name)
                now += self._vertices[name].targets
        return reached

    def _kept(self, entries: list[str]) -> dict[str, Vertex]:
        reached = self._reached(entries)
        if not reached:
            raise UserError(f"{self._target}: expected a graph with nodes, found none that can be reached")
        kept = {name: vertex for name, vertex in self._vertices.items() if name in reached}
        missing = {self._name[key]: node for key, node in self._read["nodes"].items() if self._name[key] not in reached}
        for name, node in missing.items():
            calls = _count_node(name, node, CALLS, self._drafter)
            why = f"nothing in the graph leads to {name}, so it is left out"
            tools = _count_node(name, node, TOOLS, self._drafter)
            self._drafter.losses.append(ImportLoss(why, calls=calls, tools=tools))
        if missing:
            last = next(reversed(kept))
            what = ask(f"nothing leads to {', '.join(missing)} in the graph. Where does it belong?", "left out")
            kept[last] = kept[last]._replace(notes=(*kept[last].notes, what))
        return kept

    def _uneven(self) -> Iterator[tuple[str, DraftNote]]:
        """Yield a question for each node that LangGraph runs once for every edge, and this language once for all."""
        waits = {(self._name[s], self._name[to]) for many, to in self._read["joins"] for s in many}
        edges: dict[str, list[str]] = {}
        for a, b in self._read["edges"]:
            edges.setdefault(self._name[a], []).append(self._name[b])
        depths: dict[str, int] = {}
        level, now = 0, [START]
        while now and level <= len(self._name):
            for name in now:
                depths.setdefault(name, level)
            now = [to for name in now for to in edges.get(name, ()) if to not in depths and to != END]
            level += 1
        for key, node in self._read["nodes"].items():
            name = self._name[key]
            sources = [s for s, to in edges.items() if name in to and (s, name) not in waits and s in depths]
            levels = {depths[s] for s in sources}
            if len(levels) > 1 and not node["defer"]:
                calls = _count_node(name, node, CALLS, self._drafter)
                beside = {depth + 1 for depth in sorted(levels)[:-1]} & {depths[s] for s in depths if s != name}
                why = f"LangGraph runs {name} {len(levels)} times in a job, the workload once; what follows it too"
                lost = ImportLoss(why, calls=(len(levels) - 1) * calls, width=int(calls) if beside else 0)
                self._drafter.run_again += lost.calls
                self._drafter.losses.append(lost)
                yield (
                    name,
                    ask(
                        f"LangGraph runs {name} again for each of {', '.join(sources)}, which end in different "
                        "supersteps. Is that meant?",
                        "it runs once, when all of them are done",
                    ),
                )


def count_graph(read: Mapping[str, Any], kinds: Collection[str], drafter: WorkDrafter) -> float:
    """Count the places of a graph that do one of `kinds`, each as often as it has items."""
    sent = _sent(read)
    total = 0.0
    for key, node in read["nodes"].items():
        found = _count_node(key, node, kinds, drafter)
        if found and sent.get(key, 1) != 1 and _count_node(key, node, CALLS, drafter):
            found *= drafter.width(key, {"count": sent[key], "in_turn": False})[0]
        total += found + (len(node["person"]) if "person" in kinds else 0)
    for route in read["routes"]:
        if "work" in route:
            total += _count_node(f"{route['from']}-router", {"work": route["work"], "stub": False}, kinds, drafter)
    return total


def _count_node(name: str, node: Mapping[str, Any], kinds: Collection[str], drafter: WorkDrafter) -> float:
    if node["stub"] and drafter.stubs_call and not some(node["work"]):
        return float("call" in kinds)
    return count_in(
        node["work"],
        kinds,
        lambda work: drafter.width(name, work)[0],
        lambda work: count_graph(work["graph"], kinds, drafter),
    )


def _sent(read: Mapping[str, Any]) -> dict[str, int | None]:
    """Return to how many items each node is sent: of several senders the most, None where nobody can say."""
    counts: dict[str, list[int | None]] = {}
    for route in read["routes"]:
        for way in route["ways"]:
            for name, sent, count in way["to"]:
                if sent:
                    counts.setdefault(name, []).append(count)
    return {name: None if None in all_ else max(n for n in all_ if n is not None) for name, all_ in counts.items()}
