"""The longest call that `slotwise check` warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.workload.describe import describe
from harness.workload.load import load_workload

TEXT = """\
version: 1
name: pages
pipelines:
  ask:
    path: batch
    jobs: 2
    nodes:
      read: {agent: {prompt: "{pages}", output_tokens: OUTPUT}}
      sum-up: {after: [read], agent: {prompt: "{read}", output_tokens: 20}}
inputs:
  pages: {synthetic: {count: 1, tokens: TOKENS}}
servers:
  main: SERVER
compare:
  alone: {placement: main}
"""


def warnings(folder: Path, *, tokens: str = "100", output: str = "50", server: str = "") -> list[str]:
    path = folder / "workload.yaml"
    text = TEXT.replace("TOKENS", tokens).replace("OUTPUT", output)
    path.write_text(text.replace("SERVER", server or "{kind: llamacpp, context_tokens: 300}"), encoding="utf-8")
    return [hint for hint in describe(load_workload(path)).hints if "needs" in hint]


def test_the_largest_size_counts_where_sizes_have_a_bound(tmp_path: Path) -> None:
    assert warnings(tmp_path, tokens="[100, 200]") == []
    (warning,) = warnings(tmp_path, tokens="[100, 400]")
    assert warning == (
        "ask.read needs up to about 450 tokens; main holds 300 a slot: raise context_tokens to 512 or shorten the "
        "prompt."
    )


def test_a_size_without_a_bound_is_taken_where_one_in_a_thousand_is_above(tmp_path: Path) -> None:
    (warning, *_) = warnings(tmp_path, output="{lognormal: {median: 60, sigma: 0.5}}")
    assert warning.startswith(
        "ask.read needs (sizes without a bound at their 99.9th percentile) about 390 tokens; main holds 300 a slot"
    )


def test_a_long_answer_makes_the_prompt_long_that_reads_it(tmp_path: Path) -> None:
    first, second = warnings(tmp_path, output="[20, 300]")
    assert first.startswith("ask.read needs up to about")
    assert second.startswith("ask.sum-up needs up to about 320 tokens")


@pytest.mark.parametrize(("context", "found"), [("", 0), (", context_tokens: 300", 1)])
def test_of_a_running_server_only_what_the_file_says_is_known(context: str, found: int, tmp_path: Path) -> None:
    server = f'{{kind: ollama, model: m, url: "http://127.0.0.1:11434"{context}}}'
    assert len(warnings(tmp_path, tokens="3000", server=server)) == found
