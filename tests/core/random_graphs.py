"""Random pipelines with everything that the language has, as hypothesis strategies: for what must hold on any graph.

All times are multiples of 1/512 s, so that sums of floats are exact.
"""

from __future__ import annotations

from typing import Any

from core.graphs import graph, pool_of, queue_of
from hypothesis import strategies as st

from harness.core.arrival_processes import ArrivalProcess, Bursts, Closed, Every, GammaGaps, Listed, Poisson, Ramp
from harness.core.concurrency import CONCURRENCY
from harness.core.graph import Graph, Node, Pipeline, Session
from harness.core.placement import PLACEMENT
from harness.core.plan import Plan, Pool
from harness.core.records import Path
from harness.core.scheduling import SCHEDULING
from harness.core.sizes import Distribution, fixed

__all__ = ["TICK_S", "pipelines", "plans"]

TICK_S = 1 / 512

ENDS: list[dict[str, Any]] = [{"end_share": 0.0}, {"end_share": 0.4}, {"end_share": 0.7}]
ENDS += [{"passes": Distribution("uniform", (0, 3), True)}]
TURNS = Distribution("uniform", (1, 3), True)
LATE_S = tuple(ticks * TICK_S for ticks in (0, 16, 64))

Exits = list[tuple[int, int | None]]  # nodes to come after, each with the label that is needed


class _Builder:
    """Adds nodes in topological order, loops inlined."""

    def __init__(
        self, draw: st.DrawFn, most_nodes: int, delays: Distribution, backoff_s: float, timeout_s: float | None
    ) -> None:
        self.draw = draw
        self.timeout_s = timeout_s
        self.most_nodes = most_nodes
        self.delays = delays
        self.backoff_s = backoff_s
        self.nodes: list[Node] = []

    def block(self, entry: Exits, entry_need: int | None, depth: int) -> list[int]:
        """Add a sub-graph whose first nodes come after `entry`; return its sinks."""
        mine: list[int] = []
        for step in range(self.draw(st.integers(1, 4))):
            if len(self.nodes) >= self.most_nodes and step:
                break
            before = self.draw(st.sets(st.sampled_from(mine), max_size=3)) if mine else set()
            after = [(index, self._label(index)) for index in sorted(before)] or entry
            need = self._need(len(after)) if before else entry_need
            if depth < 2 and self.draw(st.integers(0, 5)) == 0:
                start = len(self.nodes)
                sinks = self.block(after, need, depth + 1)
                body = tuple(range(start, len(self.nodes)))
                mine.append(self._until(sinks, body))
            else:
                mine.append(self._node(after, need))
        inside = set(mine)
        return [
            index
            for index in mine
            if not any(index in n.predecessors for n in self.nodes if n.name in self._names(inside))
        ]

    def _names(self, indices: set[int]) -> set[str]:
        # A body's entries come after what its loop comes after.
        return {self.nodes[i].name for i in range(min(indices), len(self.nodes))}

    def _label(self, index: int) -> int | None:
        labels = len(self.nodes[index].labels)
        return self.draw(st.sampled_from([None, *range(labels)])) if labels else None

    def _need(self, most: int) -> int | None:
        return self.draw(st.sampled_from([None, None, *range(1, most + 1)])) if most > 1 else None

    def _add(self, kind: str, after: Exits, **rest: Any) -> int:
        index = len(self.nodes)
        takes = tuple(label for _, label in after)
        self.nodes.append(
            Node(
                f"n{index}",
                kind,  # type: ignore[arg-type]  # a Literal
                tuple(i for i, _ in after),
                (),
                takes=takes if any(label is not None for label in takes) else (),
                losers=self.draw(st.sampled_from(["cancel", "run"])),
                **rest,
            )
        )
        return index

    def _until(self, sinks: list[int], body: tuple[int, ...]) -> int:
        agents = [i for i in body if self.nodes[i].kind == "agent"]
        return self._add(
            "until",
            [(sink, None) for sink in sinks],
            body=body,
            **self.draw(st.sampled_from(ENDS)),
            max_iterations=self.draw(st.integers(1, 3)),
            decides=self.draw(st.sampled_from(agents)) if agents else None,
        )

    def _node(self, after: Exits, need: int | None) -> int:
        draw = self.draw
        if draw(st.integers(0, 5)) == 0:
            choice = draw(st.sampled_from([{}, {}, {"labels": ("x", "y"), "shares": (0.25, 0.75)}]))
            return self._add("tool", after, need=need, delay=self.delays, **choice)
        rest: dict[str, Any] = {
            "agent": "a",
            "need": need,
            "priority": draw(st.sampled_from([0, 0, 0, 1, -1])),
            "retries": draw(st.sampled_from([0, 2, 3])),
            "timeout_s": draw(st.sampled_from([None, None, self.timeout_s])),
            "backoff_s": draw(st.sampled_from([0.0, self.backoff_s])),
            "expected_output_tokens": draw(st.sampled_from([None, 8, 16, 64])),
        }
        kind = draw(st.sampled_from(["plain", "plain", "branch", "fan", "list"]))
        if kind == "branch":
            return self._add("agent", after, labels=("x", "y"), shares=(0.5, 0.5), **rest)
        lists = [i for i, _ in after if self.nodes[i].kind == "agent"]
        if kind == "list" and lists:
            items = Distribution("uniform", (0, 3), True)
            rest |= {"over": draw(st.sampled_from(lists)), "items": items, "width": 3}
        elif kind == "fan":
            rest["width"] = draw(st.integers(2, 4))
        if rest.get("width", 1) > 1:
            rest["enough"] = draw(st.sampled_from([None, 1, 2]))
        return self._add("agent", after, **rest)


