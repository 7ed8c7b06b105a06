"""The walk of one job where a graph does more than wait for all: branches, loops, run-time fan-out, k of n.

The rules, in terms of one pass through the graph; all of one instant happens in graph order:

- A node is *resolved* when it is done, skipped or dropped. An edge is alive when its source is done and took the label
  that the edge needs; else it is dead.
- A node runs when all its predecessors are resolved and an edge is alive, or as soon as `need` edges are alive. With
  all edges dead it is skipped, and passes that on (dead-path elimination).
- It is done when all its items are, or `enough` of them; at once where its list is empty.
- What is unresolved when others were enough is dropped, unless something that still waits depends on it.
- An `until` node takes no time: it is done, or its body's nodes wait again and the body's entries run at once. An
  entry whose edges from outside were all dead stays skipped in every pass.
"""

from __future__ import annotations

from bisect import bisect_right
from heapq import heappop, heappush
from itertools import accumulate
from typing import Final, NamedTuple

from harness.core.draws import Uniform, prepared
from harness.core.events import BranchDecision
from harness.core.graph import Graph, Node, Pipeline
from harness.core.walk import Shape

__all__ = ["Advance", "FlowShape", "FlowWalk", "Lost", "Ready", "is_plain", "shape_of"]

_WAITING: Final = 0
_RUNNING: Final = 1
_DONE: Final = 2
_DEAD: Final = 3  # skipped or dropped
_new: Final = tuple.__new__
_ALL: Final = 1 << 62  # more predecessors, or items, than there ever are

Taken = tuple[int, int | None]  # the other end of an edge, and the label that it needs (None: any)


class Ready(NamedTuple):
    """A node that may go now."""

    node: int
    iteration: int  # how often it ran before in this job
    width: int  # calls to make
    passes: tuple[int, ...]  # that have ended in this job, of each loop around the node, the outermost first


class Lost(NamedTuple):
    """A node of which nothing that is still under way is needed any more."""

    node: int
    run: bool  # what is in flight is let run; else it is cancelled


class Advance(NamedTuple):
    """What follows from one event: give up `lost`, then start `ready`; both in graph order."""

    lost: list[Lost]
    ready: list[Ready]


def is_plain(graph: Graph) -> bool:
    """Whether every node waits for all its predecessors and makes all its calls: `harness.core.walk` is enough."""
    return not any(
        node.kind == "until"
        or node.need is not None
        or node.enough is not None
        or node.over is not None
        or any(label is not None for label in node.takes)
        for node in graph.nodes
    )


class FlowShape:
    """What all walks through one graph have in common.

    Args:
        graph: the graph; a node of a loop's body has its predecessors all in the body, or all outside.
        seed, repeat, pipeline: of the draws: (seed, repeat, pipeline, job, node, 0, iteration, purpose).
    """

    def __init__(self, graph: Graph, seed: int, repeat: int, pipeline: str) -> None:
        nodes = graph.nodes
        self.nodes = nodes
        self.key = (seed, repeat, pipeline)
        self.predecessors = [len(node.predecessors) for node in nodes]
        self.sources = [index for index, node in enumerate(nodes) if not node.predecessors]
        self.widths = [None if node.kind == "until" or node.over is not None else node.width for node in nodes]
        self.need = [_ALL if node.need is None else node.need for node in nodes]
        self.enough = [_ALL if node.enough is None else node.enough for node in nodes]
        self.edges = _edges(nodes)
        self.ancestors = [_ancestors(graph, i) if node.need is not None else () for i, node in enumerate(nodes)]
        self.may_lose = any(node.need is not None or node.enough is not None for node in nodes)
        self.shares: list[tuple[float, ...]] = [tuple(accumulate(node.shares)) for node in nodes]
        self.draws: list[Uniform | None] = [_draws(node, seed, repeat, pipeline) for node in nodes]
        # until: its body with how many predecessors each has in there, and where a pass begins
        self.bodies = [_body(nodes, node) for node in nodes]
        self.around = _around(nodes)
        self.entries = [tuple(i for i, inside in body if not inside) for body in self.bodies]


