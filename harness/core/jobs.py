"""What the engine keeps in mind: of every node in this candidate, and of every job on its way."""

from __future__ import annotations

from typing import Final

from harness.core.arrivals import Arrivals
from harness.core.events import Action, At, Call
from harness.core.flow import Advance, FlowShape, FlowWalk
from harness.core.graph import Node, Pipeline
from harness.core.paths import remaining_tokens
from harness.core.plan import Plan, Pool, ServerQueue, queues_of
from harness.core.policy import seen_as
from harness.core.records import CallRecord, DelayRecord, JobRecord, Origin, Outcome, Path, Reply
from harness.core.routing import QueueState, SelectiveQueue
from harness.core.scheduling import JobView, NodeView
from harness.core.walk import Shape, Walk

__all__ = ["CallSite", "FlowJob", "Job", "State", "has_pools", "queue_states", "sites_of"]

_new: Final = tuple.__new__  # without NamedTuple's own constructor in between a record costs half
Prefix = tuple[str, int, Origin, str, Path]  # what all records of a pipeline have in common


class CallSite:
    """One node of one pipeline in this candidate: everything that all its calls have in common, worked out once."""

    __slots__ = (
        "agent",
        "ahead",
        "answers",
        "backoff_s",
        "delay",
        "delay_s",
        "feeds",
        "index",
        "length",
        "name",
        "names",
        "output_tokens",
        "path",
        "pool",
        "priority",
        "prompt_tokens",
        "queue",
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
        queues: tuple[State, ...],
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
        self.answers = node.answers
        self.path = names[0][4]
        self.name = node.name
        self.agent = node.agent
        self.prompt_tokens = node.expected_prompt_tokens
        self.output_tokens = node.expected_generated
        self.length, self.ahead = shares  # of the longest call, and of the longest path: see `Asks`
        self.pool = at if isinstance(at, Pool) else None
        self.queue = queues_of(at)[0]  # with a pool not yet that to which calls will go
        self.states = tuple(queues[queue] for queue in queues_of(at))
        self.state = queues[self.queue]
        self.feeds = feeds  # the queues whose policy looks at what leads to them
        self.timeout_s = timeout_s
        self.names = names  # of a record: what comes before the job, the node, and what comes after the call

    def feed(self, change: int) -> None:
        """Note that a call or a delay of this node has begun (+1) or ended (-1)."""
        for queue in self.feeds:
            queue.feeding += change

    def draw_delay_s(self, seed: int, drawn_by: str, job: int, iteration: int) -> float:
        """Return how long this tool takes in a job, in seconds."""
        if self.delay is None:
            return self.delay_s
        return self.delay.draw(seed, self.names[0][1], drawn_by, job, self.names[1], 0, iteration, "delay")

    def call_record(self, call: Call, started_s: float | None, reply: Reply, plan: Plan) -> CallRecord:
        """Return the record of a call of this node; one that was never sent keeps the first server it could go to."""
        call_id, _, number, _, item, attempt, queue, ready_s, iteration, _, _ = call
        prefix, node, labels = self.names
        if self.pool is not None:
            labels = (labels[0], labels[1], plan.queues[queue].server)
        fields = (*prefix, number, node, item, iteration, attempt, call_id, *labels, ready_s, started_s, reply)
        return _new(CallRecord, fields)

    def delay_record(self, job: int, start_s: float, end_s: float, iteration: int) -> DelayRecord:
        """Return the record of a delay of this tool."""
        (candidate, repeat, origin, pipeline, _), node, _ = self.names
        return DelayRecord(candidate, repeat, origin, pipeline, job, node, start_s, end_s, iteration)


seen_as(CallSite, "node", sorted(NodeView.__annotations__))


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
        "replied_s",
        "served_s",
        "session",
        "sites",
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
        sites: tuple[CallSite, ...],
    ) -> None:
        if shape is not None:
            Walk.__init__(self, shape)
        self.pipeline = pipeline
        self.sites = sites
        self.number, self.due_s, self.user, self.session, self.turn = admitted
        self.arrived_s = arrived_s
        self.in_flight = 0  # calls on a server that it waits for
        self.calls = 0  # attempts recorded, or sure to be
        self.served_s = 0.0  # how long its calls that have ended were in flight; kept only where queues are selective
        self.outcome: Outcome = "ok"
        self.error: str | None = None
        self.replied_s: float | None = None  # its node that answers was done

    def answered(self, site: CallSite, now_s: float, arrivals: Arrivals) -> list[Action]:
        """Note that a call of a node that answers is done; return what its user does then, unless a loop goes on."""
        if self.flow is not None and not self.flow.is_done(site.index):
            return []
        self.replied_s = now_s
        return [At(arrive.due_s, arrive) for arrive in arrivals.replied(self.pipeline, self.user, now_s)]

    def record(self, prefix: Prefix, end_s: float) -> JobRecord:
        """Return the record of this job, which has ended."""
        session = None if self.session < 0 else self.session
        times = (self.number, self.due_s, self.arrived_s, end_s)
        return _new(
            JobRecord, (*prefix, *times, self.outcome, self.calls, session, self.turn, self.error, self.replied_s)
        )


seen_as(Job, "job", sorted(JobView.__annotations__))
State = QueueState[Job, CallSite]


