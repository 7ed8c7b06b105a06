"""What the engine keeps in mind: of every node in this candidate, and of every job on its way."""

from __future__ import annotations

from harness.core.events import Call
from harness.core.flow import FlowShape, FlowWalk
from harness.core.graph import Node, Pipeline
from harness.core.orders import MOVING
from harness.core.paths import remaining_tokens
from harness.core.plan import Plan, Pool, lanes_of
from harness.core.records import Origin, Outcome, Path
from harness.core.routing import LaneState, SelectiveLane
from harness.core.walk import Shape, Walk

__all__ = ["FlowJob", "Job", "Place", "State", "has_pools", "lane_states", "places_of"]

Prefix = tuple[str, int, Origin, str, Path]  # what all records of a pipeline have in common


class Place:
    """One node of one pipeline in this candidate: everything that all its calls have in common, worked out once."""

    __slots__ = (
        "ahead",
        "backoff_s",
        "delay",
        "delay_s",
        "feeds",
        "index",
        "lane",
        "length",
        "names",
        "path",
        "pool",
        "priority",
        "retries",
        "state",
        "states",
        "timeout_s",
        "tool",
        "width",
    )

    def __init__(
        self,
        index: int,
        node: Node,
        at: int | Pool,
        lanes: tuple[State, ...],
        feeds: tuple[State, ...],
        shares: tuple[float, float],
        timeout_s: float | None,
        names: tuple[Prefix, str, tuple[str, str, str]],
    ) -> None:
        self.index = index
        self.tool = node.kind == "tool"
        self.delay = node.delay
        self.delay_s = node.delay_s
        self.width = node.width
        self.retries = node.retries
        self.backoff_s = node.backoff_s
        self.priority = node.priority
        self.path = names[0][4]
        self.length, self.ahead = shares  # of the longest call, and of the longest path: see `Asks`
        self.pool = at if isinstance(at, Pool) else None
        self.lane = lanes_of(at)[0]  # with a pool not yet that to which calls will go
        self.states = tuple(lanes[lane] for lane in lanes_of(at))
        self.state = lanes[self.lane]
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
        "served_s",
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
        self.served_s = 0.0  # how long its calls that have ended were in flight; kept only where lanes are selective
        self.outcome: Outcome = "ok"
        self.error: str | None = None


State = LaneState[Job, Place]


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


def lane_states(pipelines: tuple[Pipeline, ...], plan: Plan) -> tuple[State, ...]:
    """Return a fresh queue for every server: selective ones where any of them has to be, as calls may be in several."""
    shared = has_pools(plan)
    prioritised = [_prioritised(pipelines, plan, index) for index in range(len(plan.lanes))]
    if shared or any(lane.cap == "reserve" or lane.order in MOVING for lane in plan.lanes):
        return tuple(SelectiveLane(lane, has, shared) for lane, has in zip(plan.lanes, prioritised, strict=True))
    return tuple(LaneState(lane, has) for lane, has in zip(plan.lanes, prioritised, strict=True))


def has_pools(plan: Plan) -> bool:
    """Return whether any call may go to one of several servers."""
    return any(isinstance(at, Pool) for place in plan.place for at in place)


def places_of(
    pipelines: tuple[Pipeline, ...],
    plan: Plan,
    lanes: tuple[State, ...],
    prefixes: tuple[Prefix, ...],
    timeout_s: float | None,
) -> tuple[tuple[Place, ...], ...]:
    """Return what the engine has to know of every node of every pipeline."""
    all_shares = _shares(pipelines, plan)
    return tuple(
        tuple(
            Place(
                index,
                node,
                at,
                lanes,
                tuple(lanes[fed] for fed in feeds),
                shares,
                timeout_s if node.timeout_s is None else node.timeout_s,
                (prefix, node.name, (node.agent, node.model, plan.lanes[lanes_of(at)[0]].server)),
            )
            for index, (node, at, feeds, shares) in enumerate(
                zip(pipeline.graph.nodes, place, _feeds_of(pipeline, place, plan), of_nodes, strict=True)
            )
        )
        for pipeline, place, prefix, of_nodes in zip(pipelines, plan.place, prefixes, all_shares, strict=True)
    )


def _feeds_of(pipeline: Pipeline, place: tuple[int | Pool, ...], plan: Plan) -> list[tuple[int, ...]]:
    """Return for each node the lanes with waves on which a descendant of it is placed; a loop's body leads to itself.

    Only waves ask for it.
    """
    nodes = pipeline.graph.nodes
    leads: list[set[int]] = [set() for _ in nodes]
    for index in reversed(range(len(nodes))):  # topological order: successors are known first
        node = nodes[index]
        for after in node.successors:
            leads[index] |= leads[after] | _waves(nodes[after], place[after], plan)
        if node.max_iterations > 1:
            for inner in node.body:
                leads[index] |= _waves(nodes[inner], place[inner], plan)
    return [tuple(sorted(lanes)) for lanes in leads]


def _waves(node: Node, at: int | Pool, plan: Plan) -> set[int]:
    return {lane for lane in lanes_of(at) if plan.lanes[lane].cap == "waves"} if node.kind == "agent" else set()


def _prioritised(pipelines: tuple[Pipeline, ...], plan: Plan, lane: int) -> bool:
    """Return whether anything that is placed on this lane has a priority."""
    return any(
        node.priority and lane in lanes_of(at)
        for pipeline, place in zip(pipelines, plan.place, strict=True)
        for node, at in zip(pipeline.graph.nodes, place, strict=True)
    )


def _shares(pipelines: tuple[Pipeline, ...], plan: Plan) -> list[list[tuple[float, float]]]:
    """Return the length and the remaining path of every node as shares of the longest; 0 where no order asks."""
    nothing = [[0.0] * len(pipeline.graph.nodes) for pipeline in pipelines]
    orders = {lane.order for lane in plan.lanes}
    lengths = aheads = nothing
    if "shortest-first" in orders:
        tokens = [[node.expected_output_tokens for node in pipeline.graph.nodes] for pipeline in pipelines]
        most = max((length for of in tokens for length in of if length is not None), default=0) or 1
        lengths = [[1.0 if length is None else length / most for length in of] for of in tokens]
    if "critical-path-first" in orders:
        paths = [remaining_tokens(pipeline.graph) for pipeline in pipelines]
        longest = max((ahead for of in paths for ahead in of), default=0.0) or 1.0
        aheads = [[ahead / longest for ahead in of] for of in paths]
    return [list(zip(*of, strict=True)) for of in zip(lengths, aheads, strict=True)]
