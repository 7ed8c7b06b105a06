"""The law of imports, for LangGraph: calls and width that come in are those that come out, and those named as lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from imports.programs import Program, programs

from harness.imports.langgraph import draft_of_read, read_graphs
from harness.imports.write import questions, write
from harness.workload.describe import describe
from harness.workload.load import load_workload

pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")


@settings(max_examples=40, deadline=None)
@given(programs())
def test_what_comes_in_comes_out_or_is_named(program: Program) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.py"
        path.write_text(program.text)
        draft = draft_of_read(read_graphs([f"{path}:graph"]), {})
        write(draft, Path(folder) / "out.yaml")
        loaded = load_workload(Path(folder) / "out.yaml")
    account = draft.account
    assert account.missing() == {}
    assert account.found.calls == program.calls
    assert account.made.calls is not None
    assert account.made.calls + sum(loss.calls for loss in account.lost) == program.calls
    (facts,) = describe(loaded).pipelines
    assert facts.width + sum(loss.width for loss in account.lost) == program.width
    asked = {text.split()[4] for text in questions(draft) if text.startswith("how many items does")}
    assert asked == set(program.asked)
    for loss in account.lost:
        assert any(loss.why in one.text for one in draft.head)
