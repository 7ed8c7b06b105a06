"""The engine by hand, where a graph does more than wait for all."""

from __future__ import annotations

import tracemalloc

import pytest
from core.bench import OK, Bench
from core.graphs import FAN, SINGLE, node, pipeline, plan_of, queue_of, until

from harness.core.arrival_processes import Closed
from harness.core.engine import Engine
from harness.core.events import BranchDecision, Call, Cancelled, Done
from harness.core.graph import Node
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, Reply
from harness.core.sizes import Distribution, fixed
from harness.drivers.virtual import simulate

ERROR = Reply("error", error="500: boom")


def outcomes(bench: Bench) -> list[tuple[str, int, int, str]]:
    return [(c.node, c.call, c.attempt, c.outcome) for c in bench.calls]


def any_of(*names: str, need: int = 1, losers: str = "cancel") -> tuple[Node, ...]:
    before = tuple(node(name) for name in names)
    return (*before, node("join", tuple(range(len(names))), need=need, losers=losers))


def test_a_queued_loser_is_dropped_and_one_in_flight_is_cancelled() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b", "c")), slots=2)
    assert bench.due(0) == ["p0.a0#0", "p0.b0#1"]
    assert bench.done(1, 0) == ["p0.join0#3"]
    assert bench.cancels == [1]
    assert outcomes(bench) == [("a", 0, 0, "ok"), ("c", 2, 0, "cancelled")]
    assert bench.calls[1].started_s is None and bench.calls[1].not_needed
    assert bench.engine.in_flight == 2
    assert bench.done(2, 3) == []
    assert [(j.end_s, j.outcome, j.calls) for j in bench.jobs] == [(2, "ok", 4)]
    assert not bench.finished()  # the server has not let go of b
    bench.take(bench.engine.handle([Cancelled(1, Reply("cancelled", end_s=2.5))], 2.5))
    assert bench.calls[-1].call == 1 and bench.calls[-1].not_needed
    assert bench.finished()


def test_the_slot_of_a_cancelled_loser_is_busy_until_it_is_free() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b")), pipeline("q", *SINGLE, jobs=2), slots=2)
    assert bench.due(0) == ["p0.a0#0", "p0.b0#1"]
    assert bench.done(1, 0) == ["q0.only0#2"]
    assert bench.done(2, 2) == ["q1.only0#3"]  # one slot only, and the join waits behind it
    bench.take(bench.engine.handle([Cancelled(1, Reply("cancelled"))], 3))
    assert bench.engine.queued == 0
    assert bench.engine.in_flight == 2


def test_a_loser_let_run_outlives_its_job() -> None:
    chat = pipeline("p", *any_of("a", "b", losers="run"), jobs=2, arrival=Closed(1, fixed(1.0)))
    bench = Bench(chat, slots=4)
    bench.due(0)
    bench.done(1, 0)
    assert bench.cancels == []
    bench.done(2, 2)
    assert [(j.end_s, j.calls) for j in bench.jobs] == [(2, 3)]
    assert bench.due(3) == ["p1.a0#3", "p1.b0#4"]  # the user goes on meanwhile
    bench.done(4, 1, reply=ERROR)  # nobody minds
    bench.done(5, 4)
    bench.done(6, 5)
    assert [j.outcome for j in bench.jobs] == ["ok", "ok"]
    assert not bench.finished()
    bench.done(7, 3)
    assert bench.finished()
    assert len(bench.calls) == sum(j.calls for j in bench.jobs) == 6


def test_a_loser_that_ends_at_the_same_instant_is_not_cancelled() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b")))
    bench.due(0)
    assert bench.done(1, 0, 1) == ["p0.join0#2"]
    assert bench.cancels == []
    assert outcomes(bench) == [("a", 0, 0, "ok"), ("b", 1, 0, "ok")]


