"""A server that lost a slot to a cancelled call is found out, and the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quiet import Quiet

from harness.analysis.slots_asked import CountedSlots
from harness.app.measuring import measure_into_folder
from harness.app.options import RunOptions
from harness.measure import session
from harness.measure.sender import Endpoint
from harness.runs.folder import read_run
from harness.workload.load import load_workload

TEXT = """\
version: 1
name: w
pipelines:
  p:
    path: batch
    jobs: 2
    nodes:
      write: {agent: {prompt: x, output_tokens: [4, 64]}, over: writers, enough: 1, losers: LOSERS}
inputs: {writers: {list: [a, b, c]}}
servers: {s: {kind: simulated, profile: p, slots: 3, speed_up: 20}}
compare: {c: {placement: s}}
measure: {repeats: 2, warmup: 0}
"""
PROFILE = """\
version: 1
name: p
origin: assumed
source: made up for tests
date: null
machine: a machine on paper
engine: none
model: none
slots:
  3: {step_s: {1: 0.05, 2: 0.05, 3: 0.05}, prefill_s_per_token: 0.01, prefill_batch_tokens: 512, context_s_per_token: 0,
      mixed_factor: 1, before_s: 0, after_s: 0}
contention: null
"""


@pytest.mark.parametrize(("losers", "looks", "found"), [("cancel", 2, 2), ("run", 0, 3)])
def test_slots_are_counted_again_after_a_call_was_cancelled(
    losers: str, looks: int, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.yaml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "w.yaml").write_text(
        TEXT.replace("LOSERS", losers).replace("profile: p,", "profile: p.yaml,"), encoding="utf-8"
    )
    counted: list[int] = []

    async def find_slots(endpoint: Endpoint, *_: Any, **__: Any) -> CountedSlots:
        counted.append(3 if not counted else 2)  # the first look finds all of them; a cancelled call costs one
        return CountedSlots(counted[-1])

    for name in ("confirm_slots", "find_slots"):
        monkeypatch.setattr(session, name, find_slots)
    options = RunOptions(out=tmp_path / "runs")
    ended = measure_into_folder(load_workload(tmp_path / "w.yaml"), options, Quiet())
    run = read_run(ended.folder)
    assert len(counted) == 1 + looks
    assert [server.slots_found for server in run.servers] == [found]
    said = 'Server "s" generated 3 calls at a time before a call failed or was cancelled, and 2 after it'
    assert [note.text.startswith(said) for note in run.notes if note.kind == "lost slots"] == [True] * (looks > 0)
