"""The search: its figures are those of analysis, halving finds what trying everything finds, anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from quiet import Quiet
from recommend.workloads import UNKNOWN, Deadly, both, fan, on_paper, paper

from harness.analysis.measures import figure_key, figures_by_repeat
from harness.predict.servers import Profiles
from harness.predict.simulation import predict
from harness.recommend import workers
from harness.recommend.answer import recommend
from harness.recommend.evaluate import BASE, Evaluator, Figures, Problem, Task, Variation
from harness.recommend.scoring import Judge, dominates, front, pick
from harness.recommend.search import search
from harness.recommend.workers import Evaluate, chunks, in_process, on_cluster, on_cores
from harness.report.recommendation import recommendation_text
from harness.workload.load import load_workload

ROOT = Path(__file__).parents[2]


def test_the_figures_are_those_of_a_prediction(tmp_path: Path) -> None:
    space, problem, profile = on_paper(tmp_path, both("first_token_s: 1"))
    some = space.candidates[::7]
    run = predict(space.loaded._replace(plans=tuple(one.plan for one in some)), profile, repeats=2).run
    expected = figures_by_repeat(run)
    evaluator = Evaluator(problem)
    for candidate in some:
        for repeat in range(2):
            found = evaluator.evaluate(candidate.number, repeat)
            for number, pipeline in enumerate(space.loaded.pipelines):
                key = [figure_key(candidate.name, pipeline.name, name) for name in ("time", "first_token", "all_done")]
                assert found.time_s[number] == expected[key[0]][repeat]
                times = [
                    job.pipeline_time_s
                    for job in run.jobs
                    if (job.candidate, job.repeat, job.pipeline) == (candidate.name, repeat, pipeline.name)
                ]
                assert found.p95_s[number] == pytest.approx(np.percentile(times, 95))
                assert found.first_token_s[number] == expected[key[1]].get(repeat)
                assert found.all_done_s[number] == expected[key[2]][repeat]


@pytest.mark.slow
def test_halving_finds_what_trying_everything_finds(tmp_path: Path) -> None:
    for goal in ("", "p50_s: 4"):
        space, problem, _ = on_paper(tmp_path, both(goal))
        judge = Judge.of(space.loaded.workload, {})
        every = search(space.candidates, judge, in_process(problem), seeds=8, exhaustive_calls=10**9)
        halved = search(space.candidates, judge, in_process(problem), seeds=8, exhaustive_calls=0)
        assert every.summary.exhaustive
        assert every.doubt == 0
        assert len(halved.rounds) > 1
        assert halved.evaluations < 8 * len(space.candidates) / 2
        assert halved.evaluations < every.evaluations
        assert pick(halved.finalists).names == pick(every.finalists).names
        assert halved.doubt is not None
        assert 0 <= halved.doubt <= 1


@pytest.mark.slow
def test_doubt_grows_with_what_was_dropped_too_early(tmp_path: Path) -> None:
    """A search that keeps almost nobody after one seed must not be sure of itself where draws decide."""
    space, problem, _ = on_paper(tmp_path, both())
    judge = Judge.of(space.loaded.workload, {})
    found = search(space.candidates, judge, in_process(problem), seeds=4, exhaustive_calls=0)
    dropped = [score for score in found.scores if score.seeds < 4]
    assert dropped
    every = search(space.candidates, judge, in_process(problem), seeds=4, exhaustive_calls=10**9)
    best = min(score.times_s[0] for score in every.finalists)
    kept = min(score.times_s[0] for score in found.finalists)
    assert kept <= 1.05 * best or (found.doubt or 0) > 0.05


def test_the_pick_is_never_dominated_and_the_front_is_one(tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, both())
    memory = {candidate.number: candidate.slots for candidate in space.candidates}
    judge = Judge.of(space.loaded.workload, memory)
    found = search(space.candidates, judge, in_process(problem), seeds=4, exhaustive_calls=10**9)
    scores = found.finalists
    on_front = front(scores)
    assert on_front
    for one in on_front:
        assert not any(dominates(other, one, simplicity=False) for other in scores)
    beside = [score for score in scores if score not in on_front]
    assert all(
        any(dominates(other, one, simplicity=False) or other.times_s == one.times_s for other in on_front)
        for one in beside
    )


def test_interrupted_it_says_what_it_has(tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, fan(4))
    evaluate = in_process(problem)

    def cut(tasks: Sequence[Task]) -> Iterator[tuple[Figures, ...]]:
        for number, found in enumerate(evaluate(tasks)):
            if number == 5:
                raise KeyboardInterrupt
            yield found

    found = search(space.candidates, Judge.of(space.loaded.workload, {}), cut, seeds=4)
    assert found.interrupted
    assert len(found.scores) == 5
    assert found.doubt is None
    assert pick(found.finalists).names


def test_variations_change_the_work(tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, fan(4))
    evaluator = Evaluator(problem)
    serial = space.find("serial-on-1").number
    base = evaluator.evaluate(serial, 0, BASE)
    longer = evaluator.evaluate(serial, 0, Variation(answers=2.0))
    more = evaluator.evaluate(serial, 0, Variation(jobs=2))
    assert longer.output_tokens == 2 * base.output_tokens
    assert longer.calls == base.calls
    assert (more.calls, more.output_tokens) == (2 * base.calls, 2 * base.output_tokens)
    assert more.makespan_s == 2 * base.makespan_s  # serially


def sorted_figures(evaluate: object, tasks: list[Task]) -> list[Figures]:
    return sorted(one for found in evaluate(tasks) for one in found)  # type: ignore[operator]  # None only where memory ran out


def test_processes_give_the_same_bit_for_bit(tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, both())
    tasks = [Task(candidate.number, (0, 1)) for candidate in space.candidates[:30]]
    expected = sorted_figures(in_process(problem), tasks)
    with on_cores(problem, 2) as evaluate:
        assert sorted_figures(evaluate, tasks) == expected
        assert sorted_figures(evaluate, tasks[:3]) == expected[:6]
        assert answer(tmp_path, evaluate) == answer(tmp_path, in_process(problem))


def test_a_call_that_never_ran_is_the_same_in_every_process(tmp_path: Path) -> None:
    """It has no end, and what a process makes of nothing depends on where it lies in its memory."""
    loaded = load_workload(ROOT / "workloads/best-of-three.yaml")
    problem = Problem(loaded, Profiles(paper(tmp_path)), extrapolate=True)
    tasks = [Task(number, (0, 1)) for number in range(len(loaded.plans))]
    with on_cores(problem, 1) as evaluate:
        assert sorted_figures(evaluate, tasks) == sorted_figures(in_process(problem), tasks)


def test_little_work_begins_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves by what an evaluation takes decides: up to two seconds are done here."""
    space, problem, _ = on_paper(tmp_path, both())
    tasks = [Task(candidate.number, (0, 1)) for candidate in space.candidates[:10]]
    expected = sorted_figures(in_process(problem), tasks)
    begun: list[int] = []

    class Refused(Exception):
        pass

    def refuse(workers: int, **_: object) -> None:
        begun.append(workers)
        raise Refused

    monkeypatch.setattr(workers, "ProcessPoolExecutor", refuse)
    for each_s, expected_alone in ((0.09, 10), (0.3, 1)):  # 20 evaluations, two a task
        now = iter(range(100))
        monkeypatch.setattr("time.perf_counter", lambda now=now, each_s=each_s: 2 * each_s * next(now))
        found: list[Figures] = []
        with on_cores(problem, 2, little_s=2.0) as evaluate, suppress(Refused):
            for those in evaluate(tasks):
                found += those
        assert len(found) == 2 * expected_alone
        assert sorted(found) == expected[: len(found)]
        assert begun == ([] if expected_alone == 10 else [2])