def test_a_loser_whose_answer_somebody_wants_goes_on() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b"), node("report", (0,))))
    bench.due(0)
    assert bench.done(1, 1) == ["p0.join0#2"]
    assert bench.cancels == []
    assert bench.done(2, 0) == ["p0.report0#3"]


def test_a_timeout_of_a_loser_does_not_cancel_it_twice() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b")), timeout_s=5.0)
    bench.due(0)
    bench.done(1, 0)
    bench.due(5.0)
    assert bench.cancels == [1]
    bench.take(bench.engine.handle([Cancelled(1, Reply("cancelled"))], 5.5))
    assert bench.calls[-1].not_needed


def test_a_call_whose_time_was_up_is_not_cancelled_again_when_it_loses() -> None:
    nodes = (node("a"), node("b", timeout_s=2.0), node("join", (0, 1), need=1))
    bench = Bench(pipeline("p", *nodes))
    bench.due(0)
    bench.due(2.0)
    assert bench.done(3, 0) == ["p0.join0#2"]
    assert bench.cancels == [1]
    bench.take(bench.engine.handle([Cancelled(1, Reply("cancelled"))], 4))
    assert bench.calls[-1].outcome == "timeout"
    bench.done(5, 2)
    assert bench.jobs[0].outcome == "ok" and bench.finished()


def test_enough_items_cancel_the_others() -> None:
    bench = Bench(pipeline("p", node("vote", width=4, enough=2), node("count", (0,))), slots=3)
    assert bench.due(0) == ["p0.vote0#0", "p0.vote1#1", "p0.vote2#2"]
    assert bench.done(1, 0) == ["p0.vote3#3"]
    assert bench.done(2, 2) == ["p0.count0#4"]
    assert bench.cancels == [1, 3]


def test_a_tool_that_loses_is_forgotten_or_sat_out() -> None:
    for losers, sat_out in (("cancel", 0), ("run", 1)):
        nodes = (
            node("fetch", delay_s=9.0),
            node("ask"),
            node("join", (0, 1), need=1, losers=losers),
            node("end", (2,)),
        )
        bench = Bench(pipeline("p", *nodes))
        bench.due(0)
        bench.done(1, 0)
        bench.due(9.0)
        assert sum(isinstance(r, DelayRecord) for r in bench.records) == sat_out
        bench.done(10, 1)
        bench.done(11, 2)
        assert bench.finished()


def test_retries_wait_longer_each_time_and_then_the_job_fails() -> None:
    bench = Bench(pipeline("p", node("n", retries=2, backoff_s=0.5)))
    assert bench.due(0) == ["p0.n0#0"]
    assert bench.done(1, 0, reply=ERROR) == []
    assert bench.due(1.5) == ["p0.n0#1"]
    assert bench.done(2, 1, reply=ERROR) == []
    assert bench.due(2.75) == []
    assert bench.due(3.0) == ["p0.n0#2"]
    bench.done(4, 2, reply=ERROR)
    assert outcomes(bench) == [("n", 0, 0, "error"), ("n", 1, 1, "error"), ("n", 2, 2, "error")]
    assert [c.ready_s for c in bench.calls] == [0, 1.5, 3.0]
    assert [(j.outcome, j.calls, j.error) for j in bench.jobs] == [("error", 3, None)]
    assert bench.finished()


def test_a_retry_without_back_off_follows_at_once_and_may_succeed() -> None:
    bench = Bench(pipeline("p", node("n", retries=1)))
    bench.due(0)
    assert bench.done(1, 0, reply=Reply("rejected")) == ["p0.n0#1"]
    bench.done(2, 1)
    assert [(j.outcome, j.calls) for j in bench.jobs] == [("ok", 2)]


