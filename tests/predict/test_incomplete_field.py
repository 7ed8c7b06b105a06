"""Where a named candidate could not be predicted, the answer says so before it recommends another."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.wording.run_answer import run_answer
from harness.workload.load import load_workload

WORKLOAD = """
version: 1
name: field
pipelines:
  digest: {path: batch, jobs: 2, nodes: {read: {agent: {prompt: "Read this.", output_tokens: 20}}}}
servers:
  a: {kind: llamacpp, slots: 1, threads: half}
  b: {kind: llamacpp, slots: 1, threads: half}
  c: {kind: llamacpp, slots: 1, threads: half}
compare:
  one: {placement: a}
  FIELD
"""
SPREAD = "spread: {placement: {least-loaded: [a, b, c]}}"  # the profile knows of two busy servers, not of three


@pytest.mark.parametrize(
    ("field", "missing", "warnings"),
    [
        (SPREAD, ("spread",), ('Missing: "spread" could not be predicted. The answer covers the others only.',)),
        ("two: {placement: {least-loaded: [a, b]}}", (), ()),
    ],
)
def test_what_is_missing_is_said_first(
    tmp_path: Path, field: str, missing: tuple[str, ...], warnings: tuple[str, ...]
) -> None:
    path = tmp_path / "field.yaml"
    path.write_text(WORKLOAD.replace("FIELD", field), encoding="utf-8")
    analysis = analyse(predict(load_workload(path), load_profile("epyc-2core"), repeats=3).run)
    assert analysis.run.missing == missing
    answer = run_answer(analysis)
    assert answer.warnings == warnings
    assert answer.headline.startswith("Run serially" if missing else "Run 2 servers side by side, each serially")
