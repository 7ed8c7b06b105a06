"""Predictions: worked by hand, of the same schema as measurements, and open about what they rest on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from predict.paper import PROFILE, WORKLOAD

from harness.analysis.analyse import analyse
from harness.cli.app import _main
from harness.core.records import CallRecord, Origin
from harness.errors import UserError
from harness.predict.history import last_score, remember
from harness.predict.score import replay, score
from harness.predict.simulation import Prediction, predict
from harness.profiles.load import load_profile
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import INDEX_NAME, find_runs
from harness.runs.model import Note
from harness.wording.said import said
from harness.workload.load import Loaded, load_workload

# A prompt of 64 characters is estimated as 16 tokens: 1/8 s. Then 4 more steps for 5 tokens, 2 for 3.
CALL_S, JOIN_S = 0.125 + 4 * 0.125, 0.125 + 2 * 0.125


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "paper.yaml").write_text(WORKLOAD, encoding="utf-8")
    (tmp_path / "dyadic.yaml").write_text(PROFILE, encoding="utf-8")
    return tmp_path


def predicted(files: Path, repeats: int = 2) -> tuple[Loaded, Prediction]:
    loaded = load_workload(files / "paper.yaml")
    profile = load_profile(str(files / "dyadic.yaml"))
    return loaded, predict(loaded, profile, repeats=repeats)


def test_times_by_hand(files: Path) -> None:
    _, prediction = predicted(files)
    assert {(job.candidate, job.repeat): job.end_s for job in prediction.run.jobs} == {
        ("serial", 0): 2 * CALL_S + JOIN_S,
        ("serial", 1): 2 * CALL_S + JOIN_S,
        # both prompts in one step of 2/8 s, four steps of two, then the join alone
        ("window", 0): 0.25 + 4 * 0.1875 + JOIN_S,
        ("window", 1): 0.25 + 4 * 0.1875 + JOIN_S,
    }
    assert {call.origin for call in prediction.run.calls} == {"predicted"}
    assert {trial.makespan_s for trial in prediction.run.trials if trial.candidate == "serial"} == {1.625}


def test_a_prediction_scores_itself_without_error(files: Path) -> None:
    loaded, prediction = predicted(files)
    again = predict(
        loaded,
        load_profile(str(files / "dyadic.yaml")),
        repeats=2,
        tokens_of=replay(prediction.run, loaded.pipelines),
    )
    result = score(analyse(prediction.run), analyse(again.run), prediction.run, again.run)
    assert {row.figure for row in result.rows} == {"throughput", "queue wait", "pipeline time"}
    assert [row.error for row in result.rows] == [0.0] * len(result.rows)
    assert result.ratio_errors == (("digest", "window", "serial", 0.0),)


def test_lengths_as_observed_are_used(files: Path) -> None:
    """Twice the output in the records: the four steps of a part become nine."""
    loaded, prediction = predicted(files, repeats=1)
    longer = tuple(
        call._replace(reply=call.reply._replace(output_tokens=10)) if call.node == "part" else call
        for call in prediction.run.calls
    )
    again = predict(
        loaded,
        load_profile(str(files / "dyadic.yaml")),
        repeats=1,
        tokens_of=replay(prediction.run._replace(calls=longer), loaded.pipelines),
    )
    ends = {job.candidate: job.end_s for job in again.run.jobs}
    assert ends["serial"] == 2 * (0.125 + 9 * 0.125) + JOIN_S


def test_what_a_profile_lacks_is_refused_by_candidate(files: Path) -> None:
    text = PROFILE.replace("  2: {step_s: {1: 0.125, 2: 0.1875}", "  4: {step_s: {1: 0.125, 4: 0.1875}")
    (files / "dyadic.yaml").write_text(text, encoding="utf-8")
    _, prediction = predicted(files)
    assert set(prediction.refused) == {"window"}
    assert prediction.run.candidates == ("serial",)
    assert any(
        note.text.startswith('"window" is not predicted: profile "dyadic" was made') for note in prediction.run.notes
    )


def test_no_candidate_is_an_error_that_says_why(files: Path) -> None:
    text = PROFILE.replace("prefill_s_per_token: 0.0078125", "prefill_s_per_token: null")
    (files / "dyadic.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"does not have prefill_s_per_token .* --assume prefill_s_per_token="):
        predicted(files)


def test_the_command_writes_a_run_folder_that_reads_back(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["simulate", "paper.yaml", "--profile", "dyadic.yaml", "--repeats", "2", "--out", "out", "--json"]
    monkeypatch.chdir(files)
    monkeypatch.setattr("sys.argv", ["slotwise", *arguments])
    assert _main() == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["run"]["origin"] == "predicted"
    (folder,) = (files / "out").iterdir()
    run = read_run(folder)
    assert (run.origin, len(run.trials), len(run.calls)) == ("predicted", 4, 12)

    monkeypatch.setattr(
        "sys.argv", ["slotwise", "score", "paper.yaml", "--profile", "dyadic.yaml", "--run", str(folder)]
    )
    find_runs(folder.parent)
    with closing(sqlite3.connect(folder.parent / INDEX_NAME)) as index:
        with index:
            index.execute("DELETE FROM runs")
        assert _main() == 0
        assert index.execute("SELECT folder FROM runs").fetchall() == [(folder.name,)]  # listed without a look
    out = capsys.readouterr().out
    assert "The prediction was off by 0.0 %" in out and (folder / "score.json").exists()
    entry = last_score("dyadic")
    assert entry is not None and (entry["workload"], entry["median_error"], entry["cells"]) == ("paper", 0.0, 2)
    _, prediction = predicted(files)
    assert any(note.text.startswith("Last scored against a real run of paper") for note in prediction.run.notes)


def test_lengths_of_a_measured_run(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forecast with the lengths that a run really had; those of a prediction are a forecast too."""
    _, prediction = predicted(files)
    run = prediction.run

    def longer(call: CallRecord) -> CallRecord:
        return call._replace(origin="emulated", reply=call.reply._replace(prompt_tokens=77, output_tokens=5))

    folders = []
    for origin, calls in (("emulated", tuple(longer(call) for call in run.calls)), ("predicted", tuple(run.calls))):
        with RunFolder.create(files / origin, run.name, datetime(2026, 3, 4)) as folder:
            one = run._replace(origin=cast(Origin, origin), calls=calls)
            folder.write_header(one)
            folder.add_records(one)
        folders.append(folder.path)
    arguments = ["slotwise", "simulate", "paper.yaml", "--profile", "dyadic.yaml", "--repeats", "3", "--out", "again"]
    monkeypatch.chdir(files)
    monkeypatch.setattr("sys.argv", [*arguments, "--full", "--lengths", str(folders[0])])
    assert _main() == 0
    assert "Lengths of prompts and answers are those measured in" in " ".join(capsys.readouterr().out.split())
    (again,) = (files / "again").iterdir()
    assert {(c.reply.prompt_tokens, c.reply.output_tokens) for c in read_run(again).calls} == {(77, 5)}
    monkeypatch.setattr("sys.argv", [*arguments, "--lengths", str(folders[1])])
    assert _main() == 2
    assert "expected a measured run, found a predicted one" in capsys.readouterr().err


