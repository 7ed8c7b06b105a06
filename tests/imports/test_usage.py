"""Tokens of a call, by whichever names they are counted: what a prompt cache had is part of the prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.imports.files import read_spans
from harness.imports.read import read_traces
from harness.imports.spans import Span, SpansFound
from harness.imports.traces import draft_traces
from harness.imports.usage import Usage, of_details, whole_input


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"input": 6, "output": 12, "total": 18}, Usage(6, 12)),
        # Langfuse's LangChain handler takes details off the input and the output; the total says so.
        (
            {"input": 20, "input_cache_read": 80, "output": 7, "output_reasoning": 5, "total": 112},
            Usage(100, 12, 5, 80),
        ),
        ({"input": 100, "input_cached_tokens": 80, "output": 12, "total": 112}, Usage(100, 12, None, 80)),
        ({"input": 100, "input_cached_tokens": 80, "output": 12}, Usage(100, 12, None, 80)),
        # As Anthropic's API counts them: more was found again than is called input.
        (
            {"input": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 20, "output": 12},
            Usage(110, 12, None, 80),
        ),
        # As OpenAI's API counts them.
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 12,
                "total_tokens": 112,
                "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(100, 12, 5, 80),
        ),
        ({"input": 6, "output": None, "total": "many"}, Usage(6)),
        ({}, Usage()),
        ([1], Usage()),
        (None, Usage()),
    ],
)
def test_details(details: Any, expected: Usage) -> None:
    assert of_details(details) == expected
    assert of_details(json.dumps(details)) == expected


@pytest.mark.parametrize("text", ["{", "[" * 50_000, '{"input": ' + "9" * 200_000 + "}", "x" * 200_000])
def test_what_is_no_details_tells_nothing(text: str) -> None:
    assert of_details(text) == Usage()


def test_what_was_found_again_is_no_extra_unless_it_cannot_be_within() -> None:
    assert whole_input(100, 80) == whole_input(100, 100) == whole_input(100, None) == 100
    assert whole_input(10, 80, 20) == 110
    assert whole_input(None, 80) == 80
    assert whole_input(None, None) is None


def span_of(attributes: dict[str, Any], folder: Path) -> Span:
    values = {str: "stringValue", int: "intValue"}
    raw = {
        "traceId": "1",
        "spanId": "2",
        "name": "call",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        "attributes": [{"key": key, "value": {values[type(value)]: value}} for key, value in attributes.items()],
    }
    (folder / "spans.json").write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [raw]}]}]}))
    (span,) = read_spans(folder / "spans.json", SpansFound())
    return span


@pytest.mark.parametrize(
    "cached",
    [
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
        "usage_metadata.input_token_details.cache_read",
        "input_cached_tokens",
    ],
)
def test_a_span_tells_what_was_found_again(cached: str, tmp_path: Path) -> None:
    span = span_of({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 12, cached: 80}, tmp_path)
    assert (span.input_tokens, span.output_tokens, span.cached_tokens) == (100, 12, 80)
    assert span_of({"gen_ai.usage.input_tokens": 10, cached: 80}, tmp_path).input_tokens == 90


def test_a_span_of_langfuse(tmp_path: Path) -> None:
    usage = json.dumps({"input": 20, "input_cache_read": 80, "output": 12, "total": 112})
    span = span_of(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "qwen3:8b",
            "langfuse.observation.usage_details": usage,
            "langfuse.observation.level": "ERROR",
            "langfuse.session.id": "s",
        },
        tmp_path,
    )
    assert (span.operation, span.model, span.conversation, span.failed) == ("generation", "qwen3:8b", "s", True)
    assert (span.input_tokens, span.output_tokens, span.cached_tokens) == (100, 12, 80)
    own = span_of({"gen_ai.usage.input_tokens": 7, "langfuse.observation.usage_details": usage}, tmp_path)
    assert (own.input_tokens, own.output_tokens) == (7, 12)  # OpenTelemetry's own names come first


def test_traces_of_langfuse_are_imported_whole(tmp_path: Path) -> None:
    """A chain of two parts with a call each, three times; ids are Base64, as Langfuse's exporter writes them."""
    spans = []

    def add(trace: int, span: str, parent: str, name: str, start: int, end: int, **more: Any) -> None:
        attributes = {f"langfuse.observation.{key.replace('__', '.')}": value for key, value in more.items()}
        spans.append(
            {
                "traceId": f"LN5JlZ04KN3mXVB7jrxB{trace}g==",
                "spanId": f"{span}{trace}=",
                "parentSpanId": f"{parent}{trace}=" if parent else "",
                "name": name,
                "startTimeUnixNano": str(10**18 + trace * 10**10 + start * 10**6),
                "endTimeUnixNano": str(10**18 + trace * 10**10 + end * 10**6),
                "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
            }
        )

    for trace in range(3):
        usage = json.dumps({"input": 20, "input_cache_read": 80, "output": 12, "total": 112})
        add(trace, "root", "", "digest", 0, 100, type="chain")
        for number, part in enumerate(("plan", "write")):
            add(trace, part, "root", part, number * 50, number * 50 + 40, type="chain")
            add(
                trace,
                f"{part}call",
                part,
                "ChatOllama",
                number * 50 + 1,
                number * 50 + 39,
                type="generation",
                model__name="qwen3:8b",
                usage_details=usage,
            )
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [s]}]}]}) for s in spans))
    draft = draft_traces(read_traces(path), str(path), "found")
    assert set(draft.agents) == {"plan", "write"}
    for spec, notes in draft.agents.values():
        said = [one.text for one in notes]
        assert spec["output_tokens"] == 12
        assert "80% of its prompt tokens were found again in a prompt cache; they count" in said
        assert "model: qwen3:8b" in said
    assert {one["synthetic"]["tokens"] for one in draft.inputs.values()} == {100}
