"""A branch of a tool: a choice that plain code makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from imports.orders import all_orders

from harness.errors import WorkloadError
from harness.workload.load import load_workload


def test_a_tool_can_branch_and_has_no_rules(tmp_path: Path) -> None:
    text = """
version: 1
name: w
pipelines:
  p:
    path: batch
    jobs: 400
    nodes:
      choose: {tool: {delay_s: 0}, branch: {a: 0.25, b: 0.75}}
      a: {agent: x, after: [choose.a]}
      b: {agent: x, after: [choose.b]}
agents:
  x: {prompt: hello, output_tokens: 4}
"""
    path = tmp_path / "w.yaml"
    path.write_text(text)
    loaded = load_workload(path)
    taken = sum(order == (frozenset("a"),) for order in all_orders(loaded))
    assert taken == pytest.approx(100, abs=30)
    path.write_text(text.replace("a: 0.25", "a: {p: 0.25, when: {first_word: a}}"))
    with pytest.raises(WorkloadError, match="a tool answers no text that a rule could look at"):
        load_workload(path)
