"""The engine: the walk of every job and the routing of every call, as one object that never waits.

`handle(events, now_s) -> actions` is its whole surface. It reads no clock, opens no socket, draws no random number: the
live driver and the virtual driver feed the same object, so prediction and measurement differ only in the server.

`now_s` never decreases. What happens at one instant is one batch: handled in the order done, cancelled, timer, arrive,
then by id, and dispatched once. The engine alone owns timeouts and think times; drivers only carry them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count

from harness.core.arrivals import Arrivals
from harness.core.events import (
    Action,
    Arrive,
    At,
    Call,
    Cancel,
    Cancelled,
    Done,
    Event,
    Record,
    Start,
    Timer,
    rank,
)
from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Origin, Outcome, Reply
from harness.core.routing import LaneState
from harness.core.walk import Walk

__all__ = ["Engine"]


class _Job:
    """One job on its way."""

    __slots__ = (
        "arrived_s",
        "calls",
        "due_s",
        "in_flight",
        "number",
        "outcome",
        "pipeline",
        "queued",
        "user",
        "walk",
    )

    def __init__(self, pipeline: int, number: int, user: int, due_s: float, arrived_s: float, walk: Walk) -> None:
        self.pipeline = pipeline
        self.number = number
        self.user = user
        self.due_s = due_s
        self.arrived_s = arrived_s
        self.walk = walk
        self.queued: set[int] = set()
        self.in_flight = 0  # calls on a server
        self.calls = 0  # attempts recorded
        self.outcome: Outcome = "ok"


class _Flight:
    """A call on a server."""

    __slots__ = ("call", "expired", "job", "started_s")

    def __init__(self, call: Call, job: _Job, started_s: float) -> None:
        self.call = call
        self.job = job
        self.started_s = started_s
        self.expired = False  # cancelled because its time was up


class Engine:
    """One trial of one candidate.

    Args:
        pipelines: compiled graphs with their arrivals.
        plan: the candidate: lanes, and the lane of each pipeline.
        origin: what the records are to be labelled with.
        repeat: number of this repeat.
        timeout_s: give up any call this long after it was let go, unless its node says otherwise; None = never.
    """

    def __init__(
        self,
        pipelines: tuple[Pipeline, ...],
        plan: Plan,
        *,
        origin: Origin,
        repeat: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        self.pipelines = pipelines
        self.plan = plan
        self._origin: Origin = origin
        self._repeat = repeat
        self._timeout_s = timeout_s
        self._now_s = 0.0
        self._arrivals = Arrivals(pipelines)
        self._lanes = tuple(LaneState(lane) for lane in plan.lanes)
        self._feeds = tuple(_feeds(pipeline, lane) for pipeline, lane in zip(pipelines, plan.place, strict=True))
        self._jobs: dict[tuple[int, int], _Job] = {}
        self._flights: dict[int, _Flight] = {}
        self._call_ids = count()
        self._timer_ids = count()
        self._delays: dict[int, tuple[_Job, int, float]] = {}  # timer -> job, node, start
        self._deadlines: list[tuple[float, int]] = []  # (time, call)
        self._alarm: tuple[float, int] | None = None  # the one timer armed for deadlines and overdue waves
        self._actions: list[Action] = []

    @property
    def finished(self) -> bool:
        """Whether nothing is left to happen: every pipeline has ended."""
        return self._arrivals.finished

    @property
    def in_flight(self) -> int:
        """Calls started and not yet ended."""
        return len(self._flights)

    @property
    def queued(self) -> int:
        """Calls ready and not yet started."""
        return sum(lane.ready for lane in self._lanes)

    def begin(self, now_s: float = 0.0) -> list[Action]:
        """Open the pipelines; call it once, before `handle`."""
        self._now_s = now_s
        return [At(arrive.due_s, arrive) for arrive in self._arrivals.open(now_s)]

    def handle(self, events: Iterable[Event], now_s: float) -> list[Action]:
        """Take everything that happened at `now_s`, and return what is to be done about it.

        Raises:
            ValueError: time went backwards: a driver's mistake.
        """
        if now_s < self._now_s:
            raise ValueError(f"time can't go backwards: {now_s!r} after {self._now_s!r}")
        self._now_s = now_s
        for event in sorted(events, key=rank):
            match event:
                case Done(call, reply):
                    self._call_ended(call, reply)
                case Cancelled(call, reply):
                    self._call_ended(call, reply._replace(outcome="cancelled"))
                case Timer(timer):
                    self._timer(timer)
                case Arrive():
                    self._arrive(event)
        self._dispatch()
        actions, self._actions = self._actions, []
        return actions

    # --- jobs ---

    def _arrive(self, event: Arrive) -> None:
        admitted, following = self._arrivals.admit(event, self._now_s)
        for number, due_s in admitted:
            graph = self.pipelines[event.pipeline].graph
            job = _Job(event.pipeline, number, event.user, due_s, self._now_s, Walk(graph))
            self._jobs[event.pipeline, number] = job
            for node in job.walk.sources():
                self._node_ready(job, node)
        if following is not None:
            self._actions.append(At(following.due_s, following))

    def _node_ready(self, job: _Job, index: int) -> None:
        pipeline = self.pipelines[job.pipeline]
        node = pipeline.graph.nodes[index]
        if node.kind == "tool":
            timer = next(self._timer_ids)
            self._delays[timer] = (job, index, self._now_s)
            self._feed(job.pipeline, index, +1)
            self._actions.append(At(self._now_s + node.delay_s, Timer(timer)))
            return
        lane = self.plan.place[job.pipeline]
        for item in range(node.width):
            call = Call(next(self._call_ids), job.pipeline, job.number, index, item, 0, lane, self._now_s)
            job.queued.add(call.id)
            self._lanes[lane].add(call, pipeline.path)

    def _item_done(self, job: _Job, node: int) -> None:
        for ready in job.walk.item_done(node):
            self._node_ready(job, ready)
        if job.walk.finished:
            self._job_ended(job)

    def _fail(self, job: _Job, outcome: Outcome) -> None:
        """One failed call fails its job: what is queued is dropped, what is in flight is let run and recorded."""
        if job.outcome == "ok":
            job.outcome = outcome
        lane = self._lanes[self.plan.place[job.pipeline]]
        for call_id in sorted(job.queued):
            self._record_call(job, lane.drop(call_id), None, Reply("cancelled", error="another call of the job failed"))
        job.queued.clear()
        if not job.in_flight:
            self._job_ended(job)

    def _job_ended(self, job: _Job) -> None:
        pipeline = self.pipelines[job.pipeline]
        del self._jobs[job.pipeline, job.number]
        record = JobRecord(
            candidate=self.plan.name,
            repeat=self._repeat,
            origin=self._origin,
            pipeline=pipeline.name,
            path=pipeline.path,
            job=job.number,
            due_s=job.due_s,
            arrived_s=job.arrived_s,
            end_s=self._now_s,
            outcome=job.outcome,
            calls=job.calls,
        )
        self._actions.append(Record(record))
        self._actions += [
            At(arrive.due_s, arrive) for arrive in self._arrivals.ended(job.pipeline, job.user, self._now_s)
        ]

    # --- calls ---

    def _dispatch(self) -> None:
        for lane in self._lanes:
            for _ in range(lane.may_start(self._now_s)):
                self._start(lane.next())
            wake_s = lane.wake_s()
            if wake_s is not None:
                self._arm(wake_s)
        if self._deadlines:
            self._arm(self._deadlines[0][0])

    def _start(self, call: Call) -> None:
        job = self._jobs[call.pipeline, call.job]
        job.queued.discard(call.id)
        job.in_flight += 1
        self._lanes[call.lane].in_flight += 1
        self._feed(call.pipeline, call.node, +1)
        self._flights[call.id] = _Flight(call, job, self._now_s)
        node = self.pipelines[call.pipeline].graph.nodes[call.node]
        timeout_s = self._timeout_s if node.timeout_s is None else node.timeout_s
        if timeout_s is not None:
            heappush(self._deadlines, (self._now_s + timeout_s, call.id))
        self._actions.append(Start(call))

    def _call_ended(self, call_id: int, reply: Reply) -> None:
        flight = self._flights.pop(call_id)
        call, job = flight.call, flight.job
        if flight.expired and reply.outcome == "cancelled":
            timeout_s = self._now_s - flight.started_s
            reply = reply._replace(outcome="timeout", error=f"no answer within {timeout_s:.3g} s")
        job.in_flight -= 1
        self._lanes[call.lane].in_flight -= 1
        self._feed(call.pipeline, call.node, -1)
        self._record_call(job, call, flight.started_s, reply)
        if reply.outcome != "ok":
            self._fail(job, reply.outcome)
        elif job.outcome == "ok":
            self._item_done(job, call.node)
        elif not job.in_flight:
            self._job_ended(job)

    def _record_call(self, job: _Job, call: Call, started_s: float | None, reply: Reply) -> None:
        job.calls += 1
        pipeline = self.pipelines[call.pipeline]
        node = pipeline.graph.nodes[call.node]
        record = CallRecord(
            candidate=self.plan.name,
            repeat=self._repeat,
            origin=self._origin,
            pipeline=pipeline.name,
            path=pipeline.path,
            job=call.job,
            node=node.name,
            item=call.item,
            iteration=0,
            attempt=call.attempt,
            call=call.id,
            agent=node.agent,
            model=node.model,
            server=self.plan.lanes[call.lane].server,
            ready_s=call.ready_s,
            started_s=started_s,
            reply=reply,
        )
        self._actions.append(Record(record))

    def _feed(self, pipeline: int, node: int, change: int) -> None:
        lane = self._feeds[pipeline][node]
        if lane is not None:
            self._lanes[lane].feeding += change

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
            flight = self._flights.get(call_id)
            if flight is not None:
                flight.expired = True
                self._actions.append(Cancel(call_id))
        while self._deadlines and self._deadlines[0][1] not in self._flights:
            heappop(self._deadlines)

    def _delay_ended(self, job: _Job, node: int, start_s: float) -> None:
        self._feed(job.pipeline, node, -1)
        pipeline = self.pipelines[job.pipeline]
        record = DelayRecord(
            candidate=self.plan.name,
            repeat=self._repeat,
            origin=self._origin,
            pipeline=pipeline.name,
            job=job.number,
            node=pipeline.graph.nodes[node].name,
            start_s=start_s,
            end_s=self._now_s,
        )
        self._actions.append(Record(record))
        if job.outcome == "ok":
            self._item_done(job, node)


def _feeds(pipeline: Pipeline, lane: int) -> tuple[int | None, ...]:
    """For each node: the lane on which a descendant of it is placed, or None where no call depends on it."""
    nodes = pipeline.graph.nodes
    leads_to_call = [False] * len(nodes)
    for index in reversed(range(len(nodes))):  # topological order: successors are known first
        leads_to_call[index] = any(nodes[s].kind == "agent" or leads_to_call[s] for s in nodes[index].successors)
    return tuple(lane if leads else None for leads in leads_to_call)
