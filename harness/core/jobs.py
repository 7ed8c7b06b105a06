"""What the engine keeps in mind: of every node in this candidate, and of every job on its way."""

from __future__ import annotations

from harness.core.events import Call
from harness.core.flow import FlowShape, FlowWalk
from harness.core.graph import Node, Pipeline
from harness.core.plan import Plan
from harness.core.records import Origin, Outcome, Path
from harness.core.routing import LaneState
from harness.core.walk import Shape, Walk

__all__ = ["FlowJob", "Job", "Place", "feeds_of"]


class Place:
    """One node of one pipeline in this candidate: everything that all its calls have in common, worked out once."""

    __slots__ = (
        "backoff_s",
        "delay",
        "delay_s",
        "feeds",
        "index",
        "lane",
        "names",
        "retries",
        "state",
        "timeout_s",
        "tool",
        "width",
    )

    def __init__(
        self,
        index: int,
        node: Node,
        lane: int,
        state: LaneState[Job],
        feeds: tuple[LaneState[Job], ...],
        timeout_s: float | None,
        names: tuple[tuple[str, int, Origin, str, Path], str, tuple[str, str, str]],
    ) -> None:
        self.index = index
        self.tool = node.kind == "tool"
        self.delay = node.delay
        self.delay_s = node.delay_s
        self.width = node.width
        self.retries = node.retries
        self.backoff_s = node.backoff_s
        self.lane = lane
        self.state = state  # of that lane
        self.feeds = feeds  # the lanes that wait for a descendant of it; waves only
        self.timeout_s = timeout_s
        self.names = names  # of a record: what comes before the job, the node, and what comes after the call


class Job(Walk):
    """One job on its way: its walk, and what its record needs."""

    __slots__ = (
        "arrived_s",
        "calls",
        "due_s",
        "error",
        "in_flight",
        "number",
        "outcome",
        "pipeline",
        "places",
        "session",
        "turn",
        "user",
    )

    flow: FlowWalk | None = None  # None: the job itself is its walk
    # What could turn out not to be needed, None where nothing can: calls that are queued or in flight, and by node the
    # timers of tools.
    open: dict[int, Call] | None = None
    delays: dict[int, int] | None = None

    def __init__(
        self,
        pipeline: int,
        admitted: tuple[int, float, int, int, int],
        arrived_s: float,
        shape: Shape | None,
        places: tuple[Place, ...],
    ) -> None:
        if shape is not None:
            Walk.__init__(self, shape)
        self.pipeline = pipeline
        self.places = places
        self.number, self.due_s, self.user, self.session, self.turn = admitted
        self.arrived_s = arrived_s
        self.in_flight = 0  # calls on a server that it waits for
        self.calls = 0  # attempts recorded, or sure to be
        self.outcome: Outcome = "ok"
        self.error: str | None = None


class FlowJob(Job):
    """A job whose graph does more than wait for all."""

    __slots__ = ("delays", "flow", "open")

    flow: FlowWalk
    open: dict[int, Call] | None
    delays: dict[int, int] | None

    def __init__(
        self,
        pipeline: int,
        admitted: tuple[int, float, int, int, int],
        arrived_s: float,
        shape: FlowShape,
        places: tuple[Place, ...],
    ) -> None:
        super().__init__(pipeline, admitted, arrived_s, None, places)
        self.flow = FlowWalk(shape, admitted[0])
        self.open = {} if shape.may_lose else None
        self.delays = {} if shape.may_lose else None


def feeds_of(pipeline: Pipeline, place: tuple[int, ...], plan: Plan) -> list[tuple[int, ...]]:
    """Return for each node the lanes with waves on which a descendant of it is placed; a loop's body leads to itself.

    Only waves ask for it.
    """
    nodes = pipeline.graph.nodes
    leads: list[set[int]] = [set() for _ in nodes]
    for index in reversed(range(len(nodes))):  # topological order: successors are known first
        node = nodes[index]
        for after in node.successors:
            leads[index] |= leads[after] | _lane(nodes[after], place[after], plan)
        if node.max_iterations > 1:
            for inner in node.body:
                leads[index] |= _lane(nodes[inner], place[inner], plan)
    return [tuple(sorted(lanes)) for lanes in leads]


def _lane(node: Node, lane: int, plan: Plan) -> set[int]:
    return {lane} if node.kind == "agent" and plan.lanes[lane].cap == "waves" else set()
