"""The use cases from Python: one options object, a result, and nothing printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ollama import FakeOllama
from quiet import Quiet
from recommend.workloads import PROFILE, fan

from harness.app import options as options_module
from harness.app.check import check, diagram
from harness.app.compare import compare
from harness.app.export import export, write_lines
from harness.app.gate import read_fail_on, run_cases
from harness.app.init import DEFAULT, init, question, starting_points
from harness.app.options import (
    Assumptions,
    Changes,
    ExportOptions,
    RecommendOptions,
    ResumeOptions,
    RunOptions,
    ScoreOptions,
    SimulateOptions,
)
from harness.app.recommend import keep_recommendation, recommend
from harness.app.report import keep_prediction, keep_report, report
from harness.app.resume import resume
from harness.app.run import run
from harness.app.runs import Filters, runs
from harness.app.score import keep_score, score
from harness.app.simulate import simulate
from harness.app.workload import load
from harness.errors import ServerFailure, UserError
from harness.measure.progress import SILENT
from harness.report.junit import reasons
from harness.runs.folder import read_run

PAPER = Assumptions(profiles=("paper.yaml",), resamples=0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """A folder with a workload and a profile; at the end nothing must have been printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    Path("fan.yaml").write_text(fan(4), encoding="utf-8")
    Path("paper.yaml").write_text(PROFILE, encoding="utf-8")
    yield tmp_path
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    """A fake Ollama that `live.yaml` names."""
    server = FakeOllama(duration=lambda user: 0.002)
    with server.listening():
        text = fan(4).replace("model: gemma4}", f"model: m, slots: 2, url: '{server.url}'}}")
        rest = "compare: {one: serial, two: window}\nmeasure: {repeats: 1, warmup: 0}\n"
        Path("live.yaml").write_text(text + rest, encoding="utf-8")
        yield server


FAN = Path("fan.yaml")
LIVE = Path("live.yaml")


def test_a_workload_is_checked_and_drawn() -> None:
    checked = check(FAN, Changes(scale=3))
    assert [facts.jobs for facts in checked.description.pipelines] == [3]
    assert diagram(checked.loaded, "dot").startswith("digraph workload {")
    assert list(export(FAN, "mermaid")) == [diagram(check(FAN).loaded, "mermaid")]
    with pytest.raises(UserError, match='no candidate "twoo"'):
        check(FAN, Changes(only=("twoo",)))


def test_a_prediction_is_a_run_and_kept_where_it_is_asked_for(folder: Path) -> None:
    simulated = simulate(FAN, SimulateOptions(assumptions=PAPER, repeats=3, command="notebook"))
    made = simulated.run
    assert (made.origin, made.options, made.command) == ("predicted", {"repeats": 3}, "notebook")
    assert not (folder / "reports").exists()
    kept = keep_prediction(simulated, folder / "reports")
    assert report(kept).analysis.choice.candidate == simulated.analysis.choice.candidate
    assert (kept / "report.html").is_file() and (kept / "profiles" / "paper.yaml").is_file()


def test_a_prediction_needs_a_profile_and_knows_what_may_be_assumed() -> None:
    with pytest.raises(UserError, match="a prediction needs the profile of a machine"):
        simulate(FAN, SimulateOptions())
    wrong = Assumptions(profiles=("paper.yaml",), assume={"befor_s": 1})
    for call in (
        lambda: simulate(FAN, SimulateOptions(assumptions=wrong)),
        lambda: recommend(FAN, RecommendOptions(assumptions=wrong)),
        lambda: score(FAN, ScoreOptions(assumptions=wrong)),
    ):
        with pytest.raises(UserError, match=r'^--assume: expected one of .*, found "befor_s"; did'):
            call()


def test_a_recommendation_is_made_and_kept(folder: Path) -> None:
    asked = RecommendOptions(assumptions=PAPER, measure=False, seeds=2, workers=1)
    told = Quiet()
    kept = recommend(FAN, asked, told)
    found = kept.recommendation
    assert found.answer == ("window-on-4",)
    assert told.said[0].startswith("simulating ")
    again = recommend(FAN, asked).recommendation  # silent
    assert again._replace(analysis=found.analysis) == found  # it has another time in it
    written = keep_recommendation(kept, folder / "out")
    assert {file.name for file in written.iterdir()} == {"recommendation.json", "recommendation.md", "report.html"}


