"""OTLP JSON as files hold it: both forms, and every way to be no OTLP JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.imports.files import read_spans
from harness.imports.spans import Span, SpansFound


def span(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"{number:016x}",
        "parentSpanId": "0000000000000000",
        "name": "chat m",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
            {"key": "gen_ai.usage.prompt_tokens", "value": {"intValue": 99}},
            {"key": "gen_ai.input.messages", "value": {"stringValue": "a secret"}},
            {"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}}},
        ],
        "events": [{"timeUnixNano": "1544712660300000000", "name": "event"}],
        "status": {"code": 2},
        **more,
    }


def request(*spans: Any, scope: str = "scopeSpans") -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    return {"resourceSpans": [{"resource": resource, scope: [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def read(text: str | bytes, folder: Path) -> tuple[list[Span], SpansFound]:
    path = folder / "spans.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = SpansFound()
    return list(read_spans(path, found)), found


EXPECTED = Span(
    trace="5b8efff798038103d269b633813fc60c",
    span="0000000000000001",
    parent="",
    name="chat m",
    start_ns=1544712660000000000,
    end_ns=1544712661000000000,
    failed=True,
    operation="chat",
    input_tokens=12,
    resource=0,
)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(request(span())),
        json.dumps(request(span()), indent=2),
        "\ufeff" + json.dumps(request(span())),
        json.dumps([request(span())]),
        json.dumps(request(span())) + "\n\n" + json.dumps({"resourceMetrics": []}) + "\n",
        json.dumps(request(span(), scope="instrumentationLibrarySpans")),
    ],
)
def test_every_form_of_the_same_span(text: str, tmp_path: Path) -> None:
    spans, found = read(text, tmp_path)
    assert spans == [EXPECTED]
    assert found.resources == [{"service.name": "app"}]


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    text = "".join(json.dumps(request(span(n))) + "\n" for n in range(1, 4))
    spans, found = read(text, tmp_path)
    assert [one.span for one in spans] == [f"{n:016x}" for n in range(1, 4)]
    assert found.spans == 3 and not found.truncated


def test_lines_that_break_off_keep_what_stands_before(tmp_path: Path) -> None:
    text = "".join(json.dumps(request(span(n))) + "\n" for n in range(1, 4))
    spans, found = read(text[: -len(text) // 6], tmp_path)
    assert len(spans) == 2
    assert found.truncated.startswith(f"{tmp_path / 'spans.json'}:3:")
    assert "found the end of the file in the middle of a value: it is truncated" in found.truncated


def test_an_object_that_breaks_off_is_refused(tmp_path: Path) -> None:
    text = json.dumps(request(span()), indent=1)
    with pytest.raises(UserError) as caught:
        read(text[: len(text) // 2], tmp_path)
    assert "found the end of the file in the middle of a value: it is truncated; export the traces again" in str(
        caught.value
    )


@pytest.mark.parametrize("indent", [None, 1])
def test_wherever_a_file_is_cut_the_answer_is_a_line(indent: int | None, tmp_path: Path) -> None:
    text = (json.dumps(request(span(1), span(2)), indent=indent) + "\n").encode()
    for end in range(0, len(text) - 2, 7):
        with pytest.raises(UserError) as caught:
            read(text[:end], tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / 'spans.json'}:") and "\n" not in str(caught.value)


_PACKED = gzip.compress(json.dumps(request(span())).encode(), mtime=0)
_DAMAGED = _PACKED[:12] + b"\xff" * 8 + _PACKED[20:]  # zlib's own error, not gzip's


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"\x1f\x8b\x08\x00", "expected a whole gzip file, found a damaged one"),
        (_DAMAGED, "expected a whole gzip file, found a damaged one"),
        (b"PAR1\x15", "found a Parquet file; write it as JSON lines first"),
        (b"\xff\xfe{}", "expected text in UTF-8, found the byte 0xff"),
        ("[" * 100_000, "found a nesting that no exporter writes"),
        ('{"data": [{"traceID": "1"}]}', "found an object with traceID; read are OTLP JSON"),
        ('{"name": "chat", "context": {}}', "found an object with name, context"),
        ("[1, 2]", "found a number"),
        ('{"resourceSpans": 5}', "found an object with resourceSpans"),
        (
            json.dumps(request(span())) + "\nnonsense\n" + json.dumps(request(span())),
            'spans.json:2:1: expected traces or rows of calls, found "nonsense"; export the traces again',
        ),
        ('{"resourceSpans": [{"n": ' + "9" * 5000 + "}]}", "found a number or a nesting"),
    ],
)
def test_what_is_no_otlp_json(text: str | bytes, found: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(text, tmp_path)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"traceId": None}, {"spanId": 5}, {"startTimeUnixNano": "x"}, {"endTimeUnixNano": None}, {"traceId": "0" * 32},
    ],
)  # fmt: skip
def test_spans_that_say_nothing_are_counted(broken: dict[str, Any], tmp_path: Path) -> None:
    spans, _ = read(json.dumps(request(span(**broken), span(2))), tmp_path)
    assert [one.trace for one in spans] == ["", spans[-1].trace] and spans[-1].trace


@pytest.mark.parametrize(
    "attributes", [None, 5, [5], [{"key": "x"}], [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "-4"}}]]
)
def test_odd_attributes_are_no_reason_to_fail(attributes: Any, tmp_path: Path) -> None:
    text = json.dumps(request(span(attributes=attributes, status=7)))
    if attributes == 5:
        text = text.replace('"attributes": 5', '"attributes": {}')
    spans, _ = read(text, tmp_path)
    assert spans[0].input_tokens is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: no such file"):
        list(read_spans(tmp_path / "none.json", SpansFound()))
