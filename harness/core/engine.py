"""The engine: the walk of every job and the routing of every call, as one object that never waits.

`handle(events, now_s) -> actions` is its whole surface. It reads no clock, opens no socket, and draws by pure functions
only: the live driver and the virtual driver feed the same object, so prediction and measurement differ only in the
server.

`now_s` never decreases. What happens at one instant is one batch: handled in the order done, cancelled, timer, arrive,
then by id, and dispatched once. The engine alone owns timeouts, retries and think times; drivers only carry them out.
A call that is not needed any more is no longer its job's, but its server's until that has really let go of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

from harness.core.arrivals import Arrivals
from harness.core.deadlines import Deadlines
from harness.core.events import (
    Action,
    Arrive,
    At,
    BranchDecision,
    Call,
    Cancel,
    Cancelled,
    Done,
    Event,
    Outside,
    Record,
    Start,
    Timer,
    rank,
)
from harness.core.flow import Advance, Lost, shape_of
from harness.core.graph import Pipeline
from harness.core.jobs import CallSite, FlowJob, Job, has_pools, queue_states, sites_of
from harness.core.offers import Offers
from harness.core.plan import Plan
from harness.core.records import NOT_NEEDED, Origin, Outcome, Reply
from harness.core.routing import SelectiveQueue
from harness.core.walk import Shape

__all__ = ["Engine"]

_new: Final = tuple.__new__  # half the cost of a NamedTuple's own constructor; fields in the order of the class


class Engine:
    """One trial of one candidate.

    Args:
        pipelines: compiled graphs with their arrivals.
        plan: the candidate: a queue for each server, and the queue of each node.
        origin: what the records are to be labelled with.
        seed, repeat: keys of the draws; `repeat` is recorded.
        timeout_s: give up any call this long after it was let go, unless its node says otherwise; None = never.
    """

    def __init__(
        self,
        pipelines: tuple[Pipeline, ...],
        plan: Plan,
        *,
        origin: Origin,
        seed: int = 0,
        repeat: int = 0,
        timeout_s: float | None = None,
    ) -> None:
        self.pipelines, self.plan = pipelines, plan
        self._seed, self._now_s = seed, 0.0
        self._arrivals = Arrivals(pipelines, seed, repeat)
        self._queues = queue_states(pipelines, plan)
        self._selective = any(isinstance(queue, SelectiveQueue) for queue in self._queues)
        self._shared = has_pools(plan)
        self._offers = Offers()
        self._drawn_by = tuple(pipeline.drawn_by for pipeline in pipelines)
        self._prefixes = tuple((plan.name, repeat, origin, pipeline.name, pipeline.path) for pipeline in pipelines)
        self._shapes = tuple(shape_of(pipeline, seed, repeat) for pipeline in pipelines)
        self._sites = sites_of(pipelines, plan, self._queues, self._prefixes, timeout_s)
        self._flights: dict[int, tuple[Call, Job, CallSite, float]] = {}  # on a server, by id; when they were let go
        self._expired: set[int] = set()  # those cancelled because their time was up
        self._lost: dict[int, bool] = {}  # those that nobody needs any more: whether they are let run
        self._cancels: list[int] = []  # of these, those to be cancelled unless they end at this very instant
        self._call_ids, self._timer_ids = count(), count()
        self._delays: dict[int, tuple[Job, CallSite, float, int]] = {}  # timer -> job, node, start, iteration
        self._backoffs: dict[int, tuple[Job, CallSite, Call]] = {}  # timer -> the attempt that failed
        self._deadlines = Deadlines()
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
        if not self._shared:
            return sum(queue.ready for queue in self._queues)
        return len({item[1] for queue in self._queues for item in queue.waiting()})

    def queues(self) -> list[tuple[int, int]]:
        """Return for every server how many calls are in flight there, and wait for it, perhaps for others too."""
        return [(queue.in_flight, queue.ready) for queue in self._queues]

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
                self._call_ended(event[0], event[1], event[2])
            elif isinstance(event, Arrive):
                self._arrive(event)
            elif isinstance(event, Timer):
                self._timer(event.id)
            elif isinstance(event, Cancelled):
                self._call_ended(event.call, event.reply._replace(outcome="cancelled"), None)
            else:
                self._outside(event)
        if self._cancels:
            self._actions += [Cancel(call_id) for call_id in sorted(self._cancels) if call_id in self._flights]
            self._cancels.clear()
        if self._shared:
            self._dispatch(now_s)
        else:
            for queue in self._queues:
                if queue.heap or queue.batch_heap:
                    for _, _, call, job, site in queue.take(now_s):
                        self._start(call, job, site)
                    if queue.wakes and (wake_s := queue.wake_s()) is not None:
                        self._arm(wake_s)
        deadlines = self._deadlines.heap
        if deadlines and (self._alarm is None or deadlines[0][0] < self._alarm[0]):
            self._arm(deadlines[0][0])
        actions, self._actions = self._actions, []
        return actions

    def _outside(self, event: Outside) -> None:
        raise ValueError(f"only an open engine knows what happens outside: {event!r}")

    def _dispatch(self, now_s: float) -> None:
        """Start what may start, each time on the server with most free slots: one call, or a wave at once."""
        states = self._queues
        able = [queue for queue, state in enumerate(states) if state.has_room and state.ready]
        while able:
            queue = max(able, key=lambda each: states[each].queue.slots - states[each].in_flight)  # ties: the first
            taken = states[queue].take(now_s)
            if not taken or not states[queue].has_room:  # nor later at this instant: every start leaves it less
                able.remove(queue)
            for _, _, call, job, site in taken:
                if site.pool is not None:
                    self._offers.taken(call, site, states[queue])
                    call = call._replace(queue=queue)
                self._start(call, job, site)
        for state in states:
            if state.wakes and (wake_s := state.wake_s()) is not None:
                self._arm(wake_s)

    # --- jobs ---

    def _arrive(self, event: Arrive) -> None:
        pipeline, now_s = event[0], self._now_s
        admitted, following = self._arrivals.admit(event, now_s)
        shape, sites = self._shapes[pipeline], self._sites[pipeline]
        for each in admitted:
            if isinstance(shape, Shape):
                job = Job(pipeline, each, now_s, shape, sites)
                for node in shape.sources:
                    site = sites[node]
                    self._node_ready(job, site, 0, site.width)
            else:
                flow_job = FlowJob(pipeline, each, now_s, shape, sites)
                self._step(flow_job, flow_job.begin())
        if following is not None:
            self._actions.append(_new(At, (following[2], following)))

    def _node_ready(self, job: Job, site: CallSite, iteration: int, width: int, passes: tuple[int, ...] = ()) -> None:
        if site.tool:
            self._begin_delay(job, site, iteration)
            return
        add, ids, noted = site.state.add if site.pool is None else self._offers.offer, self._call_ids, job.open
        which = (job.pipeline, job.number, site.index)
        how = (0, site.queue, self._now_s, iteration, job.session, passes)
        for item in range(width):
            call = _new(Call, (next(ids), *which, item, *how))
            add(call, site, job)
            if noted is not None:
                noted[call[0]] = call

    def _item_done(self, job: Job, site: CallSite, decision: BranchDecision | None) -> None:
        if job.flow is not None:
            step = job.flow.item_done(site.index, decision)
            if site.answers:
                self._actions += job.answered(site, self._now_s, self._arrivals)
            if step is not None:
                self._step(job, step)
            return
        if site.answers:
            self._actions += job.answered(site, self._now_s, self._arrivals)
        sites = job.sites
        for ready in job.item_done(site.index):
            after = sites[ready]
            self._node_ready(job, after, 0, after.width)
        if not job.nodes_left:
            self._job_ended(job)

    def _step(self, job: Job, step: Advance) -> None:
        lost, ready = step
        if lost:
            self._give_up(job, lost)
        for node, iteration, width, passes in ready:
            self._node_ready(job, job.sites[node], iteration, width, passes)
        if job.flow is not None and not job.flow.nodes_left:
            self._job_ended(job)

    def _give_up(self, job: Job, lost: list[Lost]) -> None:
        """Others were enough: drop what is queued of these nodes, cancel or leave alone what is in flight."""
        assert job.open is not None and job.delays is not None
        let_run = dict(lost)
        dropped: set[int] = set()
        for call_id, call in [each for each in job.open.items() if each[1][3] in let_run]:
            run = let_run[call[3]]
            del job.open[call_id]
            if call_id in self._flights:
                job.in_flight -= 1
                job.calls += 1
                self._lost[call_id] = run
                if not run and call_id not in self._expired:
                    self._cancels.append(call_id)
            else:
                dropped.add(call_id)
        if dropped:
            self._drop(job, dropped, NOT_NEEDED)
        for node, run in lost:
            timer = job.delays.pop(node, None)
            if timer is not None and not run:
                _, site, _, _ = self._delays.pop(timer)
                site.feed(-1)

    def _drop(self, job: Job, calls: set[int] | None, reason: str) -> None:
        """Take calls of a job out of the queues (None: all of them)."""
        states = dict.fromkeys(state for site in job.sites for state in site.states)
        for call in sorted({call for state in states for call in state.drop(job, calls)}):
            self._offers.dropped(call, job.sites[call.node])
            self._record_call(job, job.sites[call.node], call, None, Reply("cancelled", error=reason))

    def _fail(self, job: Job, outcome: Outcome) -> None:
        """One failed call fails its job: what is queued is dropped, what is in flight is let run and recorded."""
        if job.outcome == "ok":
            job.outcome = outcome
        self._drop(job, None, "another call of the job failed")
        if not job.in_flight:
            self._job_ended(job)

    def _job_ended(self, job: Job) -> None:
        pipeline = job.pipeline
        self._actions.append(_new(Record, (job.record(self._prefixes[pipeline], self._now_s),)))
        if self._shared:
            self._offers.ended(job)
        following = self._arrivals.ended(pipeline, job.user, self._now_s, replied=job.replied_s is not None)
        self._actions += [At(arrive.due_s, arrive) for arrive in following]
        self.finished = self._arrivals.finished and not self._flights

    # --- calls ---

    def _start(self, call: Call, job: Job, site: CallSite) -> None:
        call_id, now_s = call[0], self._now_s
        job.in_flight += 1
        self._flights[call_id] = (call, job, site, now_s)
        if site.feeds:
            site.feed(+1)
        if site.timeout_s is not None:
            self._deadlines.add(now_s + site.timeout_s, call_id, self._flights)
        self._actions.append(_new(Start, (call,)))

    def _call_ended(self, call_id: int, reply: Reply, decision: BranchDecision | None) -> None:
        call, job, site, started_s = self._flights.pop(call_id)
        if self._expired and call_id in self._expired:
            self._expired.discard(call_id)
            if reply.outcome == "cancelled":
                timeout_s = self._now_s - started_s
                reply = reply._replace(outcome="timeout", error=f"no answer within {timeout_s:.3g} s")
        if self._selective:
            self._queues[call[6]].left(site)
            job.served_s += self._now_s - started_s
        else:
            site.state.in_flight -= 1
        if site.feeds:
            site.feed(-1)
        if self._lost and self._lost.pop(call_id, None) is not None:
            self._lost_ended(job, site, call, started_s, reply)
            return
        job.in_flight -= 1
        if job.open is not None:
            del job.open[call_id]
        self._record_call(job, site, call, started_s, reply)
        if reply[0] != "ok":
            self._call_failed(job, site, call, reply[0])
        elif job.outcome == "ok":
            if decision is not None and decision.error is not None:
                job.error = decision.error
                self._fail(job, "error")
            else:
                self._item_done(job, site, decision)
        elif not job.in_flight:
            self._job_ended(job)

    def _lost_ended(self, job: Job, site: CallSite, call: Call, started_s: float, reply: Reply) -> None:
        """A call that its job has given up has let go of its server; its job has counted it."""
        if reply.outcome == "cancelled":
            reply = reply._replace(error=NOT_NEEDED)
        self._record_call(job, site, call, started_s, reply)
        job.calls -= 1
        self.finished = self._arrivals.finished and not self._flights

    def _call_failed(self, job: Job, site: CallSite, call: Call, outcome: Outcome) -> None:
        if job.outcome != "ok" or call.attempt >= site.retries or outcome == "cancelled":
            self._fail(job, outcome)
            return
        wait_s = site.backoff_s * 2.0**call.attempt
        if wait_s:
            timer = next(self._timer_ids)
            self._backoffs[timer] = (job, site, call)
            self._actions.append(At(self._now_s + wait_s, Timer(timer)))
        else:
            self._try_again(job, site, call)

    def _try_again(self, job: Job, site: CallSite, failed: Call) -> None:
        """Queue the next attempt, unless its job has failed, or did without it, meanwhile."""
        if job.outcome != "ok" or (job.flow is not None and not job.flow.is_running(failed.node, failed.iteration)):
            return
        call = failed._replace(id=next(self._call_ids), attempt=failed.attempt + 1, ready_s=self._now_s)
        if site.pool is None:
            site.state.add(call, site, job)
        else:
            self._offers.offer(call, site, job)
        if job.open is not None:
            job.open[call.id] = call

    def _record_call(self, job: Job, site: CallSite, call: Call, started_s: float | None, reply: Reply) -> None:
        job.calls += 1
        self._actions.append(_new(Record, (site.call_record(call, started_s, reply, self.plan),)))

    # --- timers ---

    def _arm(self, at_s: float) -> None:
        """Keep one alarm, at the earliest time at which anything could be due: cheaper than a timer per call."""
        if self._alarm is None or at_s < self._alarm[0]:
            self._alarm = (at_s, next(self._timer_ids))
            self._actions.append(At(at_s, Timer(self._alarm[1])))

    def _timer(self, timer: int) -> None:
        if (delay := self._delays.pop(timer, None)) is not None:
            self._delay_ended(timer, *delay)
        elif (backoff := self._backoffs.pop(timer, None)) is not None:
            self._try_again(*backoff)
        elif self._alarm is not None and self._alarm[1] == timer:  # else an earlier alarm took its place
            self._alarm = None
            for call_id in self._deadlines.passed(self._now_s, self._flights):
                if self._lost.get(call_id, True):
                    self._expired.add(call_id)
                    self._actions.append(Cancel(call_id))

    def _begin_delay(self, job: Job, site: CallSite, iteration: int) -> None:
        timer = next(self._timer_ids)
        self._delays[timer] = (job, site, self._now_s, iteration)
        if job.delays is not None:
            job.delays[site.index] = timer
        site.feed(+1)
        delay_s = site.draw_delay_s(self._seed, self._drawn_by[job.pipeline], job.number, iteration)
        self._actions.append(At(self._now_s + delay_s, Timer(timer)))

    def _delay_ended(self, timer: int, job: Job, site: CallSite, start_s: float, iteration: int) -> None:
        site.feed(-1)
        self._actions.append(Record(site.delay_record(job.number, start_s, self._now_s, iteration)))
        if job.delays is not None and job.delays.get(site.index) == timer:
            del job.delays[site.index]
        if job.flow is not None and not job.flow.is_running(site.index, iteration):
            return  # others were enough
        if job.outcome == "ok":
            self._item_done(job, site, None)
