"""Jobs that come from outside: who leaves is dropped, a server that is gone is left out, and nothing is kept."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest
from core.graphs import graph, node, plan_of, pool_of, queue_of

from harness.core.arrival_processes import Requests
from harness.core.engine import Engine
from harness.core.events import Action, Ask, At, Cancelled, Done, Event, Leave, Reach, Record, Start, Timer
from harness.core.graph import Pipeline
from harness.core.offers import MOST_HOMES
from harness.core.open_engine import GONE, OpenEngine
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, JobRecord, Reply
from harness.core.scheduling import Scheduling

OK = Reply("ok")
CALL = graph(node("call"))
PIPELINES = tuple(Pipeline(path, path, CALL, Requests(), None) for path in ("interactive", "batch"))
CHAT, WORK = 0, 1


class Outside:
    """An open engine by hand: what starts is shown as (job, server)."""

    def __init__(self, *queues: ServerQueue, placement: str = "") -> None:
        if placement:
            pool = pool_of(placement, tuple(range(len(queues))))
            plan = Plan("open", queues, ((pool,), (pool,)))
        else:
            plan = plan_of("open", queues, PIPELINES)
        self.engine = OpenEngine(PIPELINES, plan, origin="measured")
        self.records: list[CallRecord | JobRecord] = []
        self.calls: dict[int, int] = {}  # by job
        self.timers: list[At] = []
        assert self.engine.begin() == []

    def at(self, now_s: float, *events: Event) -> list[tuple[int, str]]:
        return self._take(self.engine.handle(events, now_s))

    def ended(self, now_s: float, *jobs: int) -> list[tuple[int, str]]:
        return self.at(now_s, *(Done(self.calls[job], OK) for job in jobs))

    def _take(self, actions: Sequence[Action]) -> list[tuple[int, str]]:
        started = []
        for action in actions:
            match action:
                case Start(call):
                    self.calls[call.job] = call.id
                    started.append((call.job, self.engine.plan.queues[call.queue].server))
                case Record(record):
                    assert isinstance(record, CallRecord | JobRecord)
                    self.records.append(record)
                case At():
                    self.timers.append(action)
        return started


def one(**settings: Any) -> Outside:
    return Outside(queue_of("a", **{"slots": 1, **settings}))


def two(placement: str = "least-loaded", slots: int = 1) -> Outside:
    return Outside(queue_of("a", slots), queue_of("b", slots), placement=placement)


def test_requests_keep_the_numbers_that_they_bring_and_the_order_of_these() -> None:
    it = one()
    assert it.at(1.0, Ask(8, WORK, 1.0), Ask(7, WORK, 1.0)) == [(7, "a")]
    assert it.ended(2.0, 7) == [(8, "a")]
    assert it.ended(3.0, 8) == []
    calls = [r for r in it.records if isinstance(r, CallRecord)]
    assert [(c.job, c.ready_s, c.started_s, c.path, c.outcome) for c in calls] == [
        (7, 1.0, 1.0, "batch", "ok"),
        (8, 1.0, 2.0, "batch", "ok"),
    ]
    assert not it.engine.finished


def test_a_request_goes_by_the_policies_of_runs() -> None:
    it = one(scheduling="interactive-first")
    it.at(0.0, Ask(0, WORK, 0.0))
    it.at(1.0, Ask(1, WORK, 1.0))
    it.at(2.0, Ask(2, CHAT, 2.0))
    assert it.ended(3.0, 0) == [(2, "a")]
    assert [r.path for r in it.records if isinstance(r, CallRecord)] == ["batch"]
    assert it.engine.queues() == [(1, 1)]


def test_an_own_key_that_takes_the_time_gets_it_here_too() -> None:
    """The last comes first, but who has waited for 5 s goes before all others."""
    own = Scheduling(lambda call, *_, now_s: (now_s < call.ready_s + 5, -call.ready_s), name="own", about=".")
    it = Outside(ServerQueue("a", 1, scheduling=own))
    it.at(0.0, Ask(0, WORK, 0.0))
    it.at(1.0, Ask(1, WORK, 1.0))
    it.at(4.0, Ask(2, WORK, 4.0))
    assert it.ended(4.5, 0) == [(2, "a")]
    it.at(5.5, Ask(3, WORK, 5.5))
    assert it.ended(6.25, 2) == [(1, "a")]


def test_who_leaves_the_queue_is_dropped_and_those_behind_move_up() -> None:
    it = one()
    it.at(0.0, Ask(0, WORK, 0.0), Ask(1, WORK, 0.0), Ask(2, WORK, 0.0))
    assert it.at(1.0, Leave(1)) == []
    call, job = it.records
    assert isinstance(call, CallRecord) and isinstance(job, JobRecord)
    assert (call.job, call.started_s, call.reply) == (1, None, Reply("cancelled", error=GONE))
    assert (job.job, job.outcome, job.calls, job.end_s) == (1, "cancelled", 1, 1.0)
    assert it.ended(2.0, 0) == [(2, "a")]


def test_who_leaves_at_the_instant_at_which_a_slot_becomes_free_does_not_get_it() -> None:
    it = one()
    it.at(0.0, Ask(0, WORK, 0.0), Ask(1, WORK, 0.0), Ask(2, WORK, 0.0))
    assert it.at(1.0, Leave(1), Done(it.calls[0], OK)) == [(2, "a")]
    assert it.at(1.5, Ask(3, WORK, 1.5), Leave(3)) == []  # it came and went at once
    assert it.engine.queues() == [(1, 0)]


def test_leaving_twice_or_after_the_start_changes_nothing() -> None:
    it = one()
    it.at(0.0, Ask(0, WORK, 0.0), Ask(1, WORK, 0.0))
    it.at(1.0, Leave(1))
    assert it.at(2.0, Leave(1), Leave(0), Leave(5)) == []
    assert it.engine.queues() == [(1, 0)]
    assert it.at(3.0, Cancelled(it.calls[0], Reply("cancelled"))) == []
    assert it.engine.queues() == [(0, 0)]
    assert [(r.job, r.outcome) for r in it.records if isinstance(r, JobRecord)] == [(1, "cancelled"), (0, "cancelled")]


def test_a_server_that_is_gone_gets_nothing_and_what_waits_goes_to_others() -> None:
    it = two()
    assert it.at(0.0, Ask(0, WORK, 0.0), Ask(1, WORK, 0.0), Ask(2, WORK, 0.0)) == [(0, "a"), (1, "b")]
    assert it.at(1.0, Reach(0, up=False), Done(it.calls[0], Reply("error"))) == []
    assert it.ended(2.0, 1) == [(2, "b")]
    assert it.at(3.0, Ask(3, WORK, 3.0)) == []
    assert it.at(4.0, Reach(0, up=True)) == [(3, "a")]
    assert it.engine.queues() == [(1, 0), (1, 0)]


def test_with_no_server_left_calls_wait_until_the_first_is_back() -> None:
    it = two()
    it.at(0.0, Reach(0, up=False), Reach(1, up=False))
    assert it.at(1.0, Ask(0, WORK, 1.0), Ask(1, WORK, 1.0)) == []
    assert it.at(2.0, Reach(1, up=True)) == [(0, "b")]
    assert it.ended(3.0, 0) == [(1, "b")]


def test_a_single_server_that_is_gone_holds_its_queue() -> None:
    it = one(slots=2)
    it.at(0.0, Reach(0, up=False))
    assert it.at(1.0, Ask(0, WORK, 1.0), Ask(1, WORK, 1.0)) == []
    assert it.at(2.0, Reach(0, up=True)) == [(0, "a"), (1, "a")]


def test_a_wave_that_is_overdue_on_a_server_that_is_gone_sets_no_alarm() -> None:
    it = one(slots=2, concurrency="waves", max_wait_s=0.5)
    it.at(0.0, Ask(0, WORK, 0.0))
    it.at(0.1, Reach(0, up=False))
    it.timers.clear()
    it.at(2.0, Ask(1, WORK, 2.0), Timer(99))
    assert it.timers == []
    it.ended(3.0, 0)
    assert it.at(4.0, Reach(0, up=True)) == [(1, "a")]


def test_a_conversation_stays_where_it_settled_until_that_server_is_gone() -> None:
    it = two("affinity", slots=2)
    assert it.at(0.0, Ask(0, CHAT, 0.0, 77)) == [(0, "a")]
    assert it.at(1.0, Ask(1, CHAT, 1.0, 77), Ask(2, CHAT, 1.0, 88)) == [(2, "b"), (1, "a")]
    assert it.at(2.0, Ask(3, CHAT, 2.0, 77)) == []  # its server is full, and the other has a slot
    assert it.at(3.0, Reach(0, up=False)) == [(3, "b")]
    it.ended(4.0, 3)
    it.at(5.0, Reach(0, up=True))
    assert it.at(6.0, Ask(4, CHAT, 6.0, 77)) == [(4, "b")]


def test_only_an_open_engine_hears_of_what_happens_outside() -> None:
    engine = Engine(PIPELINES, plan_of("x", (queue_of("a", 1),), PIPELINES), origin="predicted")
    with pytest.raises(ValueError, match="only an open engine"):
        engine.handle([Leave(0)], 0.0)


def held(engine: OpenEngine) -> int:
    """Count every container entry that an engine holds on to, however deep."""
    seen: set[int] = set()
    entries, todo = 0, [engine]
    while todo:
        for held in gc.get_referents(todo.pop()):
            if id(held) not in seen and not isinstance(held, type) and type(held).__module__ != "harness.core.policy":
                seen.add(id(held))
                if isinstance(held, dict | list | set | tuple) or type(held).__module__.startswith("harness.core"):
                    entries += len(held) if isinstance(held, dict | list | set) else 0
                    todo.append(held)
    return entries


@pytest.mark.parametrize("placement", ["", "least-loaded", "affinity"])
@pytest.mark.parametrize("concurrency", ["window", "reserve"])
def test_nothing_is_kept_of_requests_that_have_ended(placement: str, concurrency: str) -> None:
    """As many entries after 20,000 requests as after 2,000; some leave, and servers come and go meanwhile."""
    it = Outside(queue_of("a", 2, concurrency), queue_of("b", 2, concurrency), placement=placement)

    def run(first: int, last: int) -> int:
        for job in range(first, last):
            now_s = float(job)
            pipeline = job % 2
            it.at(now_s, Ask(job, pipeline, now_s, job if job % 3 else -1))
            if job % 5 == 0:
                it.at(now_s, Leave(job))
            if job % 100 == 0:
                it.at(now_s, Reach(0, up=job % 200 == 0))
            if job % 4 == 3:
                for _ in range(20):  # more become free as others end
                    for done, call in list(it.calls.items()):
                        del it.calls[done]
                        it.at(now_s, Done(call, OK))
            it.records.clear()
            it.timers.clear()
        it.at(float(last), Reach(0, up=True))
        while it.calls:
            for done, call in list(it.calls.items()):
                del it.calls[done]
                it.at(float(last), Done(call, OK))
        assert it.engine.queues() == [(0, 0), (0, 0)]
        it.engine._offers._homes.clear()  # bounded: see below
        gc.collect()
        return held(it.engine)

    before = run(0, 2000)
    assert run(2000, 20_000) == before


def test_what_a_full_server_cannot_take_is_not_kept_there() -> None:
    """All that another one has taken is cleared away, although nothing moves here."""
    it = two()
    it.at(0.0, Ask(0, WORK, 0.0), Ask(1, WORK, 0.0))
    for job in range(2, 10_000):  # one is always waiting, for both
        it.at(float(job), Ask(job, WORK, float(job)))
        it.ended(float(job), job - 1)
    assert max(len(queue.heap) for queue in it.engine._queues) < 3000


def test_the_last_conversations_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_HOMES == 65536
    monkeypatch.setattr("harness.core.offers.MOST_HOMES", 3)
    it = two("affinity", slots=9)

    def to(job: int, session: int) -> str:
        ((_, server),) = it.at(float(job), Ask(job, CHAT, float(job), session))
        return server

    assert [to(job, job) for job in range(4)] == ["a", "b", "a", "b"]
    it.ended(5.0, 0, 2)
    assert to(6, 1) == "b"  # known: a has more free slots
    assert to(7, 0) == "a"  # forgotten
    assert to(8, 1) == "b"  # used since, so it is still known
