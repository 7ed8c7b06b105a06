"""One application as every tool writes its traces: a plan, a look-up, three readers side by side, and an editor.

Each form is written after its documentation; the work is the same in all of them, so their sums are known.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

JOBS = 4
START_NS = 1_700_000_000_000_000_000


class One(NamedTuple):
    """A span: its number, its parent's, and what it did. Times are seconds from the start of its job."""

    job: int
    number: int
    parent: int
    kind: str  # root, call, tool
    name: str
    start_s: float
    end_s: float
    tokens: tuple[int, int] = (0, 0)

    @property
    def start_ns(self) -> int:
        return START_NS + (60 * self.job) * 10**9 + round(self.start_s * 1e9)

    @property
    def end_ns(self) -> int:
        return START_NS + (60 * self.job) * 10**9 + round(self.end_s * 1e9)


def application(named: bool = True) -> list[One]:
    spans = []
    for job in range(JOBS):
        spans.append(One(job, 1, 0, "root", "digest", 0, 30))
        spans.append(One(job, 2, 1, "call", "plan", 0, 4, (100 + job, 30)))
        spans.append(One(job, 3, 1, "tool", "search", 4, 5))
        for i in range(3):
            spans.append(One(job, 4 + i, 1, "call", "read", 5, 15 + i, (700 + 100 * i, 100 + 10 * i)))
        spans.append(One(job, 7, 1, "call", "edit", 20, 28, (1500, 300)))
    return spans if named else [one._replace(name="") if one.kind == "call" else one for one in spans]


CALLS, TOOLS, WIDTH = 5 * JOBS, JOBS, 3
INPUT = sum(one.tokens[0] for one in application())
OUTPUT = sum(one.tokens[1] for one in application())


def trace_id(one: One) -> str:
    return f"{one.job + 1:032x}"


def span_id(one: One, number: int | None = None) -> str:
    number = one.number if number is None else number
    return f"{(one.job + 1) * 256 + number:016x}" if number else ""


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat().replace("+00:00", "Z")


