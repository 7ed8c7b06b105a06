"""Replies beside batch jobs, which few of all replies meet."""

from __future__ import annotations

from typing import Any

import analysis.records as make
import pytest

from harness.analysis.analyse import analyse
from harness.analysis.beside import beside_work, slower_beside
from harness.analysis.facts import BesideWork
from harness.analysis.measures import index_records
from harness.core.records import CallRecord, JobRecord
from harness.runs.model import Run
from harness.wording.run_answer import run_answer
from harness.wording.said import said
from harness.wording.warnings import warnings_of

DIGEST = [(0.0, 8.0), (6.0, 10.0), (100.0, 104.0)]  # from and to, in seconds; the first two overlap


def run(beside: int, alone: int, *beside_s: float, goal: dict[str, Any] | None = None) -> Run:
    """Build a run in which so many replies begin while a digest runs, and so many long after it.

    The former take so long, under each candidate; left out: 8 s under one.
    """
    plain = make.workload().to_plain()
    if goal:
        plain["pipelines"]["chat"]["goal"] = goal
    names = ("serial", "batched")[: len(beside_s) or 1]
    calls, jobs = list[CallRecord](), list[JobRecord]()
    for name, took_s in zip(names, beside_s or (8.0,), strict=True):
        spans = [(9.0, 9.0 + took_s)] * beside + [(200.0 + 2 * n, 201.0 + 2 * n) for n in range(alone)]
        for n, (due, end) in enumerate(DIGEST):
            jobs.append(make.job("digest", path="batch", candidate=name, number=n, due=due, end=end))
        for n, (due, end) in enumerate(spans):
            jobs.append(make.job(candidate=name, number=n, due=due, end=end))
            calls.append(make.call(candidate=name, job=n, serial=n, ready=due, decode=end - due - 0.25))
    return make.run(
        trials=tuple(make.trial(name, makespan=300.0) for name in names),
        calls=tuple(calls),
        jobs=tuple(jobs),
        candidates=names,
        spec=make.workload(**plain),
    )


def found(run: Run) -> list[BesideWork]:
    return list(beside_work(run, index_records(run)))


def test_few_slow_replies_are_found_that_the_median_hides() -> None:
    assert found(run(3, 7)) == [BesideWork("serial", "chat", ("digest",), 3, 10, 8.0, 1.0, False, "serial", 8.0)]


@pytest.mark.parametrize(("goal", "hidden"), [({"p50_s": 2}, True), ({"p50_s": 9}, False), ({"p95_s": 2}, False)])
def test_a_goal_is_hidden_that_only_the_others_meet(goal: dict[str, Any], hidden: bool) -> None:
    assert [one.hidden for one in found(run(3, 7, goal=goal))] == [hidden]


@pytest.mark.parametrize(
    ("beside", "alone", "beside_s"),
    [
        (2, 8, 8.0),  # too few to say anything of
        (5, 5, 8.0),  # the median is about them too
        (3, 7, 1.4),  # hardly slower
    ],
)
def test_nothing_is_said_where_nothing_is_hidden(beside: int, alone: int, beside_s: float) -> None:
    assert found(run(beside, alone, beside_s)) == []


def test_times_that_are_none_say_nothing() -> None:
    """A folder may say that a reply ended as it began, or before."""
    assert found(run(3, 7, 8.0, 0.0)) == found(run(3, 7, 8.0, -1.0)) == []


def test_it_is_said_above_the_answer_and_in_the_report() -> None:
    analysis = analyse(run(3, 7, goal={"p50_s": 2}))
    assert "While digest runs, a chat reply takes 8.00 s, not 1.00 s: goal missed." in warnings_of(analysis)
    (text,) = [notice.text for notice in said(analysis).notices if notice.kind == "beside work"]
    assert text == (
        "serial: 3 of 10 replies of chat came while jobs of digest ran, and took 8.00 s (median); the median of all is "
        "1.00 s. Figures and goals are of all of them. Beside those jobs the goal is missed. To see the busy time "
        "alone, let the jobs of digest follow one another: arrival: {closed: 1}."
    )


def test_the_candidate_that_is_faster_beside_batch_jobs_is_named() -> None:
    one, other = found(run(3, 7, 8.0, 2.0))
    assert (one.candidate, one.best, one.best_s) == ("serial", "batched", 2.0)
    assert (other.candidate, other.best) == ("batched", "batched")
    analysis = analyse(run(3, 7, 8.0, 2.0))
    assert analysis.choice.candidate == "batched"
    analysis = analysis._replace(choice=analysis.choice._replace(candidate="serial"))
    (instead,) = [part for part in run_answer(analysis).parts if part.title == "Instead"]
    named = '"batched": while digest runs, chat replies take 2.00 s instead of 8.00 s. Choose it if that matters.'
    assert instead.lines[0].text == named


def test_of_equal_candidates_the_one_that_is_faster_beside_batch_jobs_is_taken() -> None:
    assert slower_beside(found(run(3, 7, 8.0, 2.0))) == {"serial": 4, "batched": 0}  # 1.5 ** 4 > 8 / 2 > 1.5 ** 3
    once = run(3, 7, 8.0, 2.0)
    twice = once._replace(
        trials=(*once.trials, *(trial._replace(repeat=1) for trial in once.trials)),
        calls=(*once.calls, *(call._replace(repeat=1) for call in once.calls)),
        jobs=(*once.jobs, *(job._replace(repeat=1) for job in once.jobs)),
    )
    analysis = analyse(twice)
    assert analysis.choice.candidate == "batched"  # though "serial" is simpler
    why = next(part for part in run_answer(analysis).parts if part.title == "Why").lines[0].text
    assert why == 'It is equal to "serial" within 5 %, and chat replies are faster while digest runs.'
