"""Whatever an application did and however it was traced: calls, tokens, width and tools are in the file, or named as
lost on top of it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from imports.forms import One, genai, openinference, otlp_span, request, span_id

from harness.errors import UserError
from harness.imports.account import ImportCounts, loss_line
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import write_balanced


class Traced:
    """Traces that are being made, and what is in them, counted apart from the importer."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.job = self.number = 0
        self.calls = self.input = self.output = self.tools = 0
        self.width = 0

    def one(self, parent: int, kind: str, name: str, start_s: float, end_s: float, sizes: tuple[int, int]) -> One:
        self.number += 1
        return One(self.job, self.number, parent, kind, name, start_s, end_s, sizes)

    def add(self, one: One, attributes: dict[str, Any], parent: str | None = None, failed: bool = False) -> None:
        span = otlp_span(one, {key: value for key, value in attributes.items() if value not in (None, "")}, parent)
        if failed:
            span["status"] = {"code": 2}
        self.spans.append(span)


@st.composite
def applications(draw: st.DrawFn) -> Traced:
    """Trees of steps one after the other and side by side.

    Calls have a name or none, are counted or not, traced twice, tried again, failed for good; some tools are around
    calls.
    """
    traced = Traced()
    names = draw(st.sampled_from([("plan", "read", "edit"), ("",), ("plan", "")]))

    def call(parent: int, start_s: float, end_s: float) -> None:
        name = draw(st.sampled_from(names))
        counted = draw(st.integers(0, 9)) > 0
        sizes = (draw(st.integers(1, 2000)), draw(st.integers(1, 300)))
        again = draw(st.integers(0, 19)) == 0
        if again:
            middle_s = (start_s + end_s) / 2
            first = traced.one(parent, "call", name, start_s, middle_s, sizes)
            told = genai(first)
            traced.add(first, {key: v for key, v in told.items() if "usage" not in key}, failed=True)
            traced.calls += 1
            start_s = middle_s
        one = traced.one(parent, "call", name, start_s, end_s, sizes)
        told = genai(one)
        if not counted:
            told = {key: v for key, v in told.items() if "usage" not in key}
        good = draw(st.integers(0, 39)) > 0
        if draw(st.integers(0, 4)) == 0:  # another instrumentation around it
            outer = traced.one(parent, "call", name, start_s, end_s, sizes)
            around = openinference(outer)
            traced.add(outer, {k: v for k, v in around.items() if "token" not in k}, failed=not good)
            traced.add(one, told, span_id(outer), failed=not good)
        else:
            traced.add(one, told, failed=not good)
        traced.calls += 1
        traced.input += sizes[0] if counted else 0
        traced.output += sizes[1] if counted else 0

    def tool(parent: int, start_s: float, end_s: float, depth: int) -> None:
        one = traced.one(parent, "tool", draw(st.sampled_from(["search", "store"])), start_s, end_s, (0, 0))
        traced.add(one, genai(one), failed=draw(st.booleans()))
        traced.tools += 1
        if depth and draw(st.integers(0, 3)) == 0:
            call(one.number, start_s, end_s)

    def steps(parent: int, start_s: float, depth: int) -> float:
        for _ in range(draw(st.integers(1, 3))):
            kind = draw(st.sampled_from(["call", "call", "tool", "fan", "part"]))
            lasts_s = float(draw(st.integers(1, 4)))
            if kind == "call" or not depth:
                call(parent, start_s, start_s + lasts_s)
            elif kind == "tool":
                tool(parent, start_s, start_s + lasts_s, depth)
            elif kind == "fan":
                for _ in range(draw(st.integers(1, 3))):
                    call(parent, start_s, start_s + lasts_s)
            else:
                part = traced.one(parent, "root", draw(st.sampled_from(["a", "b"])), start_s, start_s, (0, 0))
                end_s = steps(part.number, start_s, depth - 1)
                traced.add(part._replace(end_s=end_s), {})
                lasts_s = end_s - start_s
            start_s += lasts_s
        return start_s

    for job in range(draw(st.integers(1, 5))):
        traced.job, traced.number = job, 0
        root = traced.one(0, "root", "work", 0, 0, (0, 0))
        call(root.number, 0, 1)
        traced.add(root._replace(end_s=steps(root.number, 1, 2)), {})
    return traced


@settings(max_examples=60, deadline=None)
@given(applications())
def test_the_law(traced: Traced) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spans.json").write_text(json.dumps(request(traced.spans)))
        try:
            read = read_traces(folder / "spans.json")
        except UserError as error:  # nothing is left where a call failed for good in every trace
            assert "a call failed for good" in str(error) and "none that can be used" in str(error)
            return
        draft, _ = write_balanced(draft_traces(read, "spans.json", "back"), folder / "back.yaml")
        top = (folder / "back.yaml").read_text().partition("version: 1")[0]
    account = draft.account
    found = account.found
    assert found[:3] == (traced.calls, traced.input, traced.output) and found.tools == traced.tools
    assert account.missing() == {}
    lines = " ".join(top.replace("\n#  ", "").replace("\n# ", "\n").split())
    for loss in account.lost:
        assert loss_line(loss) in lines
    kept = ImportCounts(*(getattr(account.made, figure) for figure in ImportCounts._fields))
    assert kept.calls is not None and kept.calls > 0
