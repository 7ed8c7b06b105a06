"""An application on a clock of its own, traced by the real OpenTelemetry SDK: for tests of the import of traces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from harness.imports.draft import Draft
from harness.imports.read import Read, read_traces
from harness.imports.traces import draft_traces

EPOCH_NS = 1_700_000_000_000_000_000


class App:
    """An application on a clock of its own. Times are seconds since its start."""

    def __init__(self, **resource: str) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource.create({"service.name": "app", **resource}))
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")

    def span(
        self, name: str, start_s: float, end_s: float, parent: Any = None, error: bool = False, **attributes: Any
    ) -> Any:
        context = api.set_span_in_context(parent) if parent is not None else None
        span = self.tracer.start_span(
            name,
            context=context,
            start_time=EPOCH_NS + round(start_s * 1e9),
            attributes={key.replace("__", "."): value for key, value in attributes.items()},
        )
        if error:
            span.set_status(Status(StatusCode.ERROR, "boom"))
        span.end(EPOCH_NS + round(end_s * 1e9))
        return span

    def root(self, start_s: float, end_s: float, name: str = "support") -> Any:
        return self.span(f"invoke_workflow {name}", start_s, end_s, gen_ai__operation__name="invoke_workflow")

    def call(
        self, agent: str, start_s: float, end_s: float, parent: Any, sizes: tuple[int, int] = (100, 20), **more: Any
    ) -> Any:
        return self.span(
            "chat small", start_s, end_s, parent, gen_ai__operation__name="chat", gen_ai__request__model="small",
            gen_ai__agent__name=agent, gen_ai__usage__input_tokens=sizes[0], gen_ai__usage__output_tokens=sizes[1],
            **more,
        )  # fmt: skip

    def tool(self, name: str, start_s: float, end_s: float, parent: Any) -> Any:
        attributes: dict[str, Any] = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": name}
        return self.span(f"execute_tool {name}", start_s, end_s, parent, **attributes)

    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()


def value(raw: Any) -> dict[str, Any]:
    if isinstance(raw, bool):
        return {"boolValue": raw}
    if isinstance(raw, int):
        return {"intValue": str(raw)}
    return {"doubleValue": raw} if isinstance(raw, float) else {"stringValue": str(raw)}


def otlp(spans: Iterable[ReadableSpan]) -> dict[str, Any]:
    """Write SDK spans as a collector does."""
    groups: dict[str, dict[str, Any]] = {}
    for span in spans:
        assert span.context is not None
        resource = span.resource.attributes
        group = groups.setdefault(
            span.resource.to_json(),
            {
                "resource": {"attributes": [{"key": k, "value": value(v)} for k, v in resource.items()]},
                "scopeSpans": [{"scope": {"name": "test"}, "spans": []}],
            },
        )
        group["scopeSpans"][0]["spans"].append(
            {
                "traceId": api.format_trace_id(span.context.trace_id),
                "spanId": api.format_span_id(span.context.span_id),
                **({"parentSpanId": api.format_span_id(span.parent.span_id)} if span.parent else {}),
                "name": span.name,
                "kind": 1,
                "startTimeUnixNano": str(span.start_time),
                "endTimeUnixNano": str(span.end_time),
                "attributes": [{"key": k, "value": value(v)} for k, v in (span.attributes or {}).items()],
                "status": {"code": 2} if span.status.status_code is StatusCode.ERROR else {},
            }
        )
    return {"resourceSpans": list(groups.values())}


def saved(apps: Iterable[App], folder: Path) -> Path:
    path = folder / "spans.jsonl"
    path.write_text("".join(json.dumps(otlp(app.spans())) + "\n" for app in apps))
    return path


def recovered(app: App, folder: Path) -> tuple[Draft, Read]:
    read = read_traces(saved([app], folder))
    return draft_traces(read, "spans.jsonl", "back"), read
