"""Predictions where nodes ask for several models: worked by hand, and refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.cli.app import _main
from harness.errors import UserError
from harness.predict.simulation import Prediction, predict
from harness.profiles.load import load_profile
from harness.wording.said import said
from harness.workload.load import load_workload

PROFILE = """
version: 1
name: NAME
origin: assumed
source: made up for tests, in multiples of 1/512 s
date: null
machine: a machine on paper
engine: none
model: NAME
slots:
  1: {step_s: {1: STEP}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
contention: null
"""

WORKLOAD = """
version: 1
name: paper
pipelines:
  cascade:
    path: batch
    jobs: 2
    arrival: {closed: 1, think_s: 0}
    nodes:
      draft: {agent: {prompt: "TEXT", output_tokens: 5, model: small}}
      answer: {agent: {prompt: "TEXT", output_tokens: 3, model: large}, after: [draft]}
servers:
  swap: {kind: ollama, model: small, max_loaded_models: 1}
  both: {kind: ollama, model: small, max_loaded_models: 2}
compare:
  swapped: {placement: swap}
  loaded: {placement: both}
""".replace("TEXT", "0123456789abcdef" * 4)

# A prompt of 64 characters is estimated as 16 tokens: 1/8 s. Then 4 more steps of 1/8 s, and 2 of 1/4 s.
DRAFT_S, ANSWER_S = 0.125 + 4 * 0.125, 0.125 + 2 * 0.25


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "paper.yaml").write_text(WORKLOAD, encoding="utf-8")
    for name, step in (("p-small", "0.125"), ("p-large", "0.25")):
        text = PROFILE.replace("NAME", name).replace("STEP", step)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def predicted(
    files: Path, loads_s: dict[str, float], contention: str = "null", given: dict[str, float] | None = None
) -> Prediction:
    profiles = {}
    for model in ("small", "large"):
        path = files / f"p-{model}.yaml"
        text = path.read_text(encoding="utf-8").replace("contention: null", f"contention: {contention}")
        if model in loads_s:
            text += f"load_s: {loads_s[model]}\n"
        path.write_text(text, encoding="utf-8")
        profiles[model] = load_profile(str(path))
    loaded = load_workload(files / "paper.yaml")
    return predict(loaded, profiles["small"], repeats=1, given=given, by_model=profiles)


def test_times_and_loads_by_hand(files: Path) -> None:
    run = predicted(files, {"small": 2.0, "large": 4.0}, "{2: 1.5}").run
    swapped = [call for call in run.calls if call.candidate == "swapped"]
    # the small one is loaded to begin with; then each call finds the other one there
    assert [(call.node, call.reply.load_s) for call in swapped] == [
        ("draft", 0.0),
        ("answer", 4.0),
        ("draft", 2.0),
        ("answer", 4.0),
    ]
    assert swapped[-1].reply.end_s == 2 * (DRAFT_S + ANSWER_S) + 10.0
    assert [call.reply.total_s for call in swapped] == [DRAFT_S, 4 + ANSWER_S, 2 + DRAFT_S, 4 + ANSWER_S]
    assert {call.reply.queue_s for call in swapped} == {0.0}
    both = [call for call in run.calls if call.candidate == "loaded"]
    assert [call.reply.load_s for call in both] == [0.0] * 4
    assert both[-1].reply.end_s == 2 * (DRAFT_S + ANSWER_S)  # one call at a time: they never slow each other


def test_the_report_says_what_swaps_cost(files: Path) -> None:
    analysis = analyse(predicted(files, {"small": 2.0, "large": 4.0}).run)
    (line,) = (notice.text for notice in said(analysis).notices if notice.kind == "swaps")
    assert line.startswith(
        "Model swaps under swapped: 3 of 4 calls waited 4.00 s (median) for a model to load, 10.0 s in all"
    )


def test_what_is_refused(files: Path) -> None:
    prediction = predicted(files, {"small": 2.0, "large": 4.0})
    assert list(prediction.refused) == ["loaded"]  # both busy at once: nobody knows how they slow each other
    assert 'profile "p-small + p-large" does not say how 2 busy servers' in prediction.refused["loaded"]


def test_a_load_must_be_known(files: Path) -> None:
    with pytest.raises(UserError, match=r'profile "p-large" does not say how long large takes to load \(load_s\)'):
        predicted(files, {"small": 2.0}, "{2: 1.5}")


def test_a_load_may_be_given(files: Path) -> None:
    run = predicted(files, {"small": 2.0}, "{2: 1.5}", {"load_s": 8.0}).run
    assert {call.reply.load_s for call in run.calls} == {0.0, 2.0, 8.0}
    assert any("load_s = 8 is given for large" in note.text for note in run.notes)


def test_a_model_without_a_profile(files: Path) -> None:
    loaded = load_workload(files / "paper.yaml")
    small = load_profile(str(files / "p-small.yaml"))
    with pytest.raises(UserError, match=r'no profile is given for model "large"; add --profile large=NAME'):
        predict(loaded, small, repeats=1, by_model={"small": small})
    with pytest.raises(UserError, match="--profile small=NAME --profile large=NAME"):
        predict(loaded, small, repeats=1)


def test_on_the_command_line(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = [f"--profile={model}={files / f'p-{model}.yaml'}" for model in ("small", "large")]
    command = ["slotwise", "simulate", str(files / "paper.yaml"), "--only=swapped", "--assume=load_s=2", "--repeats=2"]
    monkeypatch.setattr("sys.argv", [*command, *profiles])
    assert _main() == 0
    assert "6 of 8 calls" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setattr("sys.argv", [*command, "--profile=p-small", "--profile=p-large"])
    assert _main() == 2
    assert 'no profile "p-small"' in capsys.readouterr().err  # without models these are several machines