def test_a_lost_process_costs_nothing_but_time(tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, fan(4))
    tasks = [Task(candidate.number, (0,)) for candidate in space.candidates]
    expected = sorted_figures(in_process(problem), tasks)
    deadly = Deadly()
    deadly.flag = str(tmp_path / "alive")
    Path(deadly.flag).touch()
    with on_cores(problem._replace(given=deadly), 2) as evaluate:
        assert sorted_figures(evaluate, tasks) == expected
    assert not Path(deadly.flag).exists()  # somebody did die


def test_chunks_hold_every_task_once() -> None:
    tasks = [Task(number, (0,)) for number in range(103)]
    assert [task for chunk in chunks(tasks, 3) for task in chunk] == tasks
    assert chunks([], 2) == []


def answer(folder: Path, evaluate: Evaluate) -> str:
    """Everything that is said, as JSON, of a search that halves; `started_at` apart."""
    space, problem, profile = on_paper(folder, both())
    few = space._replace(candidates=space.candidates[:30])
    found = recommend(few, problem, profile, evaluate, Quiet(), memory=UNKNOWN, seeds=4, resamples=0)
    return re.sub(r'"started_at": "[^"]*"', "", recommendation_text(found.recommendation))


@pytest.mark.filterwarnings("ignore")  # dask's own
def test_a_cluster_gives_the_same_bit_for_bit_also_where_it_loses_a_worker(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    space, problem, _ = on_paper(tmp_path, both())
    tasks = [Task(candidate.number, (0, 1)) for candidate in space.candidates[:30]]
    expected = sorted_figures(in_process(problem), tasks)
    here = answer(tmp_path, in_process(problem))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        with on_cluster(problem, cluster.scheduler_address) as evaluate:
            assert sorted_figures(evaluate, tasks) == expected
            assert answer(tmp_path, evaluate) == here
        deadly = Deadly()
        deadly.flag = str(tmp_path / "alive")
        Path(deadly.flag).touch()
        with on_cluster(problem._replace(given=deadly), cluster.scheduler_address) as evaluate:
            assert sorted_figures(evaluate, tasks) == expected
        assert not Path(deadly.flag).exists()
