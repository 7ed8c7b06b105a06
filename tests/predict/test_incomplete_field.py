"""Where a named candidate could not be predicted, the answer says so before it recommends another."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.headline import answer, lead
from harness.wording.said import said
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
    ("field", "missing", "begins"),
    [
        (SPREAD, ("spread",), '"spread" could not be predicted: see the notes. Of those that could be predicted: '),
        ("two: {placement: {least-loaded: [a, b]}}", (), ""),
    ],
)
def test_what_is_missing_is_said_first(tmp_path: Path, field: str, missing: tuple[str, ...], begins: str) -> None:
    path = tmp_path / "field.yaml"
    path.write_text(WORKLOAD.replace("FIELD", field), encoding="utf-8")
    analysis = analyse(predict(load_workload(path), load_profile("epyc-2core"), repeats=3).run)
    assert analysis.run.missing == missing
    text = said(analysis)
    assert text.choice[0].startswith(begins + ("take" if begins else "Take"))
    assert lead(analysis, text)[0] == text.choice[0]
    assert answer(analysis).startswith(begins + ("batch path" if begins else "Batch path"))
