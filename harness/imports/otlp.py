"""OTLP JSON (ExportTraceServiceRequest) and Tempo's answers, which have `batches` of the same: their spans.

Format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and .../protocol/file-exporter/. Names in
snake case are those of protobuf's own JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.imports.json_stream import JsonStream
from harness.imports.spans import Span, SpansFound, instant_ns, span_of

__all__ = ["GROUPS", "is_otlp_span", "otlp_span", "spans_of_groups"]

GROUPS = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans", "ilSpans")
_ERROR = (2, "2", "STATUS_CODE_ERROR")


def spans_of_groups(stream: JsonStream, found: SpansFound) -> Iterator[Span]:
    """Yield the spans of a list of `resourceSpans` that comes next in a stream, a span at a time."""
    for _ in stream.items():
        if stream.next() != "{":
            found.broken += 1
            found.spans += 1
            stream.whole()
            continue
        resource: int | None = None
        waiting: list[Span] = []  # spans that stand before the resource that made them
        for key in stream.members():
            if key == "resource":
                resource = found.resource(_plain(stream.whole()))
            elif key in _SCOPES and stream.next() == "[":
                for span in _scopes(stream, found):
                    if resource is None:
                        waiting.append(span)
                    else:
                        yield span._replace(resource=resource)
            else:
                stream.whole()
        by = found.resource({}) if resource is None else resource
        yield from (span._replace(resource=by) for span in waiting)


def _scopes(stream: JsonStream, found: SpansFound) -> Iterator[Span]:
    for _ in stream.items():
        if stream.next() != "{":
            stream.whole()
            continue
        for key in stream.members():
            if key != "spans" or stream.next() != "[":
                stream.whole()
                continue
            for _ in stream.items():
                raw = stream.whole()
                found.spans += 1
                if isinstance(raw, dict):
                    yield otlp_span(raw, -1)
                else:
                    found.broken += 1


def is_otlp_span(raw: Mapping[str, Any]) -> bool:
    """Tell whether an object is a span of OTLP."""
    return ("spanId" in raw and "startTimeUnixNano" in raw) or ("span_id" in raw and "start_time_unix_nano" in raw)


def otlp_span(raw: Mapping[str, Any], resource: int) -> Span:
    """Return a span of OTLP."""

    def named(camel: str, snake: str) -> Any:
        return raw[camel] if camel in raw else raw.get(snake)

    status = raw.get("status")
    times = (
        instant_ns(named("startTimeUnixNano", "start_time_unix_nano"), 1),
        instant_ns(named("endTimeUnixNano", "end_time_unix_nano"), 1),
    )
    return span_of(
        (named("traceId", "trace_id"), named("spanId", "span_id"), named("parentSpanId", "parent_span_id")),
        raw.get("name"),
        times,
        _attributes(raw.get("attributes")),
        resource,
        failed=isinstance(status, Mapping) and status.get("code") in _ERROR,
    )


def _attributes(raw: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and plain values of a list of attributes; None for lists and what is no value."""
    for pair in raw if isinstance(raw, list) else ():
        if isinstance(pair, Mapping) and isinstance(key := pair.get("key"), str):
            value = pair.get("value")
            if isinstance(value, Mapping):
                inner = next(iter(value.values()), None)
                value = inner if isinstance(inner, str | int | float) else None
            yield key, value if isinstance(value, str | int | float) else None


def _plain(resource: Any) -> dict[str, str]:
    pairs = resource.get("attributes") if isinstance(resource, Mapping) else None
    return {key: str(value)[:200] for key, value in _attributes(pairs) if value is not None}