def genai(one: One) -> dict[str, Any]:
    if one.kind == "tool":
        return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": one.name}
    if one.kind == "root":
        return {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": one.name}
    agent = {"gen_ai.agent.name": one.name} if one.name else {}
    return {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "llama3.2", **agent,
        "gen_ai.usage.input_tokens": one.tokens[0], "gen_ai.usage.output_tokens": one.tokens[1],
    }  # fmt: skip


def openinference(one: One) -> dict[str, Any]:
    if one.kind == "tool":
        return {"openinference.span.kind": "TOOL", "tool.name": one.name}
    if one.kind == "root":
        return {"openinference.span.kind": "CHAIN"}
    return {
        "openinference.span.kind": "LLM", "llm.model_name": "llama3.2", "llm.token_count.prompt": one.tokens[0],
        "llm.token_count.completion": one.tokens[1], "llm.token_count.total": sum(one.tokens),
        "metadata": json.dumps({"langgraph_node": one.name}),
    }  # fmt: skip


def openllmetry(one: One) -> dict[str, Any]:
    if one.kind == "tool":
        return {"traceloop.span.kind": "tool", "traceloop.entity.name": one.name}
    if one.kind == "root":
        return {"traceloop.span.kind": "workflow", "traceloop.entity.name": one.name}
    return {
        "llm.request.type": "chat", "gen_ai.request.model": "llama3.2", "gen_ai.usage.prompt_tokens": one.tokens[0],
        "gen_ai.usage.completion_tokens": one.tokens[1], "llm.usage.total_tokens": sum(one.tokens),
        "traceloop.association.properties.langgraph_node": one.name,
    }  # fmt: skip


def langfuse_sdk(one: One) -> dict[str, Any]:
    if one.kind != "call":
        return {"langfuse.observation.type": "tool" if one.kind == "tool" else "chain"}
    usage = {"input": one.tokens[0], "output": one.tokens[1], "total": sum(one.tokens)}
    return {
        "langfuse.observation.type": "generation", "langfuse.observation.model.name": "llama3.2",
        "langfuse.observation.usage_details": json.dumps(usage),
        "langfuse.observation.metadata.langgraph_node": one.name,
    }  # fmt: skip


def value(raw: Any, snake: bool = False) -> dict[str, Any]:
    kind = (
        ("int_value" if snake else "intValue") if isinstance(raw, int) else "string_value" if snake else "stringValue"
    )
    return {kind: str(raw)}


def otlp_span(one: One, attributes: dict[str, Any], parent: str | None = None) -> dict[str, Any]:
    return {
        "traceId": trace_id(one), "spanId": span_id(one), "parentSpanId": parent or span_id(one, one.parent),
        "name": one.name or "ollama.chat", "startTimeUnixNano": str(one.start_ns), "endTimeUnixNano": str(one.end_ns),
        "attributes": [{"key": key, "value": value(v)} for key, v in attributes.items()], "status": {},
    }  # fmt: skip


def request(spans: list[dict[str, Any]], groups: str = "resourceSpans", scopes: str = "scopeSpans") -> dict[str, Any]:
    return {groups: [{"resource": {"attributes": []}, scopes: [{"scope": {"name": "x"}, "spans": spans}]}]}


def otlp(attributes: Callable[[One], dict[str, Any]], named: bool = True) -> str:
    return json.dumps(request([otlp_span(one, attributes(one)) for one in application(named)]), indent=1)


def lines(found: Iterator[Any] | list[Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in found)


def snake() -> str:
    spans = [
        {
            "trace_id": trace_id(one), "span_id": span_id(one), "parent_span_id": span_id(one, one.parent),
            "name": one.name, "start_time_unix_nano": str(one.start_ns), "end_time_unix_nano": str(one.end_ns),
            "attributes": [{"key": key, "value": value(v, snake=True)} for key, v in genai(one).items()],
        }
        for one in application()
    ]  # fmt: skip
    return json.dumps(request(spans, "resource_spans", "scope_spans"))


def two_instrumentations() -> str:
    """OpenInference around each call, and OpenTelemetry's own of the client below it."""
    spans = []
    for one in application():
        spans.append(otlp_span(one, openinference(one)))
        if one.kind == "call":
            below = otlp_span(one._replace(number=one.number + 100), genai(one._replace(name="")), span_id(one))
            spans.append(below)
    return json.dumps(request(spans))


def sdk() -> str:
    """What a ConsoleSpanExporter prints: an object for each span, on several lines."""
    return "".join(
        json.dumps(
            {
                "name": one.name,
                "context": {"trace_id": f"0x{trace_id(one)}", "span_id": f"0x{span_id(one)}", "trace_state": "[]"},
                "kind": "SpanKind.INTERNAL",
                "parent_id": f"0x{span_id(one, one.parent)}" if one.parent else None,
                "start_time": iso(one.start_ns),
                "end_time": iso(one.end_ns),
                "status": {"status_code": "UNSET"},
                "attributes": genai(one),
                "events": [],
                "links": [],
                "resource": {"attributes": {"service.name": "app"}, "schema_url": ""},
            },
            indent=4,
        )
        + "\n"
        for one in application()
    )


def phoenix() -> str:
    """Spans of Phoenix's API: attributes as OpenInference names them."""
    return json.dumps(
        {
            "data": [
                {
                    "id": "U3Bhbjox", "name": one.name,
                    "context": {"trace_id": trace_id(one), "span_id": span_id(one)},
                    "span_kind": openinference(one)["openinference.span.kind"],
                    "parent_id": span_id(one, one.parent) or None,
                    "start_time": iso(one.start_ns), "end_time": iso(one.end_ns), "status_code": "OK",
                    "attributes": openinference(one), "events": [],
                }
                for one in application()
            ],
            "next_cursor": None,
        }
    )  # fmt: skip


def phoenix_rows() -> str:
    """Phoenix's data frame, written by pandas as records: flat columns, instants in milliseconds, nested metadata."""
    rows = []
    for one in application():
        llm = {"attributes.llm.model_name": "llama3.2", "attributes.llm.token_count.prompt": one.tokens[0] or None,
               "attributes.llm.token_count.completion": one.tokens[1] or None}  # fmt: skip
        rows.append(
            {
                "name": one.name, "span_kind": openinference(one)["openinference.span.kind"],
                "parent_id": span_id(one, one.parent) or None, "start_time": one.start_ns // 10**6,
                "end_time": one.end_ns // 10**6, "status_code": "OK", "context.span_id": span_id(one),
                "context.trace_id": trace_id(one), **(llm if one.kind == "call" else {}),
                "attributes.metadata": {"langgraph_node": one.name} if one.kind == "call" else None,
                "attributes.tool.name": one.name if one.kind == "tool" else None,
            }
        )  # fmt: skip
    return lines(rows)


def jaeger() -> str:
    traces = []
    for job in range(JOBS):
        spans = [
            {
                "traceID": trace_id(one), "spanID": span_id(one), "operationName": one.name, "processID": "p1",
                "references": [
                    {"refType": "CHILD_OF", "traceID": trace_id(one), "spanID": span_id(one, one.parent)}
                ] if one.parent else [],
                "startTime": one.start_ns // 1000, "duration": (one.end_ns - one.start_ns) // 1000,
                "tags": [
                    {"key": key, "type": "int64" if isinstance(v, int) else "string", "value": v}
                    for key, v in genai(one).items()
                ],
            }
            for one in application() if one.job == job
        ]  # fmt: skip
        processes = {"p1": {"serviceName": "app", "tags": []}}
        traces.append({"traceID": spans[0]["traceID"], "spans": spans, "processes": processes})
    return json.dumps({"data": traces, "total": 0, "errors": None})


def tempo() -> str:
    spans = []
    for one in application():
        span = otlp_span(one, genai(one))
        for key in ("traceId", "spanId", "parentSpanId"):
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
        spans.append(span)
    return json.dumps({"trace": request(spans, "batches", "instrumentationLibrarySpans")})


def zipkin() -> str:
    return json.dumps(
        [
            {
                "traceId": trace_id(one), "id": span_id(one), "parentId": span_id(one, one.parent), "name": one.name,
                "timestamp": one.start_ns // 1000, "duration": (one.end_ns - one.start_ns) // 1000,
                "localEndpoint": {"serviceName": "app"}, "tags": {key: str(v) for key, v in genai(one).items()},
            }
            for one in application()
        ]
    )  # fmt: skip


def langfuse_export() -> str:
    """Traces as Langfuse's API gives them, each with its observations."""
    kinds = {"call": "GENERATION", "tool": "TOOL", "root": "SPAN"}

    def observation(one: One) -> dict[str, Any]:
        more: dict[str, Any] = {"metadata": {}}
        if one.kind == "call":
            usage = {"input": one.tokens[0], "output": one.tokens[1], "total": sum(one.tokens)}
            more = {"model": "llama3.2", "usageDetails": usage, "metadata": {"langgraph_node": one.name}}
        return {
            "id": span_id(one), "traceId": trace_id(one), "type": kinds[one.kind], "name": one.name,
            "startTime": iso(one.start_ns), "endTime": iso(one.end_ns), "level": "DEFAULT",
            "parentObservationId": span_id(one, one.parent) or None, **more,
        }  # fmt: skip

    traces = []
    for job in range(JOBS):
        found = [observation(one) for one in application() if one.job == job]
        traces.append({"id": found[0]["traceId"], "name": "digest", "observations": found})
    return json.dumps(traces)


def langsmith() -> str:
    """Runs as LangSmith's API and SDK give them, a line each."""
    kinds = {"call": "llm", "tool": "tool", "root": "chain"}

    def run(one: One) -> dict[str, Any]:
        root = f"{iso(START_NS)}Z{span_id(one, 1)}"
        extra: dict[str, Any] = {"metadata": {"thread_id": None}}
        outputs: dict[str, Any] = {}
        if one.kind == "call":
            extra["metadata"] |= {"ls_model_name": "llama3.2", "langgraph_node": one.name}
            told = {"input_tokens": one.tokens[0], "output_tokens": one.tokens[1], "total_tokens": sum(one.tokens)}
            message = {"kwargs": {"content": "...", "usage_metadata": told}}
            outputs = {"generations": [[{"text": "...", "message": message}]]}
        return {
            "id": span_id(one), "trace_id": span_id(one, 1), "name": one.name or "ChatOllama",
            "run_type": kinds[one.kind], "start_time": iso(one.start_ns)[:-1], "end_time": iso(one.end_ns)[:-1],
            "parent_run_id": span_id(one, one.parent) or None, "extra": extra, "outputs": outputs, "error": None,
            "dotted_order": root if one.kind == "root" else f"{root}.{iso(one.start_ns)}Z{span_id(one)}",
            "total_tokens": INPUT + OUTPUT if one.kind == "root" else sum(one.tokens),
        }  # fmt: skip

    return lines(run(one) for one in application())


def replayed_spans() -> str:
    """What inference-perf replays: a file of spans with dates, and no spans around the calls."""
    spans = [
        {
            "trace_id": trace_id(one), "span_id": span_id(one), "parent_span_id": None, "name": "chat llama3.2",
            "kind": "SPAN_KIND_INTERNAL", "start_time": iso(one.start_ns)[:-1], "end_time": iso(one.end_ns)[:-1],
            "attributes": genai(one), "resource_attributes": {"service.name": "app"}, "status": {"code": 1},
        }
        for one in application() if one.kind != "root"
    ]  # fmt: skip
    return json.dumps({"trace_id": "all", "span_count": len(spans), "spans": spans})


ROWS = [(0.0, 472, 18), (2.5, 1087, 230), (2.5, 417, 276), (9.0, 1360, 647)]


def mooncake() -> str:
    return lines(
        [{"timestamp": round(s * 1000), "input_length": i, "output_length": o, "hash_ids": [1]} for s, i, o in ROWS]
    )


def burstgpt() -> str:
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    return (
        head
        + "".join(f"{s},ChatGPT,{i},{o},{i + o},Conversation log\n" for s, i, o in ROWS)
        + ("12,ChatGPT,0,0,0,Conversation log\n12,ChatGPT,500,0,500,Conversation log\n")
    )


def azure() -> str:
    dates = [f"2023-11-16 18:17:{3 + s:09.6f}0" for s, _, _ in ROWS]
    cells = [f"{at},{i},{o}\n" for at, (_, i, o) in zip(dates, ROWS, strict=True)]
    return "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(cells)


def bailian() -> str:
    return lines(
        [
            {"chat_id": n, "parent_chat_id": -1, "timestamp": s, "input_length": i, "output_length": o, "type": "text",
             "turn": 1, "hash_ids": [n]}
            for n, (s, i, o) in enumerate(ROWS)
        ]
    )  # fmt: skip


def aiperf_sessions() -> str:
    """Conversations: only the first turn has a time, the others a delay after the answer."""
    rows = []
    for n, s in enumerate((0, 4000)):
        rows.append({"session_id": f"s{n}", "timestamp": s, "input_length": 300, "output_length": 40})
        rows.append({"session_id": f"s{n}", "delay": 2000, "input_length": 500, "output_length": 60})
    return lines(rows)


def aiperf_records() -> str:
    return lines(
        [
            {
                "metadata": {"session_num": n, "request_start_ns": START_NS + round(s * 1e9),
                             "request_end_ns": START_NS + round(s * 1e9) + 10**9, "benchmark_phase": "profiling"},
                "metrics": {"input_sequence_length": {"value": i, "unit": "tokens"},
                            "output_sequence_length": {"value": o, "unit": "tokens"}},
                "error": None,
            }
            for n, (s, i, o) in enumerate(ROWS)
        ]
    )  # fmt: skip


def inference_perf_texts() -> str:
    return lines([{"text_input": "word " * (i * 4 // 5), "output_length": o} for _, i, o in ROWS])


def inference_perf_requests() -> str:
    return json.dumps(
        [
            {"start_time": 1_700_000_000 + s, "end_time": 1_700_000_001 + s, "request": "{}", "response": "",
             "error": None, "info": {"input_tokens": i, "output_tokens": o}}
            for s, i, o in ROWS
        ]
    )  # fmt: skip


def other_rows() -> str:
    """Columns that everybody understands, and times whose unit nobody knows."""
    return "time,prompt_tokens,completion_tokens\n" + "".join(f"{s},{i},{o}\n" for s, i, o in ROWS)


FORMS: dict[str, tuple[Callable[[], str | bytes], str]] = {  # by what the page calls them: how, and what is found
    "OpenTelemetry GenAI, OTLP JSON": (lambda: otlp(genai), "OTLP JSON"),
    "the same as JSON lines": (lambda: lines([request([otlp_span(o, genai(o))]) for o in application()]), "OTLP JSON"),
    "the same without names of agents": (lambda: otlp(genai, named=False), "OTLP JSON"),
    "the same, gzip": (lambda: gzip.compress(otlp(genai).encode(), mtime=0), "OTLP JSON"),
    "the same in snake case": (snake, "OTLP JSON"),
    "OpenInference": (lambda: otlp(openinference), "OTLP JSON"),
    "OpenInference around OpenTelemetry": (two_instrumentations, "OTLP JSON"),
    "OpenLLMetry": (lambda: otlp(openllmetry), "OTLP JSON"),
    "Langfuse, spans of its SDK": (lambda: otlp(langfuse_sdk), "OTLP JSON"),
    "Langfuse, export": (langfuse_export, "Langfuse observations"),
    "LangSmith, runs": (langsmith, "LangSmith runs"),
    "Phoenix, API": (phoenix, "spans as Phoenix exports them"),
    "Phoenix, data frame": (phoenix_rows, "spans as Phoenix exports them"),
    "OpenTelemetry SDK, console": (sdk, "spans as an OpenTelemetry SDK prints them"),
    "inference-perf, spans to replay": (replayed_spans, "spans as an OpenTelemetry SDK prints them"),
    "Jaeger": (jaeger, "Jaeger JSON"),
    "Tempo": (tempo, "OTLP JSON"),
    "Zipkin": (zipkin, "Zipkin JSON"),
    "Mooncake": (mooncake, "rows of Mooncake"),
    "BurstGPT": (burstgpt, "rows of BurstGPT"),
    "Azure": (azure, "rows of Azure's trace"),
    "Bailian": (bailian, "rows of Bailian"),
    "AIPerf, conversations": (aiperf_sessions, "rows as AIPerf replays them"),
    "AIPerf, records of a run": (aiperf_records, "rows of AIPerf"),
    "inference-perf, texts": (inference_perf_texts, "rows as inference-perf replays them"),
    "inference-perf, requests of a run": (inference_perf_requests, "requests of inference-perf"),
    "rows with other columns": (other_rows, "rows of calls"),
}
