"""Random pipelines with every feature: both drivers make equal records, and what ran is what the graph says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from conftest import VirtualLoop
from core.random_graphs import TICK_S, pipelines, plans
from core.reference import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Action, BranchDecision, Call, Done, Event, Start
from harness.core.graph import Pipeline
from harness.core.plan import Plan, Pool, queues_of
from harness.core.records import NOT_NEEDED, CallRecord, DelayRecord, JobRecord, Reply
from harness.core.sizes import Distribution
from harness.drivers.live import Answered, drive
from harness.drivers.virtual import Limits, simulate

AnyRecord = CallRecord | JobRecord | DelayRecord

SEED = 7
FEW = Distribution("empirical", tuple(n * TICK_S for n in (0, 16, 32, 48)))  # few different times: many ties
MANY = Distribution("uniform", (1.0, 2.0**28), True)  # hardly ever a tie

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Served:
    """How long a call takes and how it ends: a function of what it is, never of when."""

    def __init__(self, durations: int, failing: float) -> None:
        self.durations = durations  # how many different ones there are
        self.failing = failing

    def __call__(self, call: Call, now_s: float) -> Reply:
        key = (call.pipeline, call.job, call.node, call.item, call.iteration, call.attempt)
        duration_s = (
            (1 + integer(self.durations, SEED, *key, "duration")) * (1 if self.durations > 100 else 16) * TICK_S
        )
        if integer(1000, SEED, *key, "failure") < 1000 * self.failing:
            return Reply("error", now_s, None, now_s + duration_s, "500: on purpose")
        return Reply("ok", now_s, now_s, now_s + duration_s)


class Told(Engine):
    """Takes what the rules found with every call that ended well: the virtual driver has no text to find it in."""

    def __init__(self, decision: Ruled, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decision = decision
        self.calls: dict[int, Call] = {}

    def handle(self, events: Sequence[Event], now_s: float) -> list[Action]:
        actions = super().handle([self._with_says(event) for event in events], now_s)
        self.calls |= {action.call.id: action.call for action in actions if isinstance(action, Start)}
        return actions

    def _with_says(self, event: Event) -> Event:
        if isinstance(event, Done) and event.reply.outcome == "ok":
            return event._replace(decision=self.decision(self.calls[event.call]))
        return event


class Ruled:
    """What the rules find in the answer of a call where the model is in control: now and then nothing."""

    def __init__(self, some: tuple[Pipeline, ...]) -> None:
        self.graphs = [pipeline.graph for pipeline in some]

    def __call__(self, call: Call) -> BranchDecision:
        nodes = self.graphs[call.pipeline].nodes
        key = (SEED, call.pipeline, call.job, call.node, call.item, call.iteration)
        lists = any(node.over == call.node for node in nodes)
        decides = any(node.decides == call.node for node in nodes)
        return BranchDecision(
            branch=integer(len(nodes[call.node].labels), *key, "says") if nodes[call.node].labels else None,
            stop=integer(2, *key, "stop") == 1 if decides else None,
            items=integer(4, *key, "items") if lists else None,
            error="no rule matched" if integer(20, *key, "error") == 0 else None,
        )


def engine_of(some: tuple[Pipeline, ...], plan: Plan, timeout_s: float | None) -> Engine:
    return Engine(some, plan, origin="predicted", seed=SEED, repeat=3, timeout_s=timeout_s)


def virtual(some: tuple[Pipeline, ...], plan: Plan, served: Served, timeout_s: float | None) -> list[AnyRecord]:
    records: list[AnyRecord] = []
    simulate(engine_of(some, plan, timeout_s), served, records.append, Limits(virtual_s=2.0**60))
    return records


def live(
    some: tuple[Pipeline, ...], plan: Plan, served: Served, timeout_s: float | None, ruled: Ruled | None = None
) -> list[AnyRecord]:
    records: list[AnyRecord] = []
    loop = VirtualLoop()

    async def send(call: Call) -> Reply | Answered:
        reply = served(call, loop.time())
        assert reply.end_s is not None
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not ended.done():  # it may be cancelled at this very instant
                ended.set_result(None)

        loop.call_at(reply.end_s, end)  # exact: the sums of a sleep would not be
        await ended
        return reply if ruled is None or reply.outcome != "ok" else Answered(reply, ruled(call))

    async def main() -> None:
        await drive(engine_of(some, plan, timeout_s), send, records.append, start_s=0.0, settle=loop.idle)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return records


@SLOW
@given(st.data(), pipelines(FEW, 3 * TICK_S), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([None, 40 * TICK_S]))
def test_both_drivers_make_equal_records(
    data: st.DataObject, some: tuple[Pipeline, ...], failing: float, timeout_s: float | None
) -> None:
    plan = data.draw(plans(some))
    served = Served(4, failing)
    expected = virtual(some, plan, served, timeout_s)
    assert live(some, plan, served, timeout_s) == expected
    check_slots(expected, plan)
    check_places(expected, some, plan)


@SLOW
@given(st.data(), pipelines(FEW, 3 * TICK_S), st.sampled_from([0.0, 0.1]))
def test_both_drivers_make_equal_records_where_the_model_decides(
    data: st.DataObject, some: tuple[Pipeline, ...], failing: float
) -> None:
    plan = data.draw(plans(some))
    served, ruled = Served(4, failing), Ruled(some)
    expected: list[AnyRecord] = []
    engine = Told(ruled, some, plan, origin="predicted", seed=SEED, repeat=3)
    simulate(engine, served, expected.append)
    assert live(some, plan, served, None, ruled) == expected
    told = [record for record in expected if isinstance(record, JobRecord) and record.error]
    assert all((job.outcome, job.error) == ("error", "no rule matched") for job in told)


@SLOW
@given(st.data(), pipelines(MANY, 2.0**19, apart=True), st.sampled_from([0.0, 0.05, 0.3]))
def test_what_ran_is_what_the_graph_says(data: st.DataObject, some: tuple[Pipeline, ...], failing: float) -> None:
    plan = data.draw(plans(some))
    made = virtual(some, plan, Served(2**30, failing), None)
    check_slots(made, plan)
    calls: dict[tuple[str, int], list[CallRecord]] = defaultdict(list)
    delays: dict[tuple[str, int], list[DelayRecord]] = defaultdict(list)
    for record in made:
        if isinstance(record, CallRecord):
            calls[record.pipeline, record.job].append(record)
        elif isinstance(record, DelayRecord):
            delays[record.pipeline, record.job].append(record)
    jobs = [record for record in made if isinstance(record, JobRecord)]
    assert len(jobs) == sum(p.jobs or 0 for p in some)
    for job in jobs:
        mine = calls[job.pipeline, job.job]
        spec = next(p for p in some if p.name == job.pipeline)
        should = reference(spec, SEED, job, mine, delays[job.pipeline, job.job])
        assert {(c.node, c.iteration, c.item, c.attempt): c.ready_s for c in mine} == should.calls
        assert len(mine) == len(should.calls) == job.calls
        assert (job.outcome, job.end_s) == (should.outcome, should.end_s)
        for call in mine:
            since_s = should.not_needed.get((call.node, call.iteration, call.item))
            if call.reply.error == NOT_NEEDED:
                assert call.outcome == "cancelled" and since_s is not None
                assert call.started_s is None or call.reply.end_s == since_s
            elif call.outcome == "cancelled":
                assert job.outcome != "ok" and call.started_s is None
            elif since_s is not None and call.reply.end_s is not None and call.reply.end_s > since_s:
                assert any(node.losers == "run" for node in spec.graph.nodes)


def check_slots(made: list[Any], plan: Plan) -> None:
    """A cancelled call holds its slot until the server has let go of it."""
    calls = [record for record in made if isinstance(record, CallRecord) and record.started_s is not None]
    for queue in plan.queues:
        most, batch = queue.most, queue.most_batch
        if most is None:
            continue
        mine = [call for call in calls if call.server == queue.server]
        for moment in {call.started_s for call in mine}:
            assert moment is not None
            running = [c.path for c in mine if (c.started_s or 0.0) <= moment < (c.reply.end_s or 0.0)]
            assert len(running) <= most
            assert batch is None or running.count("batch") <= batch


def check_places(made: list[Any], some: tuple[Pipeline, ...], plan: Plan) -> None:
    """Every call that was sent went to a server of its node; with affinity all of a job to one."""
    homes: dict[tuple[Pool, str, int], str] = {}
    nodes = {
        (pipeline.name, node.name): at
        for pipeline, place in zip(some, plan.placement, strict=True)
        for node, at in zip(pipeline.graph.nodes, place, strict=True)
    }
    for call in made:
        if isinstance(call, CallRecord) and call.started_s is not None:
            at = nodes[call.pipeline, call.node]
            assert call.server in {plan.queues[queue].server for queue in queues_of(at)}
            if isinstance(at, Pool) and at.policy.settles:
                assert homes.setdefault((at, call.pipeline, call.job), call.server) == call.server
