"""Agents with contexts and keep-alives of their own: predicted loads, worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.errors import UserError
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.wording.said import said
from harness.workload.describe import describe
from harness.workload.load import load_workload

PROFILE = """
version: 1
name: p
origin: assumed
source: made up for tests, in multiples of 1/512 s
date: null
machine: a machine on paper
engine: none
model: p
slots:
  1: {step_s: {1: 0.125}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
contention: null
"""
WORKLOAD = """
version: 1
name: paper
pipelines:
  work:
    path: batch
    jobs: 2
    arrival: {closed: 1, think_s: THINK}
    nodes:
      first: {agent: {prompt: "TEXT", output_tokens: 5, FIRST}}
      second: {agent: {prompt: "TEXT", output_tokens: 5, SECOND}, after: [first]}
servers:
  one: {kind: KIND, model: small, context_tokens: 1024}
compare:
  one: {placement: one}
""".replace("TEXT", "0123456789abcdef" * 4)
CALL_S = 0.125 + 4 * 0.125


def write(folder: Path, first: str, second: str, kind: str = "ollama", think: str = "0") -> Path:
    path = folder / "paper.yaml"
    text = WORKLOAD.replace("FIRST", first).replace("SECOND", second).replace("KIND", kind).replace("THINK", think)
    path.write_text(text, encoding="utf-8")
    return path


def loads(folder: Path, first: str, second: str, kind: str = "ollama", think: str = "0") -> list[float | None]:
    (folder / "p.yaml").write_text(PROFILE + "load_s: 2\n", encoding="utf-8")
    loaded = load_workload(write(folder, first, second, kind, think))
    run = predict(loaded, load_profile(str(folder / "p.yaml")), repeats=1).run
    return [call.reply.load_s for call in run.calls]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("num_ctx: 8192", "num_ctx: 2048", [2.0, 2.0, 2.0, 2.0]),  # the smaller one is there to begin with
        ("num_ctx: 1024", "num_ctx: 2048", [0.0, 2.0, 2.0, 2.0]),  # the server's own is there to begin with
        ("num_ctx: 2048", "num_ctx: 2048", [0.0] * 4),
        ("num_ctx: 1024", "exact_output: true", [0.0] * 4),
        ("keep_alive: 0", "exact_output: true", [0.0, 2.0, 0.0, 2.0]),  # loaded anew, for ever again
        ("keep_alive: 0", "keep_alive: -1", [0.0, 2.0, 0.0, 2.0]),
        ("keep_alive: 5m", "keep_alive: 5m", [0.0] * 4),
    ],
)
def test_loads_by_hand(tmp_path: Path, first: str, second: str, expected: list[float]) -> None:
    assert loads(tmp_path, first, second) == expected


def test_a_model_goes_when_its_time_has_passed(tmp_path: Path) -> None:
    assert loads(tmp_path, "keep_alive: 3s", "keep_alive: 3s", think="2.5") == [0.0] * 4
    assert loads(tmp_path, "keep_alive: 3s", "keep_alive: 3s", think="3.5") == [0.0, 0.0, 2.0, 0.0]


def test_the_embedded_engine_changes_nothing_and_check_says_so(tmp_path: Path) -> None:
    assert loads(tmp_path, "num_ctx: 8192", "keep_alive: 0", kind="llamacpp") == [0.0] * 4
    hints = describe(load_workload(tmp_path / "paper.yaml")).hints
    assert any(hint.startswith("one: num_ctx of an agent changes nothing there") for hint in hints)
    assert any(hint.startswith("one: keep_alive of an agent changes nothing there") for hint in hints)


def test_check_says_that_contexts_differ_and_that_a_prompt_does_not_fit(tmp_path: Path) -> None:
    hints = describe(load_workload(write(tmp_path, "num_ctx: 8192", "num_ctx: 256, thinking_tokens: 300, think: true")))
    text = "\n".join(hints.hints)
    assert "one: calls ask small for different contexts (work.second for 256 tokens; work.first for 8192" in text
    assert "Give them all num_ctx 8192" in text
    assert "one holds 256 a slot: raise num_ctx to" in text


def test_a_load_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROFILE, encoding="utf-8")
    profile = load_profile(str(tmp_path / "p.yaml"))
    loaded = load_workload(write(tmp_path, "num_ctx: 8192", "num_ctx: 2048"))
    with pytest.raises(UserError, match="does not say how long small takes to load"):
        predict(loaded, profile, repeats=1)
    run = predict(loaded, profile, repeats=1, given={"load_s": 4.0}).run
    assert [call.reply.load_s for call in run.calls] == [4.0] * 4
    (line,) = (notice.text for notice in said(analyse(run)).notices if notice.kind == "swaps")
    assert "4 of 4 calls waited 4.00 s (median) for a model to load, 16.0 s in all" in line