def test_a_run_of_another_workload_is_not_scored(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr("sys.argv", ["slotwise", "simulate", "paper.yaml", "--profile", "dyadic.yaml", "--out", "out"])
    assert _main() == 0
    (folder,) = (files / "out").iterdir()
    (files / "paper.yaml").write_text(WORKLOAD.replace("output_tokens: 3", "output_tokens: 4"), encoding="utf-8")
    monkeypatch.setattr(
        "sys.argv", ["slotwise", "score", "paper.yaml", "--profile", "dyadic.yaml", "--run", str(folder)]
    )
    assert _main() == 2
    assert "a run of another workload" in capsys.readouterr().err


def test_damaged_history_is_passed_over(files: Path) -> None:
    remember({"profile": "p", "workload": "w"})
    with (files / "cache" / "scores.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"profile": "p", "work')
    assert last_score("p") == {"profile": "p", "workload": "w"}
    assert last_score("q") is None


def test_jobs_that_come_faster_than_they_go_are_said_with_the_rate_that_would_do(files: Path) -> None:
    """A single call takes 0.625 s on one slot, so 1.6 a second are sustainable; in the steady case nothing is said."""
    text = """
version: 1
name: rate
pipelines:
  ask:
    path: interactive
    jobs: 200
    arrival: {every_s: PACE}
    nodes: {reply: {agent: {prompt: "TEXT", output_tokens: 5}}}
servers: {one: {kind: llamacpp, slots: 1}}
compare: {serial: {placement: one, concurrency: serial}}
""".replace("TEXT", "0123456789abcdef" * 4)
    profile = load_profile(str(files / "dyadic.yaml"))

    def notices(pace: str) -> list[str]:
        (files / "rate.yaml").write_text(text.replace("PACE", pace), encoding="utf-8")
        loaded = load_workload(files / "rate.yaml")
        run = predict(loaded, profile, repeats=2).run
        return [notice.text for notice in said(analyse(run)).notices if notice.kind == "overload"]

    (told,) = notices("0.25")
    assert 'serial: jobs of "ask" came at 4.02 per second and ended at 1.59 per second, about the most that' in told
    assert notices("0.625") == notices("1") == []


def test_an_extrapolated_candidate_and_a_drift_are_marked(files: Path) -> None:
    (files / "paper.yaml").write_text(WORKLOAD.replace("slots: 2", "slots: 3"), encoding="utf-8")
    drifted = PROFILE.replace("1: {step_s", "1: {drift: -0.12, step_s", 1)
    (files / "dyadic.yaml").write_text(drifted, encoding="utf-8")
    loaded, profile = load_workload(files / "paper.yaml"), load_profile(str(files / "dyadic.yaml"))
    run = predict(loaded, profile, repeats=2, extrapolate=True).run
    analysis = analyse(run)
    assert [[use.extrapolated for use in candidate.servers] for candidate in analysis.candidates] == [[False], [True]]
    assert "3 slots (extrapolated)" in said(analysis).paths[0].headline
    text = "The machine changed speed while the profile was made (-12% with 1 slot): expect errors of that size."
    assert Note("drift", text) in run.notes