@st.composite
def pipelines(
    draw: st.DrawFn, delays: Distribution, backoff_s: float, most_nodes: int = 12, apart: bool = False
) -> tuple[Pipeline, ...]:
    """One to three pipelines; tools take what `delays` says, the first retry of some nodes waits `backoff_s`.

    Any arrival, conversations, and pipelines that wait for the first one's end, or run beside it.

    `apart`: no graph has both lists and `need`. An empty list takes no time, and whether its node is done or dropped
    at the instant at which others are enough depends on the order of the nodes: not what `reference` knows. Nor has any
    node a time limit there: two calls would end at one instant.
    """
    made: list[Pipeline] = []
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        builder = _Builder(draw, most_nodes, delays, backoff_s, None if apart else 24 * TICK_S)
        builder.block([], None, 0)
        if apart and any(node.need is not None for node in builder.nodes):
            builder.nodes = [node._replace(over=None, items=None) for node in builder.nodes]
        path: Path = draw(st.sampled_from(["batch", "interactive"]))
        jobs = draw(st.integers(1, 3))
        due_s = tuple(sorted(draw(st.lists(st.integers(0, 4), min_size=jobs, max_size=jobs))))
        thinks = Distribution("empirical", LATE_S)
        listed = Listed(tuple(at * 64 * TICK_S for at in due_s))
        session = draw(st.sampled_from([None, None, Session(TURNS, thinks, draw(st.booleans()))]))
        first: dict[str, Any] = {"jobs": jobs}
        closed = Closed(2, fixed(32 * TICK_S))
        processes: tuple[ArrivalProcess, ...] = (
            *(listed, closed, Closed(2, thinks), Every(48 * TICK_S), Bursts(2, 64 * TICK_S)),
            *(Poisson(8.0), GammaGaps(8.0, 2.0), Ramp(2.0, 16.0, 1.0)),
        )
        arrival: ArrivalProcess = closed
        beside = made and not apart and draw(st.integers(0, 3)) == 0
        if beside:  # at a bounded load: what it runs beside must come to its end
            first = {"jobs": None, "until": 0}
        else:
            if made and draw(st.integers(0, 3)) == 0:
                first["after"] = 0
            arrival = draw(st.sampled_from(processes))
            if session is not None and arrival.starts is None:
                first["jobs"] = jobs + draw(st.integers(0, 3))
        made.append(Pipeline(name, path, graph(*builder.nodes), arrival, session=session, **first))
    if any(pipeline.until is not None for pipeline in made):  # or the one beside it could be overtaken for ever
        return tuple(p._replace(graph=Graph(tuple(n._replace(priority=0) for n in p.graph.nodes))) for p in made)
    return tuple(made)


@st.composite
def plans(draw: st.DrawFn, drawn: tuple[Pipeline, ...]) -> Plan:
    """One to three lanes with any cap and order, every node on any of them, or on several in any way."""
    queues = tuple(
        queue_of(
            f"s{i}",
            draw(st.integers(1, 3)),
            draw(st.sampled_from(sorted(CONCURRENCY))),
            draw(st.sampled_from(sorted(SCHEDULING))),
            max_wait_s=64 * TICK_S,
            ageing_s=128 * TICK_S,
            reserve=draw(st.integers(1, 2)),
        )
        for i in range(draw(st.integers(1, 3)))
    )
    numbers = st.integers(0, len(queues) - 1)
    where: st.SearchStrategy[int | Pool] = numbers
    if len(queues) > 1 and draw(st.booleans()):
        several = st.lists(numbers, min_size=2, max_size=len(queues), unique=True).map(tuple)
        pools = draw(st.lists(st.builds(pool_of, st.sampled_from(sorted(PLACEMENT)), several), min_size=1, max_size=2))
        where = numbers | st.sampled_from(pools)
    return Plan("random", queues, tuple(tuple(draw(where) for _ in p.graph.nodes) for p in drawn))
