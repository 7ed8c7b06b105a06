"""Spans of other forms than OTLP, an object each: what SDKs print, what Jaeger, Zipkin, Phoenix, Langfuse and LangSmith
export. `form_of` knows an object by what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from harness.imports.otlp import is_otlp_span, otlp_span
from harness.imports.spans import Span, SpansFound, flat, instant_ns, span_of

__all__ = ["SpanForm", "form_of"]

Raw = Mapping[str, Any]
_LANGFUSE = frozenset(
    ["generation", "span", "event", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail"]
)  # types of its observations
_LANGSMITH = {"llm": "chat", "retriever": "retrieval", "embedding": "embeddings", "prompt": "chain", "parser": "chain"}


class SpanForm(NamedTuple):
    """A form of spans: what it is called, how it is known, and how one of it is read."""

    name: str
    knows: Callable[[Raw], bool]
    read: Callable[[Raw, SpansFound], Span]


def form_of(raw: Raw) -> SpanForm | None:
    """Return the form of a span; None where it is none that is known."""
    return next((form for form in _FORMS if form.knows(raw)), None)


def _otlp(raw: Raw, found: SpansFound) -> Span:
    return otlp_span(raw, found.resource({}))


def _has(*names: str) -> Callable[[Raw], bool]:
    return lambda raw: all(name in raw for name in names)


def _inner(raw: Raw, name: str) -> Raw:
    value = raw.get(name)
    return value if isinstance(value, Mapping) else {}


# OpenTelemetry's SDKs and Phoenix, which keeps spans in the same form, as objects or as rows of a data frame.


def _sdk(raw: Raw, found: SpansFound) -> Span:
    context, status = _inner(raw, "context"), _inner(raw, "status")
    code = status.get("status_code", status.get("code", raw.get("status_code")))
    resource = _inner(raw, "resource")
    made_by = resource.get("attributes", resource) or raw.get("resource_attributes")
    attributes = raw.get("attributes")
    rows = ((key.removeprefix("attributes."), value) for key, value in raw.items() if key.startswith("attributes."))
    each = chain(
        [("openinference.span.kind", raw.get("span_kind"))] if raw.get("span_kind") else (),
        *(flat(value, key) if isinstance(value, Mapping) else [(key, value)] for key, value in rows),
        flat(attributes),
    )
    return span_of(
        (
            context.get("trace_id", raw.get("context.trace_id", raw.get("trace_id"))),
            context.get("span_id", raw.get("context.span_id", raw.get("span_id"))),
            raw.get("parent_id", raw.get("parent_span_id")),
        ),
        raw.get("name"),
        (instant_ns(raw.get("start_time")), instant_ns(raw.get("end_time"))),
        ((key, value) for key, value in each if isinstance(value, str | int | float | Mapping) and value == value),
        found.resource({str(key): str(value)[:200] for key, value in flat(made_by)}),
        failed=str(code).rpartition(".")[2] in ("ERROR", "2"),
    )


def _is_sdk(raw: Raw) -> bool:
    ids = _inner(raw, "context") or raw
    named = "trace_id" in ids and "span_id" in ids
    return "start_time" in raw and (named or "context.span_id" in raw)


# Jaeger, Zipkin: microseconds.


def _jaeger(raw: Raw, found: SpansFound) -> Span:
    start, lasted = instant_ns(raw.get("startTime"), 1000), instant_ns(raw.get("duration"), 1000)
    references = raw.get("references")
    parents = [
        one.get("spanID")
        for one in (references if isinstance(references, list) else ())
        if isinstance(one, Mapping) and one.get("traceID") == raw.get("traceID")
    ]
    tags = dict(_pairs(raw.get("tags")))
    process = raw.get("process")
    return span_of(
        (raw.get("traceID"), raw.get("spanID"), parents[0] if parents else raw.get("parentSpanID")),
        raw.get("operationName"),
        (start, None if start is None or lasted is None else start + lasted),
        tags.items(),
        found.resource(_process(process)),
        failed=tags.get("otel.status_code") == "ERROR",
    )


def _pairs(raw: Any) -> Iterator[tuple[str, Any]]:
    for pair in raw if isinstance(raw, list) else ():
        if isinstance(pair, Mapping) and isinstance(pair.get("value"), str | int | float):
            yield str(pair.get("key")), pair["value"]


def _process(raw: Any) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        return {}
    return {"service.name": str(raw.get("serviceName")), **{k: str(v)[:200] for k, v in _pairs(raw.get("tags"))}}


def _zipkin(raw: Raw, found: SpansFound) -> Span:
    start, lasted = instant_ns(raw.get("timestamp"), 1000), instant_ns(raw.get("duration", 0), 1000)
    return span_of(
        (raw.get("traceId"), raw.get("id"), raw.get("parentId")),
        raw.get("name"),
        (start, None if start is None or lasted is None else start + lasted),
        chain(flat(raw.get("tags")), flat(raw.get("attributes"))),
        found.resource({"service.name": str(_inner(raw, "localEndpoint").get("serviceName"))}),
    )


# Langfuse: observations of its API, of its export and of a trace.


def _langfuse(raw: Raw, found: SpansFound) -> Span:
    start = instant_ns(raw.get("startTime", raw.get("start_time")))
    end = instant_ns(raw.get("endTime", raw.get("end_time")))
    kind = str(raw.get("type")).lower()
    usage = raw.get("usageDetails") or raw.get("usage_details") or raw.get("usage") or {}
    told = (("gen_ai.usage.input_tokens", "promptTokens"), ("gen_ai.usage.output_tokens", "completionTokens"))
    older = [(name, raw.get(key)) for name, key in told if raw.get(key)] if not usage else []
    named = [("gen_ai.agent.name", raw.get("name"))] if kind == "agent" else []
    model = raw.get("model") or raw.get("providedModelName") or raw.get("provided_model_name")
    return span_of(
        (
            raw.get("traceId", raw.get("trace_id")),
            raw.get("id"),
            raw.get("parentObservationId", raw.get("parent_observation_id")),
        ),
        raw.get("name"),
        (start, start if end is None else end),
        [
            ("langfuse.observation.type", {"span": "", "event": ""}.get(kind, kind)),
            ("langfuse.observation.model.name", model),
            ("langfuse.observation.usage_details", usage),
            ("langfuse.observation.level", raw.get("level")),
            ("session.id", raw.get("sessionId", raw.get("session_id"))),
            ("langfuse.observation.metadata", raw.get("metadata")),
            *older,
            *named,
        ],
        found.resource({}),
    )


def _is_langfuse(raw: Raw) -> bool:
    known = str(raw.get("type")).lower() in _LANGFUSE
    return known and ("traceId" in raw or "trace_id" in raw) and ("startTime" in raw or "start_time" in raw)


# LangSmith: runs of its API, of its export and of a bulk export.


def _langsmith(raw: Raw, found: SpansFound) -> Span:
    order = str(raw.get("dotted_order") or "").split(".")
    above = [part.partition("Z")[2] for part in order[:-1]]
    metadata = _inner(_inner(raw, "extra"), "metadata")
    invoked = _inner(_inner(raw, "extra"), "invocation_params")
    start, end = instant_ns(raw.get("start_time")), instant_ns(raw.get("end_time"))
    kind = str(raw.get("run_type")).lower()
    told = (("gen_ai.usage.input_tokens", "prompt_tokens"), ("gen_ai.usage.output_tokens", "completion_tokens"))
    thread = next((metadata[key] for key in ("thread_id", "session_id", "conversation_id") if key in metadata), None)
    return span_of(
        (
            raw.get("trace_id") or (above[0] if above else raw.get("id")),
            raw.get("id"),
            raw.get("parent_run_id") or (above[-1] if above else ""),
        ),
        raw.get("name"),
        (start, start if end is None else end),
        [
            ("langsmith.span.kind", _LANGSMITH.get(kind, kind)),
            (
                "gen_ai.request.model",
                metadata.get("ls_model_name") or invoked.get("model") or invoked.get("model_name"),
            ),
            ("langsmith.usage_metadata", _langsmith_usage(raw)),
            *((name, raw.get(key)) for name, key in told if kind == "llm"),
            ("session.id", thread),
            ("metadata", metadata),
            ("gen_ai.tool.name", raw.get("name") if kind == "tool" else None),
        ],
        found.resource({}),
        failed=bool(raw.get("error")) or raw.get("status") == "error",
    )


def _langsmith_usage(raw: Raw) -> Any:
    """Return the tokens of a run by their names, wherever LangChain's classes put them."""
    if str(raw.get("run_type")).lower() != "llm":
        return None  # the others sum up what is below them
    outputs = _inner(raw, "outputs")
    for found in (
        outputs.get("usage_metadata"),
        _inner(_inner(raw, "extra"), "metadata").get("usage_metadata"),
        outputs.get("usage"),
        _inner(outputs, "llm_output").get("token_usage"),
    ):
        if isinstance(found, Mapping) and found:
            return found
    now: Any = outputs.get("generations")
    for _ in range(2):
        now = now[0] if isinstance(now, list) and now else now
    message = _inner(now, "message") if isinstance(now, Mapping) else {}
    return _inner(message, "kwargs").get("usage_metadata") or message.get("usage_metadata")


_FORMS = (
    SpanForm("OTLP JSON", is_otlp_span, _otlp),
    SpanForm("LangSmith runs", _has("run_type", "id", "start_time"), _langsmith),
    SpanForm("Langfuse observations", _is_langfuse, _langfuse),
    SpanForm("Jaeger JSON", _has("traceID", "spanID", "startTime"), _jaeger),
    SpanForm("spans as Phoenix exports them", lambda raw: _is_sdk(raw) and "span_kind" in raw, _sdk),
    SpanForm("spans as an OpenTelemetry SDK prints them", _is_sdk, _sdk),
    SpanForm("Zipkin JSON", _has("traceId", "id", "timestamp"), _zipkin),
)
