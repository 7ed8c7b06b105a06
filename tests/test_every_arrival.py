"""Every arrival process through everything that meets one: whatever is in `ARRIVALS` is tested without a line here.

The examples of the schema are the cases, so what an editor proposes is what runs.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from core.graphs import SINGLE, pipeline, plan_of
from recommend.workloads import on_paper

from harness.cli.app import _main
from harness.core.arrival_processes import ArrivalProcess, Listed
from harness.core.engine import Engine
from harness.core.graph import Pipeline
from harness.core.plan import ServerQueue
from harness.core.records import CallRecord, DelayRecord, JobRecord, Reply
from harness.drivers.virtual import simulate
from harness.errors import WorkloadError
from harness.recommend.evaluate import BASE, Evaluator, Variation, varied
from harness.recommend.sensitivity import changes, open_loops
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.schema import ARRIVALS

SEED = 3
JOBS = 12
TRACE = "time_s\n0\n0.5\n3\n4.25\n"  # the file that the example of a trace names

WORKLOAD = """version: 1
name: w
pipelines:
  p:
    path: interactive
    LENGTH
    arrival: ARRIVAL
    nodes: {n: {agent: {prompt: "A question of some length.", output_tokens: 10}}}
OTHER
servers:
  ollama: {kind: ollama, model: gemma4}
