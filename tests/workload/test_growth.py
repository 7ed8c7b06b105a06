"""Loops with a drawn number of passes, prompts that grow, shared system messages: what is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.context import CallNeed
from harness.errors import WorkloadError
from harness.workload.describe import describe
from harness.workload.diagrams import dot, mermaid
from harness.workload.draw import draw
from harness.workload.growth import PassCounts, passes_of
from harness.workload.load import Loaded, load_workload
from harness.workload.longest import needs_of
from harness.workload.schema import RepeatSpec

HEAD = """
version: 1
name: w
subpipelines:
  inner:
    nodes:
      act: {agent: {prompt: "PROMPT", system: "SYSTEM", output_tokens: 10 SHARES}, grows: {by: [20, 40]}}
  outer:
    nodes:
      again: {pipeline: inner, repeat: {passes: 2}}
inputs:
  long: {synthetic: {count: 1, tokens: [20, 40]}}
  fixed: {synthetic: {count: 1, tokens: 20}}
"""
ONE = HEAD + "pipelines: {p: {path: batch, jobs: 2, SESSION nodes: {loop: {pipeline: inner, repeat: REPEAT}}}}\n"
TWO = HEAD + "pipelines: {p: {path: batch, jobs: 2, SESSION nodes: {loop: {pipeline: outer, repeat: {max: 2}}}}}\n"


def loaded(folder: Path, text: str, **changes: str) -> Loaded:
    usual = {"PROMPT": "0123" * 10, "SYSTEM": "0123" * 5, "SHARES": "", "SESSION": "", "REPEAT": "{passes: 4}"}
    for key, value in (usual | changes).items():
        text = text.replace(key, value)
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    return load_workload(path)


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [
        ({"max": 4}, PassCounts(4, 1.5, 4)),
        ({"passes": 4}, PassCounts(4, 1.5, 4)),
        ({"passes": [1, 3]}, PassCounts(2, (0 + 1 + 3) / 6, 3)),
        ({"passes": [0, 9], "max": 2}, PassCounts(1.8, 8 / 18, 2)),  # 0 is taken for 1, and 9 for 2
        ({"passes": {"empirical": [1, 5]}}, PassCounts(3, 10 / 6, 5)),
        ({"max": 2, "until": 0.5}, PassCounts(1.5, 0.5 / 1.5, 2)),
        ({"max": 3, "until": 0.5}, PassCounts(1.75, (0.25 + 3 * 0.25) / 1.75, 3)),
    ],
    ids=str,
)
def test_how_many_passes_there_are(repeat: dict[str, Any], expected: PassCounts) -> None:
    assert passes_of(RepeatSpec.model_validate(repeat)) == pytest.approx(expected)


def test_work_and_span_count_what_is_said_again(tmp_path: Path) -> None:
    """Fifteen tokens at first; ten answered and thirty more come in with each of three passes."""
    facts = describe(loaded(tmp_path, ONE)).pipelines[0]
    assert (facts.work.calls, facts.work.prompt_tokens, facts.work.output_tokens) == (4, 4 * 15 + (1 + 2 + 3) * 40, 40)
    assert facts.span.prompt_tokens == facts.work.prompt_tokens
    assert dict(facts.control) == {
        "grows": "loop/act: each further pass sends all before it and 20 to 40 new tokens",
        "loop": "loop: 4 passes",
    }


def test_it_is_drawn_as_one_that_grows(tmp_path: Path) -> None:
    graph = loaded(tmp_path, ONE).graphs["p"]
    assert draw(graph) == ["loop/act (grows) ──── loop/until (4x) again"]
    assert "loop/act (grows)" in mermaid([("p", graph)]) and "loop/act (grows)" in dot([("p", graph)])


def test_the_longest_call_is_that_of_the_last_pass(tmp_path: Path) -> None:
    """Ten tokens of a chat template around each exchange; what comes in at its largest."""
    assert needs_of(loaded(tmp_path, ONE)) == (CallNeed("p", "loop/act", 15 + 3 * (10 + 40 + 10), 10, "largest"),)
    turns = loaded(tmp_path, ONE, SESSION="session: {turns: 2},", REPEAT="{max: 4}")
    before = (10 + 10 + 10) + 3 * 60  # of the first turn: the question, the answer, the template; and its passes
    assert needs_of(turns) == (CallNeed("p", "loop/act", 15 + before + 3 * 60, 10, "largest"),)


def test_turns_cannot_go_on_with_one_of_several_runs(tmp_path: Path) -> None:
    loaded(tmp_path, TWO)
    with pytest.raises(WorkloadError, match=r'node "loop/again/act" begins again with every run of its loop'):
        loaded(tmp_path, TWO, SESSION="session: {turns: 2},")


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("You act on {long}.", r"\{long\} is not; name it in `prompt`"),
        ("You act on {input}.", r"\{input\} is not; name it in `prompt`"),
    ],
)
def test_what_is_shared_is_the_same_in_every_call(system: str, message: str, tmp_path: Path) -> None:
    loaded(tmp_path, TWO, SYSTEM="You act on {fixed}.", SHARES=", shares_prefix: true")
    with pytest.raises(WorkloadError, match=message):
        loaded(tmp_path, TWO, SYSTEM=system, SHARES=", shares_prefix: true")


def test_nothing_is_shared_without_a_system_message(tmp_path: Path) -> None:
    text = TWO.replace('system: "SYSTEM", ', "")
    with pytest.raises(WorkloadError, match="shares its system message and has none; give it `system`"):
        loaded(tmp_path, text, SHARES=", shares_prefix: true")
