"""The engine by hand: events in, actions out, exactly."""

from __future__ import annotations

import pytest
from core.bench import OK, Bench
from core.graphs import DIAMOND, FAN, SINGLE, node, pipeline

from harness.core.arrival_processes import Closed, Every, Listed
from harness.core.events import Arrive, Cancelled, Done, Event, Timer
from harness.core.records import DelayRecord, Reply
from harness.core.sizes import fixed


def test_a_window_is_filled_and_refilled_and_the_merge_waits_for_all() -> None:
    bench = Bench(pipeline("p", *FAN))
    assert bench.due(0) == ["p0.split0#0", "p0.split1#1"]
    assert bench.done(1, 1) == ["p0.split2#2"]
    assert bench.done(2, 0) == ["p0.split3#3"]
    assert bench.done(3, 2) == []
    assert bench.done(3, 3) == ["p0.merge0#4"]
    assert bench.finished() is False
    assert bench.done(5, 4) == []
    assert bench.finished()
    assert [(j.due_s, j.end_s, j.outcome, j.calls) for j in bench.jobs] == [(0, 5, "ok", 5)]


def test_serial_lets_one_go_whoever_it_belongs_to() -> None:
    bench = Bench(pipeline("a", *SINGLE), pipeline("b", *SINGLE), concurrency="serial")
    assert bench.due(0) == ["a0.only0#0"]
    assert bench.done(1, 0) == ["b0.only0#1"]


def test_unbounded_sends_everything() -> None:
    assert len(Bench(pipeline("p", node("n", width=9)), concurrency="unbounded").due(0)) == 9


def test_window_may_be_smaller_than_the_slots() -> None:
    assert len(Bench(pipeline("p", node("n", width=9)), slots=8, limit=3).due(0)) == 3


def test_a_wave_starts_full_and_the_next_waits_until_nothing_is_in_flight() -> None:
    bench = Bench(pipeline("p", node("n", width=5)), concurrency="waves", slots=2)
    assert bench.due(0) == ["p0.n0#0", "p0.n1#1"]
    assert bench.done(1, 0) == []
    assert bench.done(2, 1) == ["p0.n2#2", "p0.n3#3"]
    # the last wave is not full, but nothing that runs leads here
    assert bench.done(3, 2, 3) == ["p0.n4#4"]


def test_a_wave_waits_for_a_running_tool_that_leads_here_but_not_longer_than_max_wait() -> None:
    tool = (node("fetch", delay_s=10.0), node("read", (0,)))
    bench = Bench(pipeline("slow", *tool), pipeline("one", *SINGLE), concurrency="waves", slots=2, max_wait_s=3.0)
    assert bench.due(0) == []  # one call ready, a tool under way whose successor is placed here
    assert bench.due(2.5) == []
    assert bench.due(3.0) == ["one0.only0#0"]
    assert bench.done(4, 0) == []
    assert bench.due(10.0) == ["slow0.read0#1"]


def test_a_wave_is_not_held_back_by_queued_calls_or_thinking_users() -> None:
    users = pipeline("chat", *SINGLE, jobs=2, arrival=Closed(1, fixed(50.0)))
    bench = Bench(users, concurrency="waves", slots=4)
    assert bench.due(0) == ["chat0.only0#0"]


def test_interactive_first_overtakes_until_a_batch_call_has_aged() -> None:
    batch = pipeline("b", node("n", width=3))
    chat = pipeline("c", *SINGLE, path="interactive", jobs=2, arrival=Listed((1.0, 40.0)))
    bench = Bench(batch, chat, concurrency="serial", scheduling="interactive-first", ageing_s=30.0)
    assert bench.due(0) == ["b0.n0#0"]
    assert bench.due(1.0) == []
    assert bench.done(2, 0) == ["c0.only0#3"]  # overtakes b0.n1 and b0.n2
    assert bench.done(3, 3) == ["b0.n1#1"]
    assert bench.due(40.0) == []
    assert bench.done(41, 1) == ["b0.n2#2"]  # has waited 40 s longer than the chat: its turn
    assert bench.done(42, 2) == ["c1.only0#4"]


def test_what_happens_at_one_instant_is_one_batch_whatever_its_order() -> None:
    def starts(reverse: bool) -> list[str]:
        bench = Bench(pipeline("p", *DIAMOND, jobs=2))
        bench.due(0)
        events: list[Event] = [Done(0, OK), Done(1, OK)]
        return bench.take(bench.engine.handle(events[::-1] if reverse else events, 1.0))

    assert starts(False) == starts(True) == ["p0.left0#2", "p0.right0#3"]


def test_a_call_that_ends_at_its_timeout_has_ended() -> None:
    bench = Bench(pipeline("p", *SINGLE), timeout_s=5.0)
    bench.due(0)
    events: list[Event] = [at.event for at in bench.agenda if at.at_s == 5.0]
    assert events
    bench.take(bench.engine.handle([*events, Done(0, OK)], 5.0))
    assert bench.cancels == []
    assert bench.jobs[0].outcome == "ok"


