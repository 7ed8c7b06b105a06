"""Open and closed loops and conversations, through the engine in virtual time."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from itertools import islice, pairwise

import pytest
from core.graphs import SINGLE, node, pipeline, plan_of, queue_of

from harness.core.arrival_processes import Bursts, Closed, Every, Listed, Poisson
from harness.core.arrivals import Arrivals, turns_of
from harness.core.engine import Engine
from harness.core.events import Arrive, Call
from harness.core.graph import Pipeline, Session
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.core.sizes import Distribution, fixed
from harness.drivers.virtual import simulate

TURNS = Distribution("uniform", (1, 5), whole=True)
THINK = Distribution("exponential", (3.0,))


def run(
    *pipelines: Pipeline, takes_s: float = 1.0, slots: int = 1, seed: int = 3, repeat: int = 0
) -> tuple[list[JobRecord], list[Call]]:
    """Run a trial in which every call takes equally long."""
    records: list[CallRecord | JobRecord | DelayRecord] = []
    calls: list[Call] = []

    def serve(call: Call, now_s: float) -> Reply:
        calls.append(call)
        return Reply("ok", sent_s=now_s, end_s=now_s + takes_s)

    plan = plan_of("x", (queue_of("s", slots),), pipelines)
    engine = Engine(pipelines, plan, origin="predicted", repeat=repeat, seed=seed)
    simulate(engine, serve, records.append)
    return [record for record in records if isinstance(record, JobRecord)], calls


def by_session(jobs: list[JobRecord]) -> dict[int, list[JobRecord]]:
    sessions: dict[int, list[JobRecord]] = defaultdict(list)
    for job in jobs:
        assert job.session is not None
        sessions[job.session].append(job)
    return dict(sessions)


def test_an_open_loop_counts_from_the_intended_arrival_however_late_the_job_gets_a_server() -> None:
    arrival = Poisson(4.0)
    jobs, _ = run(pipeline("p", *SINGLE, jobs=50, arrival=arrival))
    jobs.sort(key=lambda job: job.job)
    due = list(islice(arrival.times(0.0, 3, 0, "p"), 50))
    assert [job.due_s for job in jobs] == due
    end_s = 0.0
    for job in jobs:  # one server, 1 s each: Lindley's recursion
        end_s = max(end_s, job.due_s) + 1.0
        assert job.end_s == pytest.approx(end_s)
        assert job.pipeline_time_s == pytest.approx(end_s - job.due_s)


def test_a_poisson_pipeline_beside_another_stops_with_it() -> None:
    batch = pipeline("batch", *SINGLE, jobs=20)
    chat = pipeline("chat", *SINGLE, jobs=None, arrival=Poisson(1.0), until=0)
    jobs, _ = run(batch, chat, slots=2)
    last_s = max(job.end_s for job in jobs if job.pipeline == "batch")
    due = [job.due_s for job in jobs if job.pipeline == "chat"]
    assert due == [at_s for at_s in islice(chat.arrival.times(0.0, 3, 0, "chat"), 200) if at_s <= last_s]


def test_bursts_start_together_and_stop_at_the_number_of_jobs() -> None:
    jobs, _ = run(pipeline("p", *SINGLE, jobs=5, arrival=Bursts(3, 10.0)), slots=9)
    assert sorted((job.job, job.due_s, job.end_s) for job in jobs) == [
        (0, 0.0, 1.0),
        (1, 0.0, 1.0),
        (2, 0.0, 1.0),
        (3, 10.0, 11.0),
        (4, 10.0, 11.0),
    ]


def test_think_times_of_a_closed_loop_are_drawn_for_each_user_and_round() -> None:
    jobs, _ = run(pipeline("p", *SINGLE, jobs=40, arrival=Closed(2, THINK)), slots=2)
    drawn = {user: [THINK.draw(3, 0, "p", n * 2 + user, 0, "think") for n in range(1, 40)] for user in (0, 1)}
    # Nobody waits for a server: user u's job n starts after n services and n thinks.
    expected: list[float] = []
    for thinks in drawn.values():
        at_s = 0.0
        for think_s in [*thinks, 0.0]:
            expected.append(at_s)
            at_s += 1.0 + think_s
    assert sorted(job.due_s for job in jobs) == pytest.approx(sorted(expected)[:40])


def test_an_arrival_opens_a_conversation_whose_turns_follow_their_predecessors() -> None:
    spec = pipeline("p", *SINGLE, jobs=60, arrival=Poisson(0.5), session=Session(TURNS, THINK), path="interactive")
    jobs, calls = run(spec, slots=3)
    assert sorted(job.job for job in jobs) == list(range(60))
    sessions = by_session(jobs)
    opened = list(islice(spec.arrival.times(0.0, 3, 0, "p"), len(sessions)))
    assert sorted(sessions) == list(range(len(sessions)))
    number = 0
    for session in range(len(sessions)):
        turns = sorted(sessions[session], key=lambda job: job.turn)
        wanted = turns_of(spec, session, 3, 0)
        assert len(turns) == (wanted if session < len(sessions) - 1 else min(wanted, 60 - number))
        assert [job.turn for job in turns] == list(range(len(turns)))
        assert [job.job for job in turns] == list(range(number, number + len(turns)))
        number += len(turns)
        assert turns[0].due_s == opened[session]
        for before, after in pairwise(turns):
            think_s = THINK.draw(3, 0, "p", session, after.turn, "think")
            assert after.due_s == before.end_s + think_s
            assert after.arrived_s == after.due_s
    numbers = {job.job: job.session for job in jobs}
    assert all(call.session == numbers[call.job] for call in calls)


def test_conversations_are_the_same_work_however_fast_the_server_is() -> None:
    spec = pipeline("p", *SINGLE, jobs=40, arrival=Poisson(2.0), session=Session(TURNS, THINK))
    slow, fast = (run(spec, takes_s=takes_s)[0] for takes_s in (2.0, 0.125))
    assert {(j.job, j.session, j.turn) for j in slow} == {(j.job, j.session, j.turn) for j in fast}
    assert [(j.job, j.session) for j in slow] != [(j.job, j.session) for j in fast]  # they do end in another order


def test_a_closed_user_has_one_conversation_after_the_other() -> None:
    session = Session(TURNS, fixed(2.0))
    spec = pipeline("p", *SINGLE, jobs=50, arrival=Closed(2, fixed(7.0)), session=session)
    jobs, _ = run(spec, slots=2)
    sessions = by_session(jobs)
    for user in (0, 1):
        last: JobRecord | None = None
        for number in sorted(number for number in sessions if number % 2 == user):
            turns = sorted(sessions[number], key=lambda job: job.turn)
            assert turns[0].due_s == (0.0 if last is None else last.end_s + 7.0)
            for before, after in pairwise(turns):
                assert after.due_s == before.end_s + 2.0
            last = turns[-1]
    assert sorted(job.job for job in jobs) == list(range(50))


def test_a_list_of_times_ends_when_its_conversations_have_ended() -> None:
    arrival = Listed((0.0, 1.0, 30.0))
    spec = pipeline("p", *SINGLE, jobs=None, arrival=arrival, session=Session(TURNS, THINK))
    jobs, _ = run(spec, pipeline("next", *SINGLE, jobs=1, after=0), slots=9)
    ours = [job for job in jobs if job.pipeline == "p"]
    assert {n: len(turns) for n, turns in by_session(ours).items()} == {n: turns_of(spec, n, 3, 0) for n in range(3)}
    assert jobs[-1].pipeline == "next"
    assert jobs[-1].due_s == max(job.end_s for job in ours)


def test_conversations_stop_where_the_pipeline_beside_them_ends() -> None:
    chat = pipeline("chat", *SINGLE, jobs=None, arrival=Closed(1), session=Session(fixed(50), fixed(0.5)), until=0)
    jobs, _ = run(pipeline("batch", *SINGLE, jobs=4), chat, slots=2)
    turns = [job for job in jobs if job.pipeline == "chat"]
    batch_s = max(job.end_s for job in jobs if job.pipeline == "batch")
    assert all(job.due_s <= batch_s for job in turns)
    assert len(turns) < 50


def test_a_failed_turn_does_not_end_its_conversation() -> None:
    spec = pipeline("p", *SINGLE, jobs=3, arrival=Every(1.0), session=Session(fixed(3), fixed(0.0)))
    records: list[CallRecord | JobRecord | DelayRecord] = []
    engine = Engine((spec,), plan_of("x", (queue_of("s", 1),), (spec,)), origin="predicted")
    simulate(
        engine,
        lambda call, now_s: Reply("error" if call.job == 1 else "ok", sent_s=now_s, end_s=now_s + 1.0),
        records.append,
    )
    jobs = [record for record in records if isinstance(record, JobRecord)]
    assert [(job.turn, job.outcome, job.due_s) for job in jobs] == [(0, "ok", 0.0), (1, "error", 1.0), (2, "ok", 2.0)]


def test_a_clock_that_is_read_a_little_early_waits_for_the_arrival() -> None:
    arrivals = Arrivals((pipeline("p", *SINGLE, jobs=2, arrival=Listed((1.0, 2.0))),))
    (event,) = arrivals.open(0.0)
    assert arrivals.admit(event, 0.999) == ([], event)
    admitted, following = arrivals.admit(event, 1.0)
    assert [one.number for one in admitted] == [0]
    assert following == Arrive(0, 0, 2.0)


@pytest.mark.slow
def test_arrivals_are_not_all_in_memory() -> None:
    arrivals = Arrivals((pipeline("p", node("n"), jobs=10**9, arrival=Poisson(1e6)),))
    (event,) = arrivals.open(0.0)
    tracemalloc.start()
    for _ in range(2000):
        _, following = arrivals.admit(event, event.due_s)
        assert following is not None
        event = following
        arrivals.ended(0, 0, event.due_s)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