def test_a_timeout_is_tried_again_when_the_server_has_let_go() -> None:
    bench = Bench(pipeline("p", node("n", retries=1, timeout_s=2.0)), timeout_s=50.0)
    bench.due(0)
    assert bench.due(2.0) == []
    assert bench.cancels == [0]
    assert bench.take(bench.engine.handle([Cancelled(0, Reply("cancelled", end_s=3.0))], 3.0)) == ["p0.n0#1"]
    bench.done(4, 1)
    assert [(c.attempt, c.outcome) for c in bench.calls] == [(0, "timeout"), (1, "ok")]
    assert bench.jobs[0].outcome == "ok"


def test_nobody_asks_again_for_a_job_that_has_failed_or_did_without() -> None:
    failed = Bench(pipeline("p", node("a", retries=1, backoff_s=5.0), node("b")))
    failed.due(0)
    failed.done(1, 0, reply=ERROR)
    failed.done(2, 1, reply=ERROR)
    assert failed.finished()  # a failed job does not wait for its back-off
    assert failed.due(6) == []
    nodes = (node("a", retries=1, backoff_s=5.0), node("b"), node("join", (0, 1), need=1))
    without = Bench(pipeline("p", *nodes))
    without.due(0)
    without.done(1, 0, reply=ERROR)
    assert without.done(2, 1) == ["p0.join0#2"]
    assert without.due(6) == []
    without.done(7, 2)
    assert without.jobs[0].outcome == "ok" and without.finished()


def test_a_job_that_fails_does_not_wait_for_its_losers() -> None:
    bench = Bench(pipeline("p", *any_of("a", "b", losers="run")))
    bench.due(0)
    bench.done(1, 0)
    bench.done(2, 2, reply=ERROR)
    assert [(j.end_s, j.outcome, j.calls) for j in bench.jobs] == [(2, "error", 3)]
    assert not bench.finished()
    bench.done(3, 1)
    assert bench.finished()


def test_an_answer_that_no_rule_matches_fails_the_job() -> None:
    bench = Bench(pipeline("p", node("a", shares=(1.0,), labels=("x",)), node("b", (0,), takes=(0,))))
    bench.due(0)
    decision = BranchDecision(error='node "a": no rule matches "hm"')
    bench.take(bench.engine.handle([Done(0, OK, decision)], 1.0))
    assert bench.calls[0].outcome == "ok"
    assert [(j.outcome, j.error, j.calls) for j in bench.jobs] == [("error", 'node "a": no rule matches "hm"', 1)]
    assert bench.finished()


def test_the_model_decides_where_it_said_something() -> None:
    nodes = (node("a"), node("b", (0,), 5, over=0), until("u", (1,), (0, 1), 4, end_share=1.0, decides=0))
    bench = Bench(pipeline("p", *nodes), slots=9)
    bench.due(0)
    assert bench.take(bench.engine.handle([Done(0, OK, BranchDecision(stop=False, items=2))], 1.0)) == [
        "p0.b0#1",
        "p0.b1#2",
    ]
    assert bench.done(2, 1, 2) == ["p0.a0#3"]
    assert bench.take(bench.engine.handle([Done(3, OK, BranchDecision(stop=True, items=0))], 3.0)) == []
    assert [(c.node, c.item, c.iteration) for c in bench.calls] == [("a", 0, 0), ("b", 0, 0), ("b", 1, 0), ("a", 0, 1)]
    assert bench.finished()


@pytest.mark.parametrize("scheduling", ["fifo", "interactive-first"])
def test_priority_comes_before_the_order(scheduling: str) -> None:
    chat = pipeline("c", *SINGLE, path="interactive")
    batch = pipeline("b", node("low"), node("high", priority=2), node("least", priority=-1))
    bench = Bench(batch, chat, concurrency="serial", scheduling=scheduling, slots=1)
    started = bench.due(0)
    for now_s in range(1, 4):
        started += bench.done(now_s, int(started[-1].split("#")[1]))
    rest = ["b0.low0#0", "c0.only0#3"]
    assert started == ["b0.high0#1", *(rest if scheduling == "fifo" else rest[::-1]), "b0.least0#2"]


