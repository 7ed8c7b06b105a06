"""OTLP JSON (ExportTraceServiceRequest) as compact spans: one object, or JSON lines as a collector's file exporter
writes them. Lines are read one by one; of a span only what the import needs is kept, never a prompt.

Format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and .../protocol/file-exporter/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError
from harness.imports.usage import of_details, tokens, whole_input

__all__ = ["Span", "SpansFound", "read_spans"]

SHOWN = 20  # characters of what is no JSON
MAX_OBJECT_BYTES = 1 << 30  # of one JSON value: it has to be in memory as a whole
_SPANS = ("scopeSpans", "instrumentationLibrarySpans", "scope_spans")  # the second until 2022, the third from protoc

# What is kept of a span's attributes, by what it is called now and was called before (conventions 1.28, 1.37;
# OpenLLMetry; OpenInference). The first that a span has counts.
_KEPT: dict[str, tuple[str, ...]] = {
    "operation": (
        "gen_ai.operation.name", "llm.request.type", "openinference.span.kind", "traceloop.span.kind",
        "langfuse.observation.type",
    ),
    "model": (
        "gen_ai.request.model", "gen_ai.response.model", "llm.request.model", "llm.model_name", "embedding.model_name",
        "langfuse.observation.model.name",
    ),
    # Langfuse counts all tokens of a call in one text.
    "details": ("langfuse.observation.usage_details",),
    # Input tokens that were found again in a prompt cache, and those that were kept there.
    "cached": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_input_tokens", "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.details.cached_tokens", "gen_ai.usage.input_token_details.cache_read",
        "gen_ai.usage.prompt_tokens_details.cached_tokens", "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read", "usage_metadata.input_token_details.cache_read",
        "input_token_details.cache_read", "input_cached_tokens",
    ),
    "written": (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
        "usage_metadata.input_token_details.cache_creation",
    ),
    "input": (
        "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt",
    ),
    "output": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens",
        "llm.token_count.completion",
    ),
    "thinking": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens", "gen_ai.usage.output_token_details.reasoning",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens", "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning", "usage_metadata.output_token_details.reasoning",
        "output_token_details.reasoning", "slotwise.thinking_tokens",
    ),
    "node": (
        "slotwise.node", "langgraph.node", "metadata.langgraph_node",
        "traceloop.association.properties.langgraph_node", "langfuse.observation.metadata.langgraph_node",
    ),
    "agent": ("gen_ai.agent.name",),
    "entity": ("gen_ai.workflow.name", "traceloop.entity.name", "graph.node.id"),
    "tool": ("gen_ai.tool.name", "tool.name"),
    "conversation": ("gen_ai.conversation.id", "session.id", "langfuse.session.id"),
    "error": ("error.type",),
    "level": ("langfuse.observation.level",),
}  # fmt: skip
# One of these for each text of an embedding, with its number behind it (OpenInference; OpenLLMetry).
_TEXTS = ("embedding.embeddings.", "gen_ai.prompt.")
_FIELD_OF = {key: (field, rank) for field, keys in _KEPT.items() for rank, key in enumerate(keys)}


class Span(NamedTuple):
    """What the import needs of one span. Times are whole nanoseconds since 1970."""

    trace: str
    span: str
    parent: str
    name: str
    start_ns: int
    end_ns: int
    failed: bool
    operation: str = ""
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None  # all that was generated
    thinking_tokens: int | None = None  # of these, before the answer
    cached_tokens: int | None = None  # of the input, found again in a prompt cache
    texts: int | None = None  # of an embedding
    node: str = ""
    agent: str = ""
    entity: str = ""  # what a framework calls the part of the application that this is
    tool: str = ""
    conversation: str = ""
    resource: int = -1  # index into `Found.resources`


class SpansFound:
    """What was read beside the spans."""

    def __init__(self) -> None:
        self.resources: list[dict[str, str]] = []
        self.spans = 0
        self.broken = 0  # spans without ids or times
        self.form = "OTLP JSON"  # what the file turned out to be
        self.what = "span"  # that is counted
        self.truncated = ""  # where a file of lines ends in the middle of one
        self._index: dict[tuple[tuple[str, str], ...], int] = {}

    def resource(self, attributes: dict[str, str]) -> int:
        """Return the index of a resource."""
        key = tuple(sorted(attributes.items()))
        if key not in self._index:
            self._index[key] = len(self.resources)
            self.resources.append(attributes)
        return self._index[key]


def read_spans(path: Path, found: SpansFound) -> Iterator[Span]:
    """Yield the spans of a file; `found` counts along. Raises UserError with the place of what is no OTLP JSON.

    A last line that breaks off is reported in `found.truncated`: what stands before it is whole.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_OBJECT_BYTES)
            if first[:2] == b"\x1f\x8b":
                raise UserError(f"{path}: expected OTLP JSON, found a gzip file; unpack it first: gunzip {path}")
            try:
                value = _load(first)
            except (ValueError, RecursionError):
                text = first + file.read(MAX_OBJECT_BYTES)
                if len(text) > MAX_OBJECT_BYTES:
                    raise UserError(
                        f"{path}: expected at most 1 GB in one JSON object; write JSON lines instead"
                    ) from None
                value = _parsed(path, 1, text, whole=True)
            del first
            yield from _spans(path, 1, value, found)
            yield from _lines(path, file, found)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _load(text: bytes) -> Any:
    return json.loads(text.decode("utf-8-sig"), object_hook=_compact)


def _lines(path: Path, file: Any, found: SpansFound) -> Iterator[Span]:
    number = 1
    while line := file.readline(MAX_OBJECT_BYTES):
        number += 1
        if not line.strip():
            continue
        try:
            value = _parsed(path, number, line, whole=False)
        except UserError as error:
            if line.endswith(b"\n"):
                raise
            found.truncated = str(error)  # only the last line has no end: its writer was interrupted
            return
        yield from _spans(path, number, value, found)


