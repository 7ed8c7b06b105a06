"""What a prediction owes to its calibration, against profiles whose replicates are made by hand."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime
from pathlib import Path

import pytest
from predict.paper import PROFILE, WORKLOAD
from rich.console import Console
from scipy import stats

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.cli.app import _main
from harness.predict.resampling import with_resampling
from harness.predict.simulation import forecast, predict
from harness.profiles.load import load_profile
from harness.report.markdown import markdown_report
from harness.report.terminal import print_report
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Note, Run
from harness.units import seconds
from harness.wording.predictions import too_large_to_resample
from harness.wording.said import said
from harness.workload.load import load_workload

FACTORS = (1.1, 0.9, 1.2, 0.8, 1.05, 0.95)
NEVER = (1.0,) * 6
T = float(stats.t.ppf(0.975, 6))


def half_width(factors: tuple[float, ...]) -> float:
    return T * math.sqrt(sum(math.log(f) ** 2 for f in factors) / len(factors))


def replicates(setting: str, factors: tuple[float, ...]) -> str:
    """Let every cost of a slot setting come out differently, all by the same factor."""
    slots = 2 if "2:" in setting else 1
    steps = {1: 0.125, 2: 0.1875}
    values = {f"step_s.{n}": [steps[n] * f for f in factors] for n in range(1, slots + 1)}
    values["prefill_s_per_token"] = [0.0078125 * f for f in factors]
    return f"replicates: {json.dumps(values)}, {setting}"


def resampled_run(
    tmp_path: Path, one: tuple[float, ...] | None, two: tuple[float, ...] | None, profiles: int | None = 20
) -> Run:
    text = PROFILE
    if one is not None:
        text = text.replace("step_s: {1: 0.125}", replicates("step_s: {1: 0.125}", one))
    if two is not None:
        text = text.replace("step_s: {1: 0.125, 2: 0.1875}", replicates("step_s: {1: 0.125, 2: 0.1875}", two))
    (tmp_path / "paper.yaml").write_text(WORKLOAD, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    loaded, profile = load_workload(tmp_path / "paper.yaml"), load_profile(str(tmp_path / "p.yaml"))
    tokens = forecast(loaded, profile.text)
    run = predict(loaded, profile, repeats=3, tokens_of=tokens).run
    return with_resampling(run, loaded, profile, profiles=profiles, tokens_of=tokens)


@pytest.fixture(autouse=True)
def no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))


def printed(analysis: Analysis) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    print_report(analysis, console, full=True)
    return console.export_text()


def test_every_time_goes_with_its_profile(tmp_path: Path) -> None:
    run = resampled_run(tmp_path, FACTORS, FACTORS)
    assert run.resampled is not None
    assert (run.resampled.source, run.resampled.draws) == ("resampled calibration", 1)
    assert run.resampled.factors["serial/digest/time"] == pytest.approx(FACTORS)
    assert run.resampled.factors["window/digest/all_done"] == pytest.approx(FACTORS)
    assert run.resampled.factors["window//throughput"] == pytest.approx([1 / f for f in FACTORS])
    analysis = analyse(run)
    time = analysis.candidates[0].pipelines[0].time
    assert time is not None and time.profile_low is not None and time.profile_high is not None
    assert time.value == pytest.approx(1.625)
    assert math.log(time.profile_high / time.value) == pytest.approx(half_width(FACTORS))
    assert math.log(time.value / time.profile_low) == pytest.approx(half_width(FACTORS))
    assert time.low == time.high == pytest.approx(1.625)  # nothing is drawn here


def test_what_candidates_share_cancels(tmp_path: Path) -> None:
    """A slower machine is slower for both: their ratio is known to the last digit, whatever the times are."""
    verdict = analyse(resampled_run(tmp_path, FACTORS, FACTORS)).paths[0]
    (comparison,) = verdict.comparisons
    assert (comparison.profile_low, comparison.profile_high) == pytest.approx((comparison.ratio, comparison.ratio))
    assert (comparison.relation, comparison.unresolved_by, verdict.standing) == ("worse", None, "clear")


def test_what_the_profile_does_not_tell_is_not_resolved(tmp_path: Path) -> None:
    analysis = analyse(resampled_run(tmp_path, NEVER, FACTORS))
    verdict = analysis.paths[0]
    (comparison,) = verdict.comparisons
    assert comparison.low == pytest.approx(comparison.high)  # over draws there is no doubt
    assert (comparison.relation, comparison.unresolved_by) == ("unresolved", "profile")
    assert comparison.repeats_needed is None
    assert (verdict.standing, verdict.fastest, verdict.chosen) == ("unresolved", "window", "serial")
    (path,) = said(analysis).paths
    assert "for now, run serially" in path.headline
    assert any(sentence.startswith("The profile is too uncertain") for sentence in path.sentences)


def test_both_intervals_are_shown_apart(tmp_path: Path) -> None:
    analysis = analyse(resampled_run(tmp_path, FACTORS, FACTORS))
    text = printed(analysis)
    profile = f"±{seconds(1.625 * math.sinh(half_width(FACTORS)))} profile"
    assert profile in text and " draws\n" not in text  # the draws are all alike: an interval without width says nothing
    assert "95 % intervals over draws and profile" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert f"({profile})" in markdown_report(analysis)


def test_a_run_folder_keeps_it(tmp_path: Path) -> None:
    run = resampled_run(tmp_path, FACTORS, NEVER)
    with RunFolder.create(tmp_path / "out", run.name, datetime(2026, 1, 2)) as folder:
        folder.write_header(run)
        folder.add_records(run)
    again = read_run(folder.path)
    assert again.resampled == run.resampled
    assert analyse(again).candidates == analyse(run).candidates


def test_a_profile_without_errors_says_so(tmp_path: Path) -> None:
    run = resampled_run(tmp_path, None, None)
    assert run.resampled is not None and run.resampled.factors == {}
    text = "The uncertainty of the profile is not known: intervals are over draws alone."
    assert Note("not resampled", text) in run.notes
    text = printed(analyse(run))
    assert "uncertainty unknown" in text and "±" not in text


def test_the_command_has_it_and_can_leave_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resampled_run(tmp_path, FACTORS, FACTORS)
    argv = ["slotwise", "simulate", str(tmp_path / "paper.yaml"), "--profile", str(tmp_path / "p.yaml"), "--json"]
    for more, known in (([], True), (["--resamples", "0"], False)):
        monkeypatch.setattr("sys.argv", [*argv, *more])
        assert _main() == 0
        time = json.loads(capsys.readouterr().out)["candidates"][0]["pipelines"][0]["time"]
        assert (time["profile_low"] is not None) == known


def test_a_large_simulation_leaves_it_out_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three jobs of three calls a candidate: 18 calls in all, 6 for one profile."""
    monkeypatch.setattr("harness.predict.resampling.SMALL_CALLS", 29)
    run = resampled_run(tmp_path, FACTORS, FACTORS, profiles=None)
    assert run.resampled is None
    assert too_large_to_resample() in run.notes
    monkeypatch.setattr("harness.predict.resampling.SMALL_CALLS", 30)
    run = resampled_run(tmp_path, FACTORS, FACTORS, profiles=None)
    assert run.resampled is not None and run.resampled.factors["serial/digest/time"] == pytest.approx(FACTORS[:5])
    assert resampled_run(tmp_path, FACTORS, FACTORS, profiles=0).resampled is None