class FlowWalk:
    """Where one job stands; `begin` it, then tell it of every item that is done."""

    __slots__ = (
        "_alive",
        "_items_left",
        "_job",
        "_lost",
        "_passes",
        "_ready",
        "_resolved",
        "_runs",
        "_said",
        "_shape",
        "_state",
        "_waiting",
        "_width",
        "nodes_left",
    )

    def __init__(self, shape: FlowShape, job: int) -> None:
        self._shape = shape
        self._job = job
        count = len(shape.nodes)
        self._state = [_WAITING] * count
        self._waiting = shape.predecessors[:]  # predecessors that are not resolved
        self._alive = [0] * count  # edges that are alive
        self._items_left = [0] * count
        self._width = [0] * count
        self._runs = [0] * count  # in this job
        self._passes = [0] * count  # until: since its loop was entered
        self._said: dict[int, BranchDecision] = {}  # by node: in its last run
        self._resolved: list[int] = []  # a heap of nodes whose edges have not been followed yet
        self._ready: list[int] = []
        self._lost: list[Lost] = []
        self.nodes_left = count  # not resolved

    def begin(self) -> Advance:
        """Start the nodes that wait for nothing."""
        for node in self._shape.sources:
            self._run(node)
        while self._resolved:
            self._follow(heappop(self._resolved))
        return self._step()

    def item_done(self, node: int, decision: BranchDecision | None = None) -> Advance | None:
        """Note that one item of `node` is done; return what follows, if anything."""
        if decision is not None:
            self._said[node] = decision
        self._items_left[node] -= 1
        if self._items_left[node]:
            return None
        shape = self._shape
        if self._width[node] > shape.enough[node]:
            self._lost.append(Lost(node, shape.nodes[node].losers == "run"))
        self._state[node] = _DONE
        self.nodes_left -= 1
        self._follow(node)
        while self._resolved:  # in graph order
            self._follow(heappop(self._resolved))
        return self._step()

    def is_running(self, node: int, iteration: int) -> bool:
        """Whether this run of the node is under way: not done and not dropped."""
        return self._state[node] == _RUNNING and self._runs[node] == iteration + 1

    def is_done(self, node: int) -> bool:
        """Whether the node is done, and no loop around it runs it again."""
        return self._state[node] == _DONE

    def _follow(self, node: int) -> None:
        """Follow the edges of a node that is resolved."""
        shape, state, waiting, alive = self._shape, self._state, self._waiting, self._alive
        done = state[node] == _DONE
        label = self._branch(node) if done and shape.shares[node] else None
        for after, takes in shape.edges[node]:
            if state[after]:  # it waits no more: others were enough, or it is dropped
                continue
            waiting[after] -= 1
            if done and (takes is None or takes == label):
                alive[after] += 1
                if not waiting[after]:
                    self._run(after)
                elif alive[after] == shape.need[after]:
                    self._run(after)
                    self._drop_losers(after)
            elif not waiting[after]:
                if alive[after]:
                    self._run(after)
                else:
                    self._resolve(after, _DEAD)

    def _step(self) -> Advance:
        nodes, runs, lost = self._ready, self._runs, self._lost
        if len(nodes) > 1:
            nodes.sort()
        ready = []
        for node in nodes:
            around = self._shape.around[node]
            passes = tuple([runs[until] for until in around]) if around else ()
            ready.append(_new(Ready, (node, runs[node], self._width[node], passes)))
            runs[node] += 1
        nodes.clear()
        if lost:
            self._lost = []
            lost.sort()
        return _new(Advance, (lost, ready))

    def _resolve(self, node: int, state: int) -> None:
        self._state[node] = state
        self.nodes_left -= 1
        heappush(self._resolved, node)

    def _run(self, index: int) -> None:
        """Let a node go. Its number of runs goes up when it is handed out: it may still be dropped at this instant."""
        shape = self._shape
        width = shape.widths[index]
        if width is None:
            node = shape.nodes[index]
            if node.kind == "until":
                self._end_pass(index, node)
                return
            width = self._items(index, node)
            if not width:
                self._runs[index] += 1
                self._resolve(index, _DONE)
                return
        self._state[index] = _RUNNING
        self._width[index] = width
        enough = shape.enough[index]
        self._items_left[index] = width if width < enough else enough
        self._ready.append(index)

    def _end_pass(self, index: int, node: Node) -> None:
        iteration = self._runs[index]
        self._runs[index] += 1
        self._passes[index] += 1
        if self._passes[index] >= self._most(index, node) or self._stops(index, node, iteration):
            self._resolve(index, _DONE)
            return
        shape, state = self._shape, self._state
        body = shape.bodies[index]
        for inner, inside in body:
            state[inner] = _WAITING
            self._waiting[inner] = inside
            self._passes[inner] = 0
            self._said.pop(inner, None)
            if inside:
                self._alive[inner] = 0
        self.nodes_left += len(body)
        self._waiting[index] = shape.predecessors[index]
        self._alive[index] = 0
        for entry in shape.entries[index]:
            if self._alive[entry] or not shape.predecessors[entry]:
                self._run(entry)
            else:
                self._resolve(entry, _DEAD)

    def _drop_losers(self, winner: int) -> None:
        """Drop what is before `winner` and nothing waits for any more."""
        shape, state = self._shape, self._state
        run = shape.nodes[winner].losers == "run"
        for node in shape.ancestors[winner]:  # last first: what waits for a node has been looked at before it
            if state[node] > _RUNNING or any(state[after] == _WAITING for after, _ in shape.edges[node]):
                continue
            if state[node] == _RUNNING:
                if node in self._ready:
                    self._ready.remove(node)
                else:
                    self._lost.append(Lost(node, run))
            state[node] = _DEAD
            self.nodes_left -= 1

    # --- what is decided: by the model where it said so, else drawn ---

    def _branch(self, node: int) -> int:
        decision = self._said.get(node) if self._said else None
        if decision is not None and decision.branch is not None:
            return decision.branch
        draw, shares = self._shape.draws[node], self._shape.shares[node]
        assert draw is not None
        drawn = draw(self._job, self._runs[node] - 1)
        return min(bisect_right(shares, drawn), len(shares) - 1)

    def _most(self, index: int, node: Node) -> int:
        if node.passes is None:
            return node.max_iterations
        entered = self._runs[index] - self._passes[index]  # how many passes the job had made of it by then
        seed, repeat, pipeline = self._shape.key
        drawn = round(node.passes.draw(seed, repeat, pipeline, self._job, node.name, 0, entered, "passes"))
        return min(max(1, drawn), node.max_iterations)

    def _stops(self, index: int, node: Node, iteration: int) -> bool:
        decision = self._said.get(node.decides) if self._said and node.decides is not None else None
        if decision is not None and decision.stop is not None:
            return decision.stop
        draw = self._shape.draws[index]
        assert draw is not None
        return draw(self._job, iteration) < node.end_share

    def _items(self, index: int, node: Node) -> int:
        assert node.over is not None
        if self._state[node.over] != _DONE:
            return 0  # who was to write the list was skipped
        decision = self._said.get(node.over) if self._said else None
        if decision is not None and decision.items is not None:
            return decision.items
        if node.items is None:
            return node.width
        seed, repeat, pipeline = self._shape.key
        drawn = int(node.items.draw(seed, repeat, pipeline, self._job, node.name, 0, self._runs[index], "items"))
        return min(drawn, node.width)


