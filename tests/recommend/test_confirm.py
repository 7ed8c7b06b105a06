"""Confirmation: when it may end, what it says, and that the measurement wins.

What is "measured" here is a prediction on another profile, written as a run: a machine that is not what it was
taken for.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quiet import Quiet
from recommend.workloads import UNKNOWN, alone, fan, loaded_of

from harness.analysis.analyse import analyse
from harness.analysis.facts import MeasurementEnd, OpenQuestion
from harness.analysis.model import Analysis
from harness.app.recommend import Found, keep_recommendation
from harness.cli.app import _main
from harness.measure.until import Until
from harness.predict.servers import Profiles
from harness.predict.simulation import predict
from harness.profiles.load import dump_profile
from harness.profiles.schema import Profile
from harness.recommend.answer import Recommended, recommend
from harness.recommend.confirm import LEAST_REPEATS, confirmed, contenders, expected_s, to_measure, within
from harness.recommend.evaluate import Problem
from harness.recommend.facts import TooFewRepeats
from harness.recommend.space import design_space
from harness.recommend.workers import in_process
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import find_runs
from harness.wording.recommendations import end_text, note_text, recommended
from harness.workload.schema import FrozenDict

OPEN = (OpenQuestion("a", ("fan",), 3, 20, against="b"),)


def found_of(folder: Path) -> tuple[Recommended, Profile]:
    profile = alone(folder)
    space = design_space(loaded_of(folder, fan(8)), profile)
    problem = Problem(space.loaded, Profiles(profile))
    found = recommend(space, problem, profile, in_process(problem), Quiet(), memory=UNKNOWN, seeds=2, resamples=0)
    return found, profile


def run_folder(folder: Path, found: Recommended, profile: Profile, repeats: int) -> Path:
    loaded = to_measure(found, contenders(found, UNKNOWN))
    run = predict(loaded, profile, repeats=max(1, repeats)).run._replace(origin="measured", workload=loaded.resolved())
    run = run._replace(options={"until": "resolved"})
    if not repeats:  # the warm-up alone
        run = run._replace(trials=(), calls=[], jobs=[], delays=[])
    path = folder / f"run-{repeats}-{profile.name}"
    path.mkdir()
    with RunFolder(path) as to:
        to.write_header(run)
        to.add_records(run)
    return path


def slow_in_batches(profile: Profile) -> Profile:
    """A machine on which steps share nothing."""
    slots = {
        key: setting.model_copy(update={"step_s": FrozenDict({b: 0.5 * int(b) for b in setting.step_s})})
        for key, setting in profile.slots.items()
        if key != "1"
    }
    return profile.model_copy(update={"name": "slow", "slots": FrozenDict({"1": profile.slots["1"], **slots})})


def test_the_answer_is_measured_first_and_beside_two_to_four(tmp_path: Path) -> None:
    found, _ = found_of(tmp_path)
    names = contenders(found, UNKNOWN)
    assert names[0] == found.recommendation.answer[0] == "window-on-4"
    assert 2 <= len(names) <= 4
    assert expected_s(found, names) >= expected_s(found, names[:2]) > 0
    one = UNKNOWN._replace(weights_bytes=1, token_bytes=1.0, limit_bytes=1)
    assert len(contenders(found, one)) == 1  # no room for a second


def test_where_the_measurement_agrees(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    recommendation = confirmed(found, run_folder(tmp_path, found, profile, 3), Until(60))
    assert recommendation.origin == "measured"
    assert recommendation.answer == ("window-on-4",)
    assert recommendation.confirmation is not None
    assert not recommendation.confirmation.contradicts
    assert all(abs(difference.error) < 1e-9 for difference in recommendation.confirmation.differences)


def test_where_it_contradicts_it_wins_and_that_is_said(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    recommendation = confirmed(found, run_folder(tmp_path, found, slow_in_batches(profile), 3), Until(60))
    assert recommendation.answer == ("serial-on-1",)
    assert [use.slots for use in recommendation.uses] == [1]
    assert recommendation.confirmation is not None
    assert recommendation.confirmation.contradicts
    assert any("The measurement decides" in text for text in recommended(recommendation).confirmation)
    assert max(abs(difference.error) for difference in recommendation.confirmation.differences) > 0.3


def test_one_repeat_confirms_nothing(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    recommendation = confirmed(found, run_folder(tmp_path, found, profile, 1), Until(60))
    assert recommendation.origin == "predicted"
    assert recommendation.notes[0] == TooFewRepeats(1, MeasurementEnd("all repeats"))
    assert note_text(recommendation.notes[0]).startswith("Prediction only: the measurement ended after 1 repeat; all ")


def test_it_ends_when_they_are_told_apart_or_the_time_is_over(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    one, two, three = (run_folder(tmp_path, found, profile, n) for n in (1, 2, 3))
    now_s = 0.0
    until = Until(1000, lambda: now_s)
    assert not until(one)  # one repeat tells nothing apart
    now_s = 10.0
    assert not until(two)  # and two say nothing about their spread
    assert until.looks == 0
    assert until(three)  # without noise three do
    assert until.separated
    assert until.looks == 1
    over = Until(100, lambda: now_s)
    now_s = 70.0  # began at 10
    assert not over(one)
    now_s = 111.0
    assert over(one)
    assert not over.separated


def test_a_budget_measures_no_more_candidates_than_it_can_tell_apart(tmp_path: Path) -> None:
    found, _ = found_of(tmp_path)
    names = contenders(found, UNKNOWN)
    assert len(names) == 3
    two_s, three_s = (expected_s(found, names[:n], 8) for n in (2, 3))
    assert two_s < three_s
    for budget_s, kept in ((1e9, 3), (three_s, 3), (three_s - 1, 2), (0.0, 2)):
        assert within(found, names, budget_s) == names[:kept]


def test_it_looks_again_where_there_are_half_as_many_repeats_more(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    looked: list[tuple[int, int]] = []

    def questions(analysis: Analysis) -> tuple[OpenQuestion, ...]:
        looked.append((analysis.run.repeats, analysis.looks))
        return OPEN

    until = Until(1e9, lambda: 0.0, questions=questions)
    for n in range(1, 14):
        until(run_folder(tmp_path, found, profile, n))
    assert looked == [(3, 1), (5, 2), (8, 3), (12, 4)]


def test_who_looks_again_needs_a_wider_interval(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    noisy = profile.model_copy(
        update={
            "name": "noisy",
            "slots": FrozenDict({k: s.model_copy(update={"noise": 0.3}) for k, s in profile.slots.items()}),
        }
    )
    run = read_run(run_folder(tmp_path, found, noisy, 8))
    third, fixed = analyse(run), analyse(run._replace(options={"repeats": 8}))
    assert (third.looks, fixed.looks) == (3, 0)
    for path, before in zip(third.paths, fixed.paths, strict=True):
        for other, one in zip(path.comparisons, before.comparisons, strict=True):
            assert one.low is not None and one.high is not None and other.low is not None and other.high is not None
            assert other.low < one.low <= one.high < other.high
            assert other.comparisons == 12 * one.comparisons  # look 3 of them has 1 / (3 x 4) of the error


def test_a_whole_recommendation_on_simulated_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Search, measure until resolved, report: the live driver against servers that are models of the profile."""
    alone(tmp_path)
    text = fan(4, 20).replace(
        "{kind: ollama, model: gemma4}", f"{{kind: simulated, profile: {tmp_path / 'paper.yaml'}, speed_up: 20}}"
    )
    loaded_of(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    options = ["--workers", "1", "--seeds", "2", "--resamples", "0", "--budget", "10m", "--max-slots", "4"]
    monkeypatch.setattr("sys.argv", ["slotwise", "recommend", "workload.yaml", *options, "--out", "reports"])
    assert _main() == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "emulated" in out.splitlines()[1] or out.startswith("! ")
    assert "slotwise recommend workload.yaml" in out
    (row,), _ = find_runs(tmp_path / "reports")  # what was measured is a run like any other
    assert (row.origin, row.state) == ("emulated", "complete") and row.chosen is not None
    assert (tmp_path / "reports" / row.folder / "report.html").exists()
    monkeypatch.setattr("sys.argv", ["slotwise", "run", "--resume", f"reports/{row.folder}"])
    assert _main() == 2
    assert "What `slotwise recommend` measured is not resumed" in capsys.readouterr().err


def test_a_trial_is_estimated_before_it_starts(tmp_path: Path) -> None:
    """Predicted 10 s a trial of each of two; the budget is 100 s."""
    found, profile = found_of(tmp_path)
    names = contenders(found, UNKNOWN)
    trial_s = dict.fromkeys(names, 10.0)
    empty, one, two = (run_folder(tmp_path, found, profile, n) for n in (0, 1, 2))
    now_s = 0.0

    def until(budget_s: float) -> Until:
        nonlocal now_s
        now_s = 0.0
        return Until(budget_s, lambda: now_s, least=LEAST_REPEATS, trial_s=trial_s, questions=None)

    limit = until(100 + 20 * len(names))
    now_s = 99.0
    assert not limit(empty)  # two repeats of all fit, by the prediction
    limit = until(100 + 20 * len(names))
    now_s = 101.0
    assert limit(empty)
    assert "the 2 repeats that are needed would have taken about" in end_text(limit.end)
    slow = until(60 + 40 * len(names))
    now_s = 1.0
    assert not slow(empty)
    now_s = 21.0
    assert not slow(empty)  # a trial takes twice as long as predicted, and they still fit
    now_s = 61.0
    assert slow(empty)  # three times
    last = until(6 + 10 * len(names))
    now_s = 1.0
    assert not last(one)  # another repeat fits
    now_s = 11.0
    assert last(two)
    assert end_text(last.end).startswith("another repeat would have taken about")


@pytest.mark.slow
def test_a_machine_of_another_speed_is_measured_and_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The servers play a machine whose steps share nothing; the profile that is given says that they do."""
    profile = alone(tmp_path)
    truth = slow_in_batches(profile).model_copy(update={"name": "truth"})
    (tmp_path / "truth.yaml").write_text(dump_profile(truth), encoding="utf-8")
    # The profile has to be of the model that is played, or it is refused.
    (tmp_path / "wrong.yaml").write_text(dump_profile(profile.model_copy(update={"name": "truth"})), encoding="utf-8")
    text = fan(4, 24).replace(
        "{kind: ollama, model: gemma4}", f"{{kind: simulated, profile: {tmp_path / 'truth.yaml'}, speed_up: 10}}"
    )
    loaded_of(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    options = ["--workers", "1", "--seeds", "2", "--resamples", "0", "--budget", "10m", "--json"]
    monkeypatch.setattr("sys.argv", ["slotwise", "recommend", "workload.yaml", "--profile", "wrong.yaml", *options])
    assert _main() == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert "per repeat (predicted)" in captured.err
    assert said["origin"] == "emulated"
    assert said["confirmation"]["contradicts"]
    assert said["answer"][0].endswith("-on-1")
    assert {use["slots"] for use in said["uses"]} == {1}
    assert any("The measurement contradicts the prediction" in line for line in said["confirmation"]["sentences"])
    assert max(abs(difference["error"]) for difference in said["confirmation"]["differences"]) > 0.3


@pytest.mark.drawn
def test_the_page_of_a_confirmed_one_has_prediction_beside_measurement(tmp_path: Path) -> None:
    found, profile = found_of(tmp_path)
    folder = run_folder(tmp_path, found, profile, 3)
    kept = Found(confirmed(found, folder, Until(60)), found.run)
    text = (keep_recommendation(kept, tmp_path) / "report.html").read_text(encoding="utf-8")
    score = text.partition('<section id="score"')[2].partition("</section>")[0]
    assert "Predicted and measured" in score
    assert "The measurement confirms the prediction" in score
    assert 'id="chart-score"' in score
    assert score.count("<tr><td>") >= 2 * 2  # throughput and pipeline time of two candidates at least
    assert text.count('id="chart-score"') == 1  # once in the page
    assert str(folder) in text  # where every call is
    assert '<section id="basis"' in text  # what the prediction rests on; the notes are of the measurement


def test_the_page_of_one_that_is_not_confirmed_has_no_measurement(tmp_path: Path) -> None:
    found, _ = found_of(tmp_path)
    text = (keep_recommendation(Found(found.recommendation, found.run), tmp_path) / "report.html").read_text()
    assert 'id="score"' not in text and "chart-score" not in text
    assert "Every call that was measured" not in text