"""
OTHER = '  q: {path: batch, jobs: 2, nodes: {n: {agent: {prompt: "Another question.", output_tokens: 400}}}}'


class Case(NamedTuple):
    """An example of the schema."""

    key: str
    example: Any

    def process(self, folder: Path) -> ArrivalProcess:
        (folder / "arrivals.csv").write_text(TRACE)
        spec: Any = ARRIVALS[self.key].model_validate({self.key: self.example}, context={"folder": folder})
        process: ArrivalProcess = spec.process()
        return process

    def text(self, folder: Path, *, beside: bool = False) -> str:
        """A workload with it; `beside` another pipeline, until that has ended."""
        length = "while: q" if beside else f"jobs: {JOBS}" if self.process(folder).starts is None else "priority: 0"
        text = WORKLOAD.replace("LENGTH", length).replace("OTHER", OTHER if beside else "")
        return text.replace("ARRIVAL", json.dumps({self.key: self.example}))

    def load(self, folder: Path, *, beside: bool = False) -> Loaded:
        path = folder / "w.yaml"
        path.write_text(self.text(folder, beside=beside))
        return load_workload(path)


CASES = [Case(key, example) for key, spec in ARRIVALS.items() for example in spec.model_fields[key].examples or ()]
every_process = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.key} {case.example}")


def first(process: ArrivalProcess, n: int, base_s: float = 0.0, repeat: int = 0) -> list[float]:
    return list(islice(process.times(base_s, SEED, repeat, "p"), n))


def run(*pipelines: Pipeline) -> list[JobRecord]:
    """Run a trial on servers that make nobody wait; every call takes 1 s."""
    records: list[CallRecord | JobRecord | DelayRecord] = []
    engine = Engine(pipelines, plan_of("x", (ServerQueue("s", 999),), pipelines), origin="predicted", seed=SEED)
    simulate(engine, lambda call, now_s: Reply("ok", sent_s=now_s, end_s=now_s + 1.0), records.append)
    return [record for record in records if isinstance(record, JobRecord)]


def test_every_process_has_an_example() -> None:
    assert {case.key for case in CASES} == set(ARRIVALS)


@every_process
def test_times_are_in_order_and_a_function_of_their_key(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    times = first(process, 200)
    assert times == sorted(times)
    assert times and times[0] >= 0
    assert times == first(pickle.loads(pickle.dumps(process)), 200) == first(case.process(tmp_path), 200)
    assert times[:20] == first(process, 20)
    assert first(process, 200, base_s=7.0) == pytest.approx([7.0 + at_s for at_s in times], abs=1e-9)


@every_process
def test_twice_as_fast_is_the_same_starts_in_half_of_the_time(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    times, scaled = first(process, 200), first(process.scaled(2), 200)
    assert scaled == pytest.approx([at_s / 2 for at_s in times], rel=1e-12)
    assert process.scaled(1) == process
    if process.mean_per_s is not None:
        assert process.scaled(2).mean_per_s == pytest.approx(2 * process.mean_per_s)


@every_process
def test_multiplied_has_as_many_times_the_users_or_the_starts(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    tripled = process.multiplied(3)
    assert tripled.users == 3 * process.users
    assert tripled.starts == (None if process.starts is None else 3 * process.starts)
    assert process.multiplied(1) == process
    if process.endless and process.mean_per_s is not None:
        assert tripled.mean_per_s == pytest.approx(3 * process.mean_per_s)
    assert process.with_users(5).users == (5 if process.users else 0)


@every_process
def test_the_mean_rate_is_that_of_its_starts(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    if process.users:
        assert process.mean_per_s is None
        return
    times = first(process, 20_000)
    over_s = times[-1] - times[0]
    assert (process.mean_per_s is None) == (over_s == 0)
    if process.mean_per_s is not None:
        assert (len(times) - 1) / over_s == pytest.approx(process.mean_per_s, rel=0.05)


def test_words_differ(tmp_path: Path) -> None:
    for what, other in (("job", "conversation"), ("conversation", "job")):
        words = [case.process(tmp_path).words(what, JOBS) for case in CASES]  # type: ignore[arg-type]  # a Literal
        assert all(words) and len(set(words)) == len(words)
        assert not any(other in text for text in words)


@every_process
def test_through_the_engine(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    number = JOBS if process.starts is None else process.starts
    jobs = run(pipeline("p", *SINGLE, jobs=number, arrival=process))
    assert sorted(job.job for job in jobs) == list(range(number))
    due = sorted(job.due_s for job in jobs)
    expected = first(process, number)
    assert due[: len(expected)] == expected  # of a closed loop the first job of each user


@every_process
def test_beside_another_pipeline(case: Case, tmp_path: Path) -> None:
    process = case.process(tmp_path)
    if not process.endless:
        with pytest.raises(WorkloadError, match="with `while` jobs need a pace without an end"):
            case.load(tmp_path, beside=True)
        return
    assert case.load(tmp_path, beside=True).pipelines[0].until == 1
    batch = pipeline("batch", *SINGLE, jobs=1, arrival=Listed((40.0,)))
    jobs = run(batch, pipeline("p", *SINGLE, jobs=None, arrival=process, until=0))
    due = sorted(job.due_s for job in jobs if job.pipeline == "p")
    assert due[-1] <= 41.0
    if process.users:
        assert len(due) > process.users
    else:
        assert due == list(takewhile(lambda at_s: at_s <= 41.0, process.times(0.0, SEED, 0, "p")))


@every_process
def test_scale_multiplies_jobs_unless_they_are_listed(case: Case, tmp_path: Path) -> None:
    (before,) = case.load(tmp_path).pipelines
    (after,) = load_workload(tmp_path / "w.yaml", Overrides(scale=2)).pipelines
    assert after.arrival == before.arrival
    assert after.jobs == (2 * JOBS if before.arrival.starts is None else before.arrival.starts)


@every_process
def test_the_search_can_vary_it(case: Case, tmp_path: Path) -> None:
    space, problem, _ = on_paper(tmp_path, case.text(tmp_path))
    evaluator = Evaluator(problem)
    serial = space.find("serial-on-1").number
    base = evaluator.evaluate(serial, 0, BASE)
    more = evaluator.evaluate(serial, 0, Variation(jobs=2))
    faster = evaluator.evaluate(serial, 0, Variation(rate=2.0))
    (arrival,) = (p.arrival for p in problem.loaded.pipelines)
    (doubled,) = (p.arrival for p in varied(problem.loaded, Variation(jobs=2)).pipelines)
    assert (more.calls, faster.calls) == (2 * base.calls, base.calls)
    assert open_loops(problem.loaded.pipelines) == (arrival.mean_per_s is not None)
    assert changes(problem.loaded.pipelines, Variation(rate=0.5)) == (arrival.mean_per_s is not None)
    if arrival.mean_per_s is None:
        assert faster.makespan_s == base.makespan_s
    else:
        assert doubled != arrival
        assert faster.makespan_s < base.makespan_s


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a command line that ends well in a folder of its own; return its words in one line."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> str:
        monkeypatch.setattr("sys.argv", ["slotwise", *line.split()])
        code = _main()
        out, err = capsys.readouterr()
        assert not code, err
        return " ".join(out.split())

    return run


@every_process
def test_checked_simulated_exported_and_imported(case: Case, tmp_path: Path, typed: Callable[[str], str]) -> None:
    (loaded,) = case.load(tmp_path).pipelines
    assert loaded.arrival.words("job", loaded.jobs) in typed("check w.yaml")
    typed("simulate w.yaml --profile epyc-2core --extrapolate --resamples 0 --repeats 2 --out runs")
    (folder,) = (tmp_path / "runs").iterdir()
    typed(f"export runs/{folder.name} --only serial -o spans.jsonl")
    typed("import traces spans.jsonl -o again.yaml")
    assert load_workload(tmp_path / "again.yaml").pipelines[0].jobs == loaded.jobs