def _edges(nodes: tuple[Node, ...]) -> list[list[Taken]]:
    """Return the edges that leave each node: several to one that needs one of several labels."""
    edges: list[list[Taken]] = [[] for _ in nodes]
    for after, node in enumerate(nodes):
        for before, label in zip(node.predecessors, node.takes or (None,) * len(node.predecessors), strict=True):
            edges[before].append((after, label))
    return edges


def _draws(node: Node, seed: int, repeat: int, pipeline: str) -> Uniform | None:
    purpose = "until" if node.kind == "until" else "branch" if node.shares else None
    return None if purpose is None else prepared(seed, (repeat, pipeline), (node.name, 0), purpose)


def _ancestors(graph: Graph, index: int) -> tuple[int, ...]:
    """All nodes before one, last first."""
    found: set[int] = set()
    todo = [index]
    while todo:
        new = set(graph.nodes[todo.pop()].predecessors) - found
        found |= new
        todo += new
    return tuple(sorted(found, reverse=True))


def _around(nodes: tuple[Node, ...]) -> list[tuple[int, ...]]:
    """Return the ends of the loops around each node, the outermost first."""
    found: list[list[int]] = [[] for _ in nodes]
    for until, node in enumerate(nodes):
        for inner in node.body:
            found[inner].append(until)
    return [tuple(sorted(untils, key=lambda until: -len(nodes[until].body))) for untils in found]


def _body(nodes: tuple[Node, ...], until: Node) -> tuple[tuple[int, int], ...]:
    body = frozenset(until.body)
    return tuple((index, _inside(nodes[index], until, body)) for index in until.body)


def _inside(node: Node, until: Node, body: frozenset[int]) -> int:
    inside = sum(before in body for before in node.predecessors)
    if inside not in (0, len(node.predecessors)):
        raise ValueError(f"node {node.name!r} has predecessors both in the body of {until.name!r} and outside of it")
    return inside


def shape_of(pipeline: Pipeline, seed: int, repeat: int) -> Shape | FlowShape:
    """Return what all walks of a pipeline's jobs have in common: the cheap one where its graph is plain."""
    if is_plain(pipeline.graph):
        return Shape(pipeline.graph)
    return FlowShape(pipeline.graph, seed, repeat, pipeline.drawn_by)
