"""What the runners of a workload take, as `slotwise check` says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.sweep import Footprint
from harness.app.check import check
from harness.errors import UserError
from harness.recommend import constraints, runners
from harness.recommend.memory import RunnerNeed
from harness.report.workload import workload_lines, workload_plain

PROFILE = """
version: 1
name: NAME
origin: assumed
source: made up for tests
date: null
machine: a machine on paper
engine: none
model: NAME
model_id: NAME
slots:
  2: {step_s: {1: 0.125, 2: 0.125}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
contention: null
load_s: 2.5
memory: {model_bytes: 3000000, slot_bytes: 1024000, context_tokens: 1024}
"""
WORKLOAD = """
version: 1
name: paper
pipelines:
  work:
    path: batch
    jobs: 2
    nodes:
      first: {agent: {prompt: "One", output_tokens: 5, FIRST}}
      second: {agent: {prompt: "Two", output_tokens: 5, SECOND}, after: [first]}
servers:
  one: {kind: KIND, model: small, slots: 2, context_tokens: 1024}
compare:
  one: {placement: one}
"""


def write(folder: Path, first: str, second: str, kind: str = "ollama") -> Path:
    path = folder / "paper.yaml"
    text = WORKLOAD.replace("FIRST", first).replace("SECOND", second).replace("KIND", kind)
    path.write_text(text, encoding="utf-8")
    for name in ("small", "large"):
        (folder / f"{name}.yaml").write_text(PROFILE.replace("NAME", name), encoding="utf-8")
    return path


def test_without_a_profile_what_is_not_known_is_said(tmp_path: Path) -> None:
    found = check(write(tmp_path, "num_ctx: 8192", "exact_output: true"))
    assert found.runners == (
        RunnerNeed("one", "small", 1024, 2, None, None, None),
        RunnerNeed("one", "small", 8192, 2, None, None, None),
    )
    assert (
        "  one  small with 8192 tokens of context: weights not known; KV cache of 2 slots\n"
        "       not known; a load not known"
    ) in "\n".join(workload_lines(*found))


def test_a_profile_of_the_model_says_what_they_take(tmp_path: Path) -> None:
    """The weights once for each; 1000 bytes a token, in two slots."""
    path = write(tmp_path, "num_ctx: 8192", "num_ctx: 2048")
    found = check(path, profiles=[str(tmp_path / "small.yaml")])
    assert found.runners == (
        RunnerNeed("one", "small", 2048, 2, 3_000_000, 2 * 2048 * 1000, 2.5),
        RunnerNeed("one", "small", 8192, 2, 3_000_000, 2 * 8192 * 1000, 2.5),
    )
    assert (
        "Runners (one for each context that a model is asked for)\n"
        "  one  small with 2048 tokens of context: weights 3.0 MB; KV cache of 2 slots\n"
        "       4.1 MB; a load 2.50 s\n"
    ) in "\n".join(workload_lines(*found))
    assert workload_plain(*found)["runners"][1]["cache_bytes"] == 16_384_000


def test_a_profile_of_another_model_says_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "num_ctx: 8192", "num_ctx: 8192")
    found = check(path, profiles=[str(tmp_path / "large.yaml")])
    assert found.runners == (RunnerNeed("one", "small", 8192, 2, None, None, None),)


def test_the_header_of_a_file_goes_before_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (constraints, runners):
        monkeypatch.setattr(module, "header_of", lambda spec: Footprint(5_000_000, 10, 4096, slides=False))
    path = write(tmp_path, "keep_alive: 0", "exact_output: true")
    assert check(path).runners == (RunnerNeed("one", "small", 1024, 2, 5_000_000, 2 * 1024 * 10, None),)
    found = check(path, profiles=[str(tmp_path / "small.yaml")])
    assert found.runners == (RunnerNeed("one", "small", 1024, 2, 5_000_000, 2 * 1024 * 10, 2.5),)


@pytest.mark.parametrize(
    ("first", "kind"), [("exact_output: true", "ollama"), ("num_ctx: 8192", "llamacpp"), ("keep_alive: 0", "llamacpp")]
)
def test_where_nobody_asks_or_nothing_follows_there_is_nothing_to_say(tmp_path: Path, first: str, kind: str) -> None:
    found = check(write(tmp_path, first, "exact_output: true", kind))
    assert found.runners == ()
    assert not any(line.startswith("Runners") for line in workload_lines(*found))


def test_a_profile_that_is_given_is_used_in_any_case(tmp_path: Path) -> None:
    path = write(tmp_path, "exact_output: true", "exact_output: true")
    found = check(path, profiles=[str(tmp_path / "small.yaml")])
    assert [(one.context_tokens, one.load_s) for one in found.runners] == [(1024, 2.5)]
    with pytest.raises(UserError, match="nowhere"):
        check(path, profiles=["nowhere"])