def test_a_timeout_cancels_and_the_slot_is_busy_until_the_server_let_go() -> None:
    bench = Bench(pipeline("p", node("n", width=2)), timeout_s=5.0, concurrency="serial")
    assert bench.due(0) == ["p0.n0#0"]
    assert bench.due(5.0) == []
    assert bench.cancels == [0]
    assert bench.engine.in_flight == 1
    bench.take(bench.engine.handle([Cancelled(0, Reply("cancelled", end_s=5.5))], 5.5))
    assert [(c.call, c.outcome) for c in bench.calls] == [(0, "timeout"), (1, "cancelled")]
    assert bench.calls[0].reply.error == "no answer within 5.5 s"
    assert bench.calls[1].started_s is None  # never sent: another call of its job had failed
    assert bench.jobs[0].outcome == "timeout"
    assert bench.finished()


def test_a_late_answer_to_a_cancelled_call_counts_as_what_it_is() -> None:
    bench = Bench(pipeline("p", *SINGLE), timeout_s=5.0)
    bench.due(0)
    bench.due(5.0)
    bench.done(5.1, 0)
    assert bench.jobs[0].outcome == "ok"


def test_a_failed_call_fails_its_job_and_no_other() -> None:
    bench = Bench(pipeline("p", *FAN, jobs=2), slots=2)
    assert bench.due(0) == ["p0.split0#0", "p0.split1#1"]
    assert bench.done(1, 0, reply=Reply("error", error="500: boom")) == ["p1.split0#4"]
    assert bench.jobs == []  # call 1 is still in flight: let run, and recorded
    assert bench.done(2, 1) == ["p1.split1#5"]
    assert [(j.job, j.outcome, j.calls) for j in bench.jobs] == [(0, "error", 4)]
    bench.done(3, 4, 5)
    bench.done(4, 6, 7)
    bench.done(5, 8)
    assert [(j.job, j.outcome) for j in bench.jobs] == [(0, "error"), (1, "ok")]


def test_a_closed_loop_thinks_between_jobs_and_stops_with_the_pipeline_beside_it() -> None:
    digest = pipeline("digest", *SINGLE)
    closed = Closed(1, fixed(2.0))
    chat = pipeline("chat", *SINGLE, path="interactive", jobs=None, arrival=closed, until=0)
    bench = Bench(digest, chat)
    assert bench.due(0) == ["digest0.only0#0", "chat0.only0#1"]
    assert bench.done(1, 1) == []
    assert bench.due(2.9) == []
    assert bench.due(3.0) == ["chat1.only0#2"]
    assert bench.done(4, 0) == []
    assert bench.finished() is False  # the reply under way is finished
    assert bench.done(5, 2) == []
    assert bench.finished()
    assert [j.due_s for j in bench.jobs if j.pipeline == "chat"] == [0.0, 3.0]


def test_a_thinking_user_does_not_hold_the_end_back() -> None:
    digest = pipeline("digest", *SINGLE)
    chat = pipeline("chat", *SINGLE, jobs=None, arrival=Closed(1, fixed(9.0)), until=0)
    bench = Bench(digest, chat)
    bench.due(0)
    bench.done(1, 1)
    bench.done(2, 0)
    assert bench.finished()


def test_a_pipeline_after_another_starts_when_that_has_ended() -> None:
    late = pipeline("late", *SINGLE, jobs=2, arrival=Listed((0.0, 1.0)), after=0)
    bench = Bench(pipeline("first", *SINGLE), late)
    assert bench.due(0) == ["first0.only0#0"]
    bench.done(7, 0)
    assert bench.due(7.0) == ["late0.only0#1"]
    assert bench.due(8.0) == ["late1.only0#2"]


def test_a_late_arrival_keeps_the_time_it_was_due() -> None:
    bench = Bench(pipeline("p", *SINGLE, jobs=3, arrival=Listed((0.0, 1.0, 2.0))))
    bench.due(0)
    bench.done(0.5, 0)
    assert bench.due(2.25) == ["p1.only0#1", "p2.only0#2"]
    bench.done(3, 1, 2)
    assert [(j.due_s, j.arrived_s, j.pipeline_time_s) for j in bench.jobs] == [
        (0.0, 0.0, 0.5),
        (1.0, 2.25, 2.0),
        (2.0, 2.25, 1.0),
    ]


def test_a_tool_delay_takes_its_time_and_is_recorded() -> None:
    bench = Bench(pipeline("p", node("fetch", delay_s=1.5), node("read", (0,))))
    assert bench.due(0) == []
    assert bench.due(1.5) == ["p0.read0#0"]
    assert isinstance(bench.records[0], DelayRecord)
    assert (bench.records[0].start_s, bench.records[0].end_s) == (0.0, 1.5)


def test_time_cannot_go_backwards() -> None:
    bench = Bench(pipeline("p", *SINGLE))
    bench.due(2.0)
    with pytest.raises(ValueError, match=r"^time can't go backwards: 1.0 after 2.0$"):
        bench.engine.handle([], 1.0)


def test_a_pipeline_without_an_end_is_refused() -> None:
    endless = pipeline("p", *SINGLE, jobs=None, arrival=Every(0.0), until=0)
    with pytest.raises(ValueError, match=r"^pipeline 'p' has no end: jobs, users or a pace is needed$"):
        Bench(endless)


def test_stale_events_do_nothing() -> None:
    bench = Bench(pipeline("p", *SINGLE))
    bench.due(0)
    bench.done(1, 0)
    assert bench.take(bench.engine.handle([Timer(99), Arrive(0, 0, 0.0)], 2.0)) == []
