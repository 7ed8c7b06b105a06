"""Loads that agents cause on a real server, as far as its answers tell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama

from harness.analysis import timesplit
from harness.analysis.analyse import analyse
from harness.app.options import RunOptions
from harness.app.run import run
from harness.wording.run_answer import run_answer

WORKLOAD = """
version: 1
name: asks
pipelines:
  ask:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 0}
    nodes:
      read: {agent: {prompt: "A long one.", output_tokens: 4, num_ctx: 8192}}
      answer: {agent: {prompt: "A short one.", output_tokens: 4, num_ctx: 2048}, after: [read]}
servers:
  one: {kind: ollama, model: m, slots: 1, url: "URL"}
compare: {one: {placement: one}}
measure: {repeats: 1, warmup: 0}
"""
LOAD_S = 0.03125  # no longer than a call may take on our clock


def test_a_run_says_what_its_contexts_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timesplit, "_LOAD_EVENT_S", 0.02)
    fake = FakeOllama()

    def loaded_again(number: int) -> dict[str, Any]:
        """Tell of a load where the chat before had another context, as an Ollama does."""
        now, before = (fake.chats[n].get("options", {}).get("num_ctx") for n in (number - 1, number - 2))
        return {"load_duration": int(LOAD_S * 1e9)} if number > 1 and now != before else {}

    fake.fields = loaded_again
    with fake.listening() as url:
        path = tmp_path / "asks.yaml"
        path.write_text(WORKLOAD.replace("URL", url), encoding="utf-8")
        analysis = analyse(run(path, RunOptions(out=tmp_path / "runs")).run)
    (reloads,) = analysis.candidates[0].reloads
    assert (reloads.reason, reloads.contexts, reloads.loads) == ("num_ctx", (2048, 8192), 4.0)
    assert (reloads.total_s, reloads.paths) == (4 * LOAD_S, (("ask", 2 * LOAD_S),))
    (part,) = (part for part in run_answer(analysis).parts if part.title == "Loads")
    assert "so Ollama loads it 4 times a repeat, 62 ms on the path of a job of ask" in part.lines[0].text