def test_a_run_is_measured_reported_compared_and_gone_on_with(fake: FakeOllama, folder: Path) -> None:
    measured = run(LIVE, RunOptions(command="notebook"))
    assert (measured.interrupted, measured.failure) == (False, None)
    assert measured.analysis is not None and not reasons(
        run_cases(measured.analysis, read_fail_on(("failures", "goals")))
    )
    assert measured.run == read_run(measured.folder)
    assert measured.run.command == "notebook" and measured.run.options == {}
    assert not (measured.folder / "report.html").exists()
    keep_report(measured.folder, measured.analysis, measured.run)
    assert (measured.folder / "report.html").is_file()
    again = run(load(LIVE, Changes(scale=2)), RunOptions(changes=Changes(scale=2)))
    assert again.run.options == {"scale": 2}
    rows, total = runs(wanted=Filters(name="fan"))
    assert total == 2 and {row.folder for row in rows} == {measured.folder.name, again.folder.name}
    compared = compare([measured.folder, again.folder])
    with pytest.raises(UserError, match="they did not do the same work"):
        _ = compared.found
    (one,) = compare([measured.folder, measured.folder]).found
    assert one.verdict == "not resolvable"  # of one repeat
    lines = export(measured.folder, "jsonl", ExportOptions(only=("one",)))
    write_lines(lines, folder / "calls.jsonl")
    assert (folder / "calls.jsonl").read_text().count("\n") == sum(c.candidate == "one" for c in measured.run.calls)

    trials = measured.folder / "trials.jsonl"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))
    resumed = resume(measured.folder)
    assert (resumed.trials, resumed.missing) == (2, 1)
    assert len(resumed.measured.run.trials) == 2
    assert resume(measured.folder, ResumeOptions(file=LIVE)).missing == 0


def test_what_was_changed_in_a_run_is_changed_when_it_goes_on(fake: FakeOllama) -> None:
    secret = fake.url.replace("//", "//me:s3cret@")
    changes = Changes(scale=2, seed=7, only=("one",), servers={"ollama": secret}, model="m")
    measured = run(LIVE, RunOptions(changes=changes, repeats=2, warmup=0))
    assert measured.run.options == {
        "repeats": 2,
        "warmup": 0,
        "scale": 2,
        "only": ["one"],
        "model": "m",
        "servers": [f"ollama={fake.url}"],
        "seed": 7,
    }
    trials = measured.folder / "trials.jsonl"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))
    resumed = resume(measured.folder, ResumeOptions(servers={"ollama": secret}))
    assert (resumed.trials, resumed.missing, resumed.measured.failure) == (2, 1, None)


def test_a_failure_is_part_of_the_result(fake: FakeOllama) -> None:
    fake.misbehave = lambda n: (500, b'{"error": "no"}')
    measured = run(LIVE)
    assert isinstance(measured.failure, ServerFailure)
    assert measured.analysis is None and not measured.folder.exists()
    scored = score(LIVE, ScoreOptions(assumptions=dataclasses.replace(PAPER, extrapolate=True)))
    assert scored.score is None and isinstance(scored.measured.failure, ServerFailure)


def test_a_score_joins_a_prediction_and_a_run(fake: FakeOllama) -> None:
    asked = ScoreOptions(assumptions=dataclasses.replace(PAPER, extrapolate=True))
    scored = score(LIVE, asked)
    assert scored.score is not None and {row.candidate for row in scored.score.rows} == {"one", "two"}
    keep_score(scored)
    assert (scored.measured.folder / "score.json").is_file()
    again = score(LIVE, dataclasses.replace(asked, run=scored.measured.folder, forecast=True))
    assert (again.lengths, again.measured.folder) == ("forecast", scored.measured.folder)


def test_a_workload_to_start_from(folder: Path) -> None:
    begun = init(folder / "new")
    assert begun.workload == folder / "new" / "workloads" / f"{DEFAULT}.yaml"
    assert begun.workload in begun.written and init(folder / "new").written == ()
    assert all(question(path).endswith("?") for path in starting_points().values())


def test_options_are_frozen_and_say_nothing_twice() -> None:
    kinds = [getattr(options_module, name) for name in options_module.__all__ if not name.isupper()]
    assert all(kind.__dataclass_params__.frozen for kind in kinds)
    shared = {field.name for kind in (Changes, Assumptions) for field in dataclasses.fields(kind)}
    for kind in (RunOptions, SimulateOptions, RecommendOptions, ScoreOptions):
        assert not {field.name for field in dataclasses.fields(kind)} & shared
    assert RunOptions() == RunOptions()
    SILENT.say("nothing")