class FlowJob(Job):
    """A job whose graph does more than wait for all."""

    __slots__ = ("delays", "flow", "open")

    def __init__(
        self,
        pipeline: int,
        admitted: tuple[int, float, int, int, int],
        arrived_s: float,
        shape: FlowShape,
        sites: tuple[CallSite, ...],
    ) -> None:
        super().__init__(pipeline, admitted, arrived_s, None, sites)
        self.flow = FlowWalk(shape, admitted[0])
        self.open = {} if shape.may_lose else None
        self.delays = {} if shape.may_lose else None

    def begin(self) -> Advance:
        """Return what its graph begins with."""
        assert self.flow is not None
        return self.flow.begin()


def queue_states(pipelines: tuple[Pipeline, ...], plan: Plan) -> tuple[State, ...]:
    """Return a fresh queue for every server: selective ones where any of them has to be, as calls may be in several."""
    shared = has_pools(plan)
    prioritised = [_prioritised(pipelines, plan, index) for index in range(len(plan.queues))]
    if shared or any(_selects(queue) for queue in plan.queues):
        return tuple(SelectiveQueue(queue, has, shared) for queue, has in zip(plan.queues, prioritised, strict=True))
    return tuple(QueueState(queue, has) for queue, has in zip(plan.queues, prioritised, strict=True))


def _selects(queue: ServerQueue) -> bool:
    scheduling = queue.scheduling
    return queue.most_batch is not None or scheduling.grows or scheduling.timed or "served_s" in scheduling.reads


def has_pools(plan: Plan) -> bool:
    """Return whether any call may go to one of several servers."""
    return any(isinstance(at, Pool) for site in plan.placement for at in site)


def sites_of(
    pipelines: tuple[Pipeline, ...],
    plan: Plan,
    queues: tuple[State, ...],
    prefixes: tuple[Prefix, ...],
    timeout_s: float | None,
) -> tuple[tuple[CallSite, ...], ...]:
    """Return what the engine has to know of every node of every pipeline."""
    all_shares = _shares(pipelines, plan)
    return tuple(
        tuple(
            CallSite(
                index,
                node,
                at,
                queues,
                tuple(queues[fed] for fed in feeds),
                shares,
                timeout_s if node.timeout_s is None else node.timeout_s,
                (prefix, node.name, (node.agent, node.model, plan.queues[queues_of(at)[0]].server)),
            )
            for index, (node, at, feeds, shares) in enumerate(
                zip(pipeline.graph.nodes, site, _feeds_of(pipeline, site, plan), of_nodes, strict=True)
            )
        )
        for pipeline, site, prefix, of_nodes in zip(pipelines, plan.placement, prefixes, all_shares, strict=True)
    )


def _feeds_of(pipeline: Pipeline, site: tuple[int | Pool, ...], plan: Plan) -> list[tuple[int, ...]]:
    """Return for each node the queues that a descendant of it is placed on; a loop's body leads to itself.

    Only of queues whose policy `sees_coming`.
    """
    nodes = pipeline.graph.nodes
    leads: list[set[int]] = [set() for _ in nodes]
    for index in reversed(range(len(nodes))):  # topological order: successors are known first
        node = nodes[index]
        for after in node.successors:
            leads[index] |= leads[after] | _seeing(nodes[after], site[after], plan)
        if node.max_iterations > 1:
            for inner in node.body:
                leads[index] |= _seeing(nodes[inner], site[inner], plan)
    return [tuple(sorted(queues)) for queues in leads]


def _seeing(node: Node, at: int | Pool, plan: Plan) -> set[int]:
    if node.kind != "agent":
        return set()
    return {queue for queue in queues_of(at) if plan.queues[queue].concurrency.sees_coming}


def _prioritised(pipelines: tuple[Pipeline, ...], plan: Plan, queue: int) -> bool:
    """Return whether anything that is placed on this queue has a priority."""
    return any(
        node.priority and queue in queues_of(at)
        for pipeline, site in zip(pipelines, plan.placement, strict=True)
        for node, at in zip(pipeline.graph.nodes, site, strict=True)
    )


def _shares(pipelines: tuple[Pipeline, ...], plan: Plan) -> list[list[tuple[float, float]]]:
    """Return the length and the remaining path of every node as shares of the longest; 0 where no policy asks."""
    nothing = [[0.0] * len(pipeline.graph.nodes) for pipeline in pipelines]
    read = {what for queue in plan.queues for what in queue.scheduling.reads}
    lengths = aheads = nothing
    if "length" in read:
        tokens = [[node.expected_generated for node in pipeline.graph.nodes] for pipeline in pipelines]
        most = max((length for nodes in tokens for length in nodes if length is not None), default=0) or 1
        lengths = [[1.0 if length is None else length / most for length in nodes] for nodes in tokens]
    if "ahead" in read:
        paths = [remaining_tokens(pipeline.graph) for pipeline in pipelines]
        longest = max((ahead for nodes in paths for ahead in nodes), default=0.0) or 1.0
        aheads = [[ahead / longest for ahead in nodes] for nodes in paths]
    return [list(zip(*pair, strict=True)) for pair in zip(lengths, aheads, strict=True)]