def _parsed(path: Path, line: int, text: bytes, *, whole: bool) -> Any:
    try:
        return _load(text)
    except json.JSONDecodeError as error:
        at = f"{path}:{error.lineno if whole else line}:{error.colno}"
        end = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        shown = error.doc[error.pos :].lstrip()[:SHOWN].partition("\n")[0]
        what = "the end of the file in the middle of a value: it is truncated" if end else f'"{shown}"'
        raise UserError(f"{at}: expected OTLP JSON, found {what}; export the traces again, or drop that part") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{line}: expected text in UTF-8, found the byte {text[error.start]:#04x}") from None
    except (ValueError, RecursionError):  # an absurd number, or brackets without end
        raise UserError(
            f"{path}:{line}: expected OTLP JSON, found a number or a nesting that no exporter writes"
        ) from None


def _compact(found: dict[str, Any]) -> Any:
    """Shrink an object as soon as it has been parsed: spans to what is kept, attributes to pairs."""
    if "key" in found and len(found) <= 2:
        value = found.get("value")
        return (str(found["key"]), value if isinstance(value, str | int | float) else None)
    if len(found) == 1:
        ((key, value),) = found.items()
        if key in ("stringValue", "intValue", "doubleValue", "boolValue"):
            return value
        if key in ("arrayValue", "kvlistValue", "bytesValue"):
            return None
    if "spanId" in found and "startTimeUnixNano" in found:
        return _span(found)
    if "timeUnixNano" in found:  # an event
        return None
    return found


_BROKEN = Span("", "", "", "", 0, 0, failed=True)


def _span(raw: dict[str, Any]) -> Span:
    kept: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    texts: set[str] = set()
    for pair in raw.get("attributes") or ():
        if not isinstance(pair, tuple):
            continue
        if pair[0].startswith(_TEXTS):
            texts.add(pair[0].split(".", 3)[2])
        if pair[1] is None:
            continue
        known = _FIELD_OF.get(pair[0])
        if known is not None and known[1] <= ranks.get(known[0], 99):
            kept[known[0]], ranks[known[0]] = pair[1], known[1]
    usage, cached = of_details(kept.get("details")), tokens(kept.get("cached"))
    told = {key: tokens(kept.get(key)) for key in ("input", "output", "thinking")}
    asked = whole_input(told["input"], cached, tokens(kept.get("written")))
    status = raw.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    try:
        return Span(
            trace=_id(raw["traceId"]),
            span=_id(raw["spanId"]),
            parent=_id(raw.get("parentSpanId") or ""),
            name=str(raw.get("name") or "")[:200],
            start_ns=int(raw["startTimeUnixNano"]),
            end_ns=int(raw["endTimeUnixNano"]),
            failed=code in (2, "2", "STATUS_CODE_ERROR") or "error" in kept or kept.get("level") == "ERROR",
            operation=str(kept.get("operation", "")).lower(),
            model=str(kept.get("model", ""))[:200],
            input_tokens=usage.input if asked is None else asked,
            output_tokens=usage.output if told["output"] is None else told["output"],
            thinking_tokens=usage.thinking if told["thinking"] is None else told["thinking"],
            cached_tokens=usage.cached if cached is None else cached,
            texts=len(texts) or None,
            node=str(kept.get("node", ""))[:200],
            agent=str(kept.get("agent", ""))[:200],
            entity=str(kept.get("entity", ""))[:200],
            tool=str(kept.get("tool", ""))[:200],
            conversation=str(kept.get("conversation", ""))[:200],
        )
    except (KeyError, TypeError, ValueError):
        return _BROKEN


def _id(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return "" if raw.strip("0") == "" else raw


def _spans(path: Path, line: int, value: Any, found: SpansFound) -> Iterator[Span]:
    """Yield the spans of one parsed value, which is a request, or a list of them."""
    for request in value if isinstance(value, list) else [value]:
        groups = request.get("resourceSpans", request.get("resource_spans")) if isinstance(request, dict) else None
        if not isinstance(groups, list):
            if isinstance(request, dict) and ("resourceMetrics" in request or "resourceLogs" in request):
                continue  # some collectors write all signals to one file
            raise UserError(f"{path}:{line}: expected OTLP JSON with `resourceSpans`, found {_shown(request)}")
        for group in groups:
            if not isinstance(group, dict):
                raise UserError(f"{path}:{line}: expected objects in `resourceSpans`, found {_shown(group)}")
            resource = found.resource(_attributes(group.get("resource")))
            scopes: list[Any] = next((group[key] for key in _SPANS if isinstance(group.get(key), list)), [])
            for scope in scopes:
                for span in (scope.get("spans") or ()) if isinstance(scope, dict) else ():
                    found.spans += 1
                    if not isinstance(span, Span) or not span.trace or not span.span:
                        found.broken += 1
                        if isinstance(span, Span):
                            yield span._replace(trace="", span=str(found.broken), parent="")
                    else:
                        yield span._replace(resource=resource)


def _attributes(resource: Any) -> dict[str, str]:
    pairs = resource.get("attributes") if isinstance(resource, dict) else None
    return {pair[0]: str(pair[1]) for pair in pairs or () if isinstance(pair, tuple) and pair[1] is not None}


def _shown(value: Any) -> str:
    if isinstance(value, Span):
        return "a single span"
    if isinstance(value, dict):
        keys = ", ".join(list(value)[:4])
        hint = " (Jaeger's own format; export OTLP)" if "data" in value else ""
        return f"an object with {keys[:80] or 'nothing in it'}{hint}"
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")
