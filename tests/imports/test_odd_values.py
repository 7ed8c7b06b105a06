"""Values that no instrumentation should write: one line, or a counted loss; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imports.forms import FORMS, JOBS, application, genai, otlp_span, request

from harness.errors import UserError
from harness.imports.read import read_traces
from harness.imports.traces import draft_traces
from harness.imports.write import write_balanced

ODD: list[Any] = [
    None, True, -1, 0, 5, 10**30, 1e308, "", "x", "9" * 400, [], [1], {}, {"a": 1}, float("nan"), float("inf"), "NaN",
]  # fmt: skip
FIELDS = [
    "traceId", "spanId", "parentSpanId", "name", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status",
]  # fmt: skip


def imported(text: str, folder: Path) -> str:
    """Import it, or return the line that says why not."""
    path = folder / "spans.json"
    path.write_text(text)
    try:
        draft, _ = write_balanced(draft_traces(read_traces(path), "spans.json", "back"), folder / "w.yaml", force=True)
    except UserError as error:
        assert "\n" not in str(error)
        return str(error)
    assert draft.account.missing() == {}
    return ""


@pytest.mark.parametrize("field", FIELDS)
def test_odd_fields_of_a_span(field: str, tmp_path: Path) -> None:
    for odd in ODD:
        spans = [otlp_span(one, genai(one)) for one in application()]
        spans[3][field] = odd
        assert imported(json.dumps(request(spans)), tmp_path) == "", (field, odd)


@pytest.mark.parametrize("name", [*genai(application()[1]), "error.type", "llm.token_count.prompt"])
def test_odd_attributes_of_a_call(name: str, tmp_path: Path) -> None:
    for odd in ODD:
        for value in (odd, {"stringValue": odd}, {"intValue": odd}, {"arrayValue": {"values": [odd]}}):
            spans = [otlp_span(one, genai(one)) for one in application()]
            spans[1]["attributes"] = [one for one in spans[1]["attributes"] if one["key"] != name]
            spans[1]["attributes"] += [{"key": name, "value": value}, {"key": odd, "value": value}, odd]
            assert imported(json.dumps(request(spans)), tmp_path) == "", (name, odd)


def _swapped(spans: list[dict[str, Any]]) -> None:
    spans[1]["startTimeUnixNano"], spans[1]["endTimeUnixNano"] = spans[1]["endTimeUnixNano"], "5"


def _zero(spans: list[dict[str, Any]]) -> None:
    for span in spans:
        span["startTimeUnixNano"] = span["endTimeUnixNano"] = "0"


def _circle(spans: list[dict[str, Any]]) -> None:
    spans[0]["parentSpanId"], spans[1]["parentSpanId"] = spans[1]["spanId"], spans[0]["spanId"]


def _own_parent(spans: list[dict[str, Any]]) -> None:
    spans[1]["parentSpanId"] = spans[1]["spanId"]


def _same_ids(spans: list[dict[str, Any]]) -> None:
    for span in spans:
        span["spanId"] = "00000000000000aa"


def _twice(spans: list[dict[str, Any]]) -> None:
    spans += [dict(span) for span in spans]


@pytest.mark.parametrize("change", [_swapped, _zero, _circle, _own_parent, _same_ids, _twice])
def test_odd_traces(change: Callable[[list[dict[str, Any]]], None], tmp_path: Path) -> None:
    spans = [otlp_span(one, genai(one)) for one in application()]
    change(spans)
    assert imported(json.dumps(request(spans)), tmp_path) == ""
    if change is _same_ids:  # told apart, so no call is lost
        assert f"Recovered from {JOBS} traces" in (tmp_path / "w.yaml").read_text()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
OTHERS = [name for name, (made, _) in FORMS.items() if isinstance(made(), str) and str(made())[0] in "[{"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_anywhere_in_any_form(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(OTHERS))
    text = str(FORMS[name][0]())
    try:
        values = [json.loads(text)]
    except ValueError:
        decoder, values, at = json.JSONDecoder(), [], 0
        while at < len(text.rstrip()):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            at += 1
    places: list[tuple[Any, Any]] = []
    stack: list[Any] = [values]
    while stack:
        one = stack.pop()
        for key in one if isinstance(one, dict) else range(len(one)):
            places.append((one, key))
            if isinstance(one[key], dict | list):
                stack.append(one[key])
    for _ in range(data.draw(st.integers(1, 3))):
        parent, key = data.draw(st.sampled_from(places))
        parent[key] = data.draw(JSON)
    imported("\n".join(map(json.dumps, values)), tmp_path)
