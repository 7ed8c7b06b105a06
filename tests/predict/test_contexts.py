"""Agents with contexts and keep-alives of their own: predicted loads, worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.reloads import Reloads
from harness.errors import UserError
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs.model import Run
from harness.wording.run_answer import run_answer
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


def predicted(
    folder: Path, first: str, second: str, kind: str = "ollama", think: str = "0", *, repeats: int = 1
) -> Run:
    (folder / "p.yaml").write_text(PROFILE + "load_s: 2\n", encoding="utf-8")
    loaded = load_workload(write(folder, first, second, kind, think))
    return predict(loaded, load_profile(str(folder / "p.yaml")), repeats=repeats).run


def loads(folder: Path, first: str, second: str, kind: str = "ollama", think: str = "0") -> list[float | None]:
    return [call.reply.load_s for call in predicted(folder, first, second, kind, think).calls]


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


@pytest.mark.parametrize(
    ("first", "second", "think", "expected"),
    [
        (
            "num_ctx: 8192",
            "num_ctx: 2048",
            "0",
            [Reloads("one", "small", "num_ctx", (2048, 8192), 4.0, 8.0, (("work", 4.0),))],
        ),
        (
            "num_ctx: 8192",
            "exact_output: true",  # the server's own
            "0",
            [Reloads("one", "small", "num_ctx", (1024, 8192), 4.0, 8.0, (("work", 4.0),))],
        ),
        (
            "keep_alive: 0",
            "keep_alive: -1",
            "0",
            [Reloads("one", "small", "keep_alive", (1024,), 2.0, 4.0, (("work", 2.0),))],
        ),
        (
            "keep_alive: 3s",
            "keep_alive: 3s",
            "3.5",
            [Reloads("one", "small", "keep_alive", (1024,), 1.0, 2.0, (("work", 1.0),))],
        ),
        ("keep_alive: 3s", "keep_alive: 3s", "2.5", []),
        ("num_ctx: 2048", "num_ctx: 2048", "0", []),
        ("exact_output: true", "exact_output: true", "0", []),
    ],
)
def test_why_a_model_was_loaded_again(
    tmp_path: Path, first: str, second: str, think: str, expected: list[Reloads]
) -> None:
    """Of two jobs in a repeat: the loads of a repeat, what they took, and what of it lies on the path of a job."""
    (candidate,) = analyse(predicted(tmp_path, first, second, think=think, repeats=2)).candidates
    assert list(candidate.reloads) == expected


def loads_said(run: Run) -> list[str]:
    return [line.text for part in run_answer(analyse(run)).parts if part.title == "Loads" for line in part.lines]


def test_the_answer_says_what_the_loads_cost_and_what_to_do(tmp_path: Path) -> None:
    assert loads_said(predicted(tmp_path, "num_ctx: 8192", "num_ctx: 2048")) == [
        "Agents ask small for 2048 and 8192 tokens of context, so Ollama loads it 4 times a repeat, 4.00 s on the path "
        "of a job of work: give all of them num_ctx 8192, and it is loaded once."
    ]
    assert loads_said(predicted(tmp_path, "keep_alive: 0", "exact_output: true")) == [
        "A keep_alive of agents has small leave, so Ollama loads it again 2 times a repeat, 2.00 s on the path of a "
        "job of work: leave it out, and set OLLAMA_KEEP_ALIVE."
    ]
    assert loads_said(predicted(tmp_path, "num_ctx: 8192", "num_ctx: 8192")) == []


def test_calls_that_wait_for_one_load_count_as_one(tmp_path: Path) -> None:
    """Two calls at once for another context wait for the same load, of which one lies on the path."""
    path = write(tmp_path, "num_ctx: 8192", "num_ctx: 2048")
    nodes = path.read_text(encoding="utf-8").replace("after: [first]}", "over: two, after: [first]}")
    nodes = nodes.replace("{placement: one}", "{placement: one, concurrency: unbounded}")
    path.write_text(nodes + "inputs: {two: {list: [a, b]}}\n", encoding="utf-8")
    (tmp_path / "p.yaml").write_text(PROFILE + "load_s: 2\n", encoding="utf-8")
    run = predict(load_workload(path), load_profile(str(tmp_path / "p.yaml")), repeats=1).run
    assert [call.reply.load_s for call in run.calls if call.node == "second"] == [2.0] * 4
    (reloads,) = analyse(run).candidates[0].reloads
    assert (reloads.loads, reloads.total_s, reloads.paths) == (4.0, 12.0, (("work", 4.0),))
