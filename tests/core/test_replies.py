"""A node that answers: the record of its job, and when the person who reads it goes on."""

from __future__ import annotations

from core.bench import Bench
from core.graphs import node, pipeline, until

from harness.core.arrival_processes import Closed, Listed
from harness.core.graph import Node, Session
from harness.core.records import Reply
from harness.core.sizes import fixed

REPLY = node("reply", answers=True)
TITLE = node("title", (0,))


def test_a_user_thinks_from_the_reply_on_while_the_title_is_made() -> None:
    bench = Bench(pipeline("p", REPLY, TITLE, jobs=2, arrival=Closed(1, fixed(1.0))))
    assert bench.due(0) == ["p0.reply0#0"]
    assert bench.done(2, 0) == ["p0.title0#1"]
    assert bench.due(3) == ["p1.reply0#2"]  # two jobs of one user: a second slot is taken
    assert bench.done(4, 2) == ["p1.title0#3"]
    assert bench.done(9, 3) == []
    assert not bench.finished()  # the first title is still being made
    assert bench.done(10, 1) == []
    assert bench.finished()
    assert [(j.job, j.due_s, j.replied_s, j.end_s, j.pipeline_time_s) for j in bench.jobs] == [
        (1, 3, 4, 9, 1),
        (0, 0, 2, 10, 2),
    ]


def test_without_a_node_that_answers_all_of_the_job_is_waited_for() -> None:
    bench = Bench(pipeline("p", node("reply"), TITLE, jobs=2, arrival=Closed(1, fixed(1.0))))
    bench.due(0)
    bench.done(2, 0)
    assert bench.due(3) == []
    bench.done(5, 1)
    assert bench.due(6) == ["p1.reply0#2"]
    assert [(j.replied_s, j.reply_end_s, j.pipeline_time_s) for j in bench.jobs] == [(None, 5, 5)]


def test_the_next_turn_of_a_conversation_comes_after_the_reply() -> None:
    session = Session(fixed(3), fixed(1.0))
    bench = Bench(pipeline("p", REPLY, TITLE, jobs=3, arrival=Listed((0.0,)), session=session))
    bench.due(0)
    assert bench.done(2, 0) == ["p0.title0#1"]
    assert bench.due(3) == ["p1.reply0#2"]
    assert bench.done(5, 1) == []
    assert bench.done(6, 2) == ["p1.title0#3"]
    assert bench.due(7) == ["p2.reply0#4"]
    assert bench.done(8, 3, 4) == ["p2.title0#5"]
    assert bench.done(9, 5) == []
    assert bench.finished()
    assert [(j.turn, j.due_s, j.replied_s, j.end_s) for j in bench.jobs] == [(0, 0, 2, 5), (1, 3, 6, 8), (2, 7, 8, 9)]


def test_a_job_that_fails_after_its_reply_brings_no_second_one() -> None:
    bench = Bench(pipeline("p", REPLY, TITLE, jobs=2, arrival=Closed(1, fixed(1.0))))
    bench.due(0)
    bench.done(2, 0)
    bench.done(2.5, 1, reply=Reply("error"))
    assert bench.due(3) == ["p1.reply0#2"]
    assert bench.due(9) == []
    assert [(j.job, j.outcome) for j in bench.jobs] == [(0, "error")]


def test_a_job_that_fails_before_its_reply_is_followed_by_the_next() -> None:
    bench = Bench(pipeline("p", REPLY, TITLE, jobs=2, arrival=Closed(1, fixed(1.0))))
    bench.due(0)
    bench.done(2, 0, reply=Reply("error"))
    assert bench.due(3) == ["p1.reply0#1"]
    assert [(j.outcome, j.replied_s) for j in bench.jobs] == [("error", None)]


def test_the_last_pass_of_a_loop_is_the_reply() -> None:
    nodes: tuple[Node, ...] = (REPLY, until("again", (0,), (0,), 2), node("title", (1,)))
    bench = Bench(pipeline("p", *nodes, jobs=2, arrival=Closed(1, fixed(1.0))))
    bench.due(0)
    assert bench.done(2, 0) == ["p0.reply0#1"]
    assert bench.due(3) == []
    assert bench.done(4, 1) == ["p0.title0#2"]
    assert bench.due(5) == ["p1.reply0#3"]
    bench.done(6, 2)
    assert [(j.replied_s, j.end_s) for j in bench.jobs] == [(4, 6)]


def test_a_job_in_which_no_node_answers_replies_at_its_end() -> None:
    sort = node("sort", labels=("a", "b"), shares=(0.0, 1.0))
    answer = node("answer", (0,), takes=(0,), answers=True)
    refuse = node("refuse", (0,), takes=(1,))
    bench = Bench(pipeline("p", sort, answer, refuse, jobs=1, arrival=Closed(1, fixed(1.0))))
    bench.due(0)
    assert bench.done(1, 0) == ["p0.refuse0#1"]
    bench.done(3, 1)
    assert [(j.replied_s, j.pipeline_time_s) for j in bench.jobs] == [(None, 3)]
    assert bench.finished()
