"""The engine: the walk of every job and the routing of every call, as one object that never waits.

`handle(events, now_s) -> actions` is its whole surface. It reads no clock, opens no socket, draws no random number: the
live driver and the virtual driver feed the same object, so prediction and measurement differ only in the server.

`now_s` never decreases. What happens at one instant is one batch: handled in the order done, cancelled, timer, arrive,
then by id, and dispatched once. The engine alone owns timeouts and think times; drivers only carry them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count

from harness.core.arrivals import Admitted, Arrivals
from harness.core.events import (
    Action,
    Arrive,
    At,
    Call,
    Cancel,
    Done,
    Event,
    Record,
    Start,
    Timer,
    rank,
)
from harness.core.graph import Node, Pipeline
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Origin, Outcome, Path, Reply
from harness.core.routing import LaneState
from harness.core.walk import Shape, Walk

__all__ = ["Engine"]

# A simulation makes a dozen of these tuples for every call; without NamedTuple's own constructor in between each costs
# half. The order of the fields is that of the class.
_new = tuple.__new__


class _Place:
    """One node of one pipeline in this candidate: everything that all its calls have in common, worked out once."""

    __slots__ = ("delay_s", "feeds", "index", "lane", "names", "state", "timeout_s", "tool", "width")

    def __init__(
        self,
        index: int,
        node: Node,
        lane: int,
        state: LaneState[_Job],
        feeds: LaneState[_Job] | None,
        timeout_s: float | None,
        names: tuple[tuple[str, int, Origin, str, Path], str, tuple[str, str, str]],
    ) -> None:
        self.index = index
        self.tool = node.kind == "tool"
        self.delay_s = node.delay_s
        self.width = node.width
        self.lane = lane
        self.state = state  # of that lane
        self.feeds = feeds  # the lane that waits for a descendant of it; waves only
        self.timeout_s = timeout_s
        self.names = names  # of a record: what comes before the job, the node, and what comes after the call


class _Job(Walk):
    """One job on its way: its walk, and what its record needs."""

    __slots__ = (
        "arrived_s",
        "calls",
        "due_s",
        "in_flight",
        "number",
        "outcome",
        "pipeline",
        "places",
        "session",
        "turn",
        "user",
    )

    def __init__(
        self, pipeline: int, admitted: Admitted, arrived_s: float, shape: Shape, places: tuple[_Place, ...]
    ) -> None:
        Walk.__init__(self, shape)
        self.pipeline = pipeline
        self.places = places
        self.number, self.due_s, self.user, self.session, self.turn = admitted
        self.arrived_s = arrived_s
        self.in_flight = 0  # calls on a server
        self.calls = 0  # attempts recorded
        self.outcome: Outcome = "ok"


class Engine:
    """One trial of one candidate.

    Args:
        pipelines: compiled graphs with their arrivals.
        plan: the candidate: lanes, and the lane of each pipeline.
        origin: what the records are to be labelled with.
        repeat: number of this repeat.
        seed: of everything drawn.
        timeout_s: give up any call this long after it was let go, unless its node says otherwise; None = never.
    """

    def __init__(
        self,
        pipelines: tuple[Pipeline, ...],
        plan: Plan,
        *,
        origin: Origin,
        repeat: int = 0,
        seed: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        self.pipelines = pipelines
        self.plan = plan
        self._now_s = 0.0
        self._arrivals = Arrivals(pipelines, seed, repeat)
        self._lanes: tuple[LaneState[_Job], ...] = tuple(LaneState(lane) for lane in plan.lanes)
        # What all records of a pipeline have in common.
        self._prefixes = tuple((plan.name, repeat, origin, pipeline.name, pipeline.path) for pipeline in pipelines)
        self._shapes = tuple(Shape(pipeline.graph) for pipeline in pipelines)
        self._places = tuple(
            tuple(
                _Place(
                    index,
                    node,
                    lane,
                    self._lanes[lane],
                    None if feeds is None else self._lanes[feeds],
                    timeout_s if node.timeout_s is None else node.timeout_s,
                    (prefix, node.name, (node.agent, node.model, plan.lanes[lane].server)),
                )
                for index, (node, feeds) in enumerate(
                    zip(pipeline.graph.nodes, _feeds(pipeline, lane, plan), strict=True)
                )
            )
            for pipeline, lane, prefix in zip(pipelines, plan.place, self._prefixes, strict=True)
        )
        self._flights: dict[int, tuple[Call, _Job, _Place, float]] = {}  # calls on a server, by id; when they were let go
        self._expired: set[int] = set()  # those cancelled because their time was up
        self._call_ids = count()
        self._timer_ids = count()
        self._delays: dict[int, tuple[_Job, _Place, float]] = {}  # timer -> job, node, start
        self._deadlines: list[tuple[float, int]] = []  # (time, call)
        self._alarm: tuple[float, int] | None = None  # the one timer armed for deadlines and overdue waves
        self._actions: list[Action] = []
        self.finished = False  # nothing is left to happen: every pipeline has ended

    @property
    def in_flight(self) -> int:
        """Calls started and not yet ended."""
        return len(self._flights)

    @property
    def queued(self) -> int:
        """Calls ready and not yet started."""
        return sum(lane.ready for lane in self._lanes)

    def jobs(self) -> list[tuple[int, int]]:
        """Return how many jobs of every pipeline have started, and how many of those have ended."""
        return self._arrivals.counts()

    def begin(self, now_s: float = 0.0) -> list[Action]:
        """Open the pipelines; call it once, before `handle`."""
        self._now_s = now_s
        return [At(arrive.due_s, arrive) for arrive in self._arrivals.open(now_s)]

    def handle(self, events: Sequence[Event], now_s: float) -> list[Action]:
        """Take everything that happened at `now_s`, and return what is to be done about it.

        Raises:
            ValueError: time went backwards: a driver's mistake.
        """
        if now_s < self._now_s:
            raise ValueError(f"time can't go backwards: {now_s!r} after {self._now_s!r}")
        self._now_s = now_s
        for event in sorted(events, key=rank) if len(events) > 1 else events:
            if isinstance(event, Done):
                self._call_ended(event[0], event[1])
            elif isinstance(event, Arrive):
                self._arrive(event)
            elif isinstance(event, Timer):
                self._timer(event.id)
            else:
                self._call_ended(event.call, event.reply._replace(outcome="cancelled"))
        for lane in self._lanes:
            if lane.heap:
                for _, _, call, job in lane.take(now_s):
                    self._start(call, job)
                if lane.wakes and (wake_s := lane.wake_s()) is not None:
                    self._arm(wake_s)
        deadlines = self._deadlines
        if deadlines and (self._alarm is None or deadlines[0][0] < self._alarm[0]):
            self._arm(deadlines[0][0])
        actions, self._actions = self._actions, []
        return actions

    # --- jobs ---

    def _arrive(self, event: Arrive) -> None:
        pipeline, now_s = event[0], self._now_s
        admitted, following = self._arrivals.admit(event, now_s)
        shape, places = self._shapes[pipeline], self._places[pipeline]
        for one in admitted:
            job = _Job(pipeline, one, now_s, shape, places)
            for node in shape.sources:
                self._node_ready(job, places[node])
        if following is not None:
            self._actions.append(_new(At, (following[2], following)))

    def _node_ready(self, job: _Job, place: _Place) -> None:
        if place.tool:
            timer = next(self._timer_ids)
            self._delays[timer] = (job, place, self._now_s)
            if place.feeds is not None:
                place.feeds.feeding += 1
            self._actions.append(At(self._now_s + place.delay_s, Timer(timer)))
            return
        add, ids, path = place.state.add, self._call_ids, place.names[0][4]
        for item in range(place.width):
            fields = (
                next(ids),
                job.pipeline,
                job.number,
                place.index,
                item,
                0,
                place.lane,
                self._now_s,
                0,
                job.session,
            )
            add(_new(Call, fields), path, job)

    def _item_done(self, job: _Job, node: int) -> None:
        for ready in job.item_done(node):
            self._node_ready(job, job.places[ready])
        if not job.nodes_left:
            self._job_ended(job)

    def _fail(self, job: _Job, outcome: Outcome) -> None:
        """One failed call fails its job: what is queued is dropped, what is in flight is let run and recorded."""
        if job.outcome == "ok":
            job.outcome = outcome
        lane = self._lanes[self.plan.place[job.pipeline]]
        for call in lane.drop(job):
            self._record_call(job, job.places[call.node], call, None, Reply("cancelled", error="another call of the job failed"))
        if not job.in_flight:
            self._job_ended(job)

    def _job_ended(self, job: _Job) -> None:
        pipeline = job.pipeline
        session = job.session if job.session >= 0 else None
        fields = (job.number, job.due_s, job.arrived_s, self._now_s, job.outcome, job.calls, session, job.turn, None)
        self._actions.append(_new(Record, (_new(JobRecord, self._prefixes[pipeline] + fields),)))
        for arrive in self._arrivals.ended(pipeline, job.user, self._now_s):
            self._actions.append(At(arrive.due_s, arrive))
        self.finished = self._arrivals.finished

    # --- calls ---

    def _start(self, call: Call, job: _Job) -> None:
        call_id, now_s = call[0], self._now_s
        place = job.places[call[3]]
        job.in_flight += 1
        self._flights[call_id] = (call, job, place, now_s)
        if place.feeds is not None:
            place.feeds.feeding += 1
        if place.timeout_s is not None:
            heappush(self._deadlines, (now_s + place.timeout_s, call_id))
        self._actions.append(_new(Start, (call,)))

    def _call_ended(self, call_id: int, reply: Reply) -> None:
        call, job, place, started_s = self._flights.pop(call_id)
        if self._expired and call_id in self._expired:
            self._expired.discard(call_id)
            if reply.outcome == "cancelled":
                timeout_s = self._now_s - started_s
                reply = reply._replace(outcome="timeout", error=f"no answer within {timeout_s:.3g} s")
        job.in_flight -= 1
        place.state.in_flight -= 1
        if place.feeds is not None:
            place.feeds.feeding -= 1
        self._record_call(job, place, call, started_s, reply)
        if reply[0] != "ok":
            self._fail(job, reply.outcome)
        elif job.outcome == "ok":
            self._item_done(job, place.index)
        elif not job.in_flight:
            self._job_ended(job)

    def _record_call(self, job: _Job, place: _Place, call: Call, started_s: float | None, reply: Reply) -> None:
        job.calls += 1
        call_id, _, number, _, item, attempt, _, ready_s, _, _ = call
        prefix, node, labels = place.names
        iteration = 0
        fields = (*prefix, number, node, item, iteration, attempt, call_id, *labels, ready_s, started_s, reply)
        self._actions.append(_new(Record, (_new(CallRecord, fields),)))

    # --- timers ---

    def _arm(self, at_s: float) -> None:
        """Keep one alarm, at the earliest time at which anything could be due: cheaper than a timer per call."""
        if self._alarm is None or at_s < self._alarm[0]:
            self._alarm = (at_s, next(self._timer_ids))
            self._actions.append(At(at_s, Timer(self._alarm[1])))

    def _timer(self, timer: int) -> None:
        delay = self._delays.pop(timer, None)
        if delay is not None:
            self._delay_ended(*delay)
            return
        if self._alarm is None or self._alarm[1] != timer:
            return  # an earlier alarm took its place
        self._alarm = None
        while self._deadlines and self._deadlines[0][0] <= self._now_s:
            _, call_id = heappop(self._deadlines)
            if call_id in self._flights:
                self._expired.add(call_id)
                self._actions.append(Cancel(call_id))
        while self._deadlines and self._deadlines[0][1] not in self._flights:
            heappop(self._deadlines)

    def _delay_ended(self, job: _Job, place: _Place, start_s: float) -> None:
        if place.feeds is not None:
            place.feeds.feeding -= 1
        candidate, repeat, origin, pipeline, _ = self._prefixes[job.pipeline]
        record = DelayRecord(
            candidate=candidate,
            repeat=repeat,
            origin=origin,
            pipeline=pipeline,
            job=job.number,
            node=place.names[1],
            start_s=start_s,
            end_s=self._now_s,
        )
        self._actions.append(Record(record))
        if job.outcome == "ok":
            self._item_done(job, place.index)


def _feeds(pipeline: Pipeline, lane: int, plan: Plan) -> tuple[int | None, ...]:
    """For each node: the lane on which a descendant of it is placed, or None where no call depends on it.

    Only waves ask for it.
    """
    if plan.lanes[lane].cap != "waves":
        return (None,) * len(pipeline.graph.nodes)
    nodes = pipeline.graph.nodes
    leads_to_call = [False] * len(nodes)
    for index in reversed(range(len(nodes))):  # topological order: successors are known first
        leads_to_call[index] = any(nodes[s].kind == "agent" or leads_to_call[s] for s in nodes[index].successors)
    return tuple(lane if leads else None for leads in leads_to_call)