def test_nodes_of_one_pipeline_on_different_servers() -> None:
    queues = (queue_of("big", 1, "serial"), queue_of("small", 1, "serial"))
    spec = pipeline("p", *FAN)
    records: list[object] = []
    engine = Engine((spec,), Plan("two", queues, ((1, 0),)), origin="predicted")
    simulate(engine, lambda call, now_s: OK._replace(end_s=now_s + 1), records.append)
    calls = [r for r in records if isinstance(r, CallRecord)]
    assert [(c.node, c.server, c.started_s) for c in calls] == [
        *(("split", "small", i) for i in range(4)),
        ("merge", "big", 4),
    ]


def test_a_wave_waits_for_a_loop_that_leads_back_to_it() -> None:
    """Of two loops one call runs on another server: its next pass comes here, so the wave waits for it."""
    queues = (queue_of("waves", 2, "waves", max_wait_s=50.0), queue_of("other", 9))
    loop = (node("a"), node("b", (0,)), until("u", (1,), (0, 1), 2))
    spec = pipeline("p", *loop, jobs=2)
    records: list[object] = []
    engine = Engine((spec,), Plan("two", queues, ((0, 1, 0),)), origin="predicted")

    def serve(call: Call, now_s: float) -> Reply:
        return OK._replace(end_s=now_s + (1 + 2 * call.job if call.node == 1 else 1))

    simulate(engine, serve, records.append)
    calls = [r for r in records if isinstance(r, CallRecord) and r.node == "a"]
    assert [(c.job, c.iteration, c.started_s) for c in calls] == [(0, 0, 0), (1, 0, 0), (0, 1, 4), (1, 1, 4)]


def test_tool_delays_are_drawn_by_key() -> None:
    spread = Distribution("uniform", (1.0, 9.0))
    spec = pipeline("p", node("t", delay_s=0.0, delay=spread), until("u", (0,), (0,), 3))
    records: list[object] = []
    engine = Engine((spec,), Plan("d", (queue_of("s", 1),), ((0, 0),)), origin="predicted", seed=5, repeat=2)
    simulate(engine, lambda call, now_s: OK, records.append)
    delays = [r for r in records if isinstance(r, DelayRecord)]
    assert [d.iteration for d in delays] == [0, 1, 2]
    drawn = [spread.draw(5, 2, "p", 0, "t", 0, i, "delay") for i in range(3)]
    assert [d.end_s - d.start_s for d in delays] == pytest.approx(drawn)


def test_nothing_is_kept_of_a_job_that_has_ended() -> None:
    """Four times the jobs, with loops, lists and losers: no more memory but for records, which nobody keeps here."""
    spread = Distribution("uniform", (1, 5), True)
    nodes = (
        node("plan", retries=1, backoff_s=0.5),
        node("work", (0,), 5, over=0, items=spread, enough=3),
        node("check", (1,)),
        node("doubt", (1,)),
        until("u", (2, 3), (0, 1, 2, 3), 4, end_share=0.3),
        node("wait", (4,), delay_s=0.25),
        node("end", (4, 5), need=1),
    )

    def peak_bytes(jobs: int) -> tuple[int, int]:
        spec = pipeline("p", *nodes, jobs=jobs, arrival=Closed(4))
        engine = Engine((spec,), plan_of("m", (queue_of("s", 4),), (spec,)), origin="predicted", timeout_s=3600.0)
        made = 0

        def forget(record: object) -> None:
            nonlocal made
            made += 1

        tracemalloc.start()
        simulate(engine, lambda call, now_s: (ERROR if call.id % 10 == 0 else OK)._replace(end_s=now_s + 1), forget)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, made

    peak_bytes(10)  # what is kept once and for all
    few, made = peak_bytes(150)
    many, four_times = peak_bytes(600)
    assert four_times > 3.5 * made > 3000
    assert many < 1.5 * few < 1_000_000
