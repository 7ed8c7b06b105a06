"""Spans as the import needs them, from attributes by whichever names they have; never a prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from harness.imports.usage import of_details, tokens, whole_input

__all__ = ["Span", "SpansFound", "flat", "instant_ns", "span_of"]

# What is kept of a span's attributes, by what it is called now and was called before (conventions 1.28, 1.37;
# OpenLLMetry; OpenInference). The first that a span has counts.
_KEPT: dict[str, tuple[str, ...]] = {
    "operation": (
        "gen_ai.operation.name", "llm.request.type", "openinference.span.kind", "traceloop.span.kind",
        "langfuse.observation.type", "langsmith.span.kind",
    ),
    "model": (
        "gen_ai.request.model", "gen_ai.response.model", "llm.request.model", "llm.model_name", "embedding.model_name",
        "langfuse.observation.model.name", "ls_model_name",
    ),
    # Langfuse and LangSmith count all tokens of a call in one text, or in one object.
    "details": ("langfuse.observation.usage_details", "langfuse.usage_details", "langsmith.usage_metadata"),
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
    "error": ("error.type", "error"),
    "metadata": ("metadata", "langfuse.observation.metadata"),  # LangGraph's node is in it
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
        self.form = ""  # what the file turned out to be
        self.what = "span"  # that is counted
        self.asks: list[tuple[str, str]] = []  # what the file leaves open as a whole, with the guess
        self.truncated = ""  # where a file of lines ends in the middle of one
        self._index: dict[tuple[tuple[str, str], ...], int] = {}

    def resource(self, attributes: dict[str, str]) -> int:
        """Return the index of a resource."""
        key = tuple(sorted(attributes.items()))
        if key not in self._index:
            self._index[key] = len(self.resources)
            self.resources.append(attributes)
        return self._index[key]


def span_of(
    ids: tuple[Any, Any, Any],
    name: Any,
    times_ns: tuple[int | None, int | None],
    attributes: Iterable[tuple[str, Any]],
    resource: int,
    *,
    failed: bool = False,
) -> Span:
    """Return what the import needs of a span; one without ids or times has no `trace`.

    Args:
        ids: of the trace, of the span, and of its parent.
        name: of the span.
        times_ns: when it began and ended; None: not told.
        attributes: names and plain values, nested ones as `flat` gives them.
        resource: index of what made it.
        failed: the span says so.
    """
    kept: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    texts: set[str] = set()
    for key, value in attributes:
        if key.startswith(_TEXTS):
            texts.add(key.split(".", 3)[2])
        if value is None:
            continue
        known = _FIELD_OF.get(key)
        if known is not None and known[1] <= ranks.get(known[0], 99):
            kept[known[0]], ranks[known[0]] = value, known[1]
    usage, cached = of_details(kept.get("details")), tokens(kept.get("cached"))
    told = {key: tokens(kept.get(key)) for key in ("input", "output", "thinking")}
    asked = whole_input(told["input"], cached, tokens(kept.get("written")))
    trace, own, parent = (_id(raw) for raw in ids)
    start_ns, end_ns = times_ns
    whole = bool(trace and own) and start_ns is not None and end_ns is not None
    error = kept.get("error")
    return Span(
        trace=trace if whole else "",
        span=own,
        parent=parent,
        name=_text(name),
        start_ns=start_ns or 0,
        end_ns=end_ns or 0,
        failed=failed or error not in (None, False, "", "false", "False") or kept.get("level") == "ERROR",
        operation=_text(kept.get("operation")).lower(),
        model=_text(kept.get("model")),
        input_tokens=usage.input if asked is None else asked,
        output_tokens=usage.output if told["output"] is None else told["output"],
        thinking_tokens=usage.thinking if told["thinking"] is None else told["thinking"],
        cached_tokens=usage.cached if cached is None else cached,
        texts=len(texts) or None,
        node=_text(kept.get("node")) or _node_of(kept.get("metadata")),
        agent=_text(kept.get("agent")),
        entity=_text(kept.get("entity")),
        tool=_text(kept.get("tool")),
        conversation=_text(kept.get("conversation")),
        resource=resource,
    )


def flat(raw: Any, before: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    """Yield nested attributes by their names with dots between, of lists with their numbers."""
    if not isinstance(raw, Mapping) or depth > 8:
        return
    for key, value in raw.items():
        name = f"{before}.{key}" if before else str(key)
        if isinstance(value, Mapping):
            if _FIELD_OF.get(name, ("", 0))[0] in ("details", "metadata"):
                yield name, value
            yield from flat(value, name, depth + 1)
        elif isinstance(value, list) and name == "embedding.embeddings":
            for number, _ in enumerate(value[:10_000]):
                yield f"{name}.{number}.embedding", None
        elif not isinstance(value, list):
            yield name, value


_LAST_NS = 1 << 63


def instant_ns(raw: Any, unit_ns: int | None = None) -> int | None:
    """Read an instant in nanoseconds since 1970; None where it is none.

    Args:
        raw: a date with a time of day (ISO 8601; without a zone it is UTC), or a number, as text too.
        unit_ns: of the number; None: seen from its size, which is clear for instants from 1976 to 2200.
    """
    if isinstance(raw, str) and ("-" in raw[1:] or ":" in raw):
        try:
            moment = datetime.fromisoformat(raw.strip().replace(" UTC", "+00:00"))
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    try:
        if unit_ns == 1 or (isinstance(raw, int) and unit_ns is not None):
            value = int(raw) * unit_ns
        else:
            number = float(raw)
            unit = unit_ns or next((10**n for n, most in ((9, 1e10), (6, 1e13), (3, 1e16)) if abs(number) < most), 1)
            value = round(number * unit)
    except (ValueError, OverflowError):
        return None
    return value if 0 <= value < _LAST_NS else None


def _id(raw: Any) -> str:
    """Return an id; "" where it is none, or nothing but zeros in hexadecimal or base64."""
    if not isinstance(raw, str) or len(raw) > 200:
        return ""
    return "" if not raw.removeprefix("0x").strip("0") or not raw.strip("A=") else raw


def _text(raw: Any) -> str:
    return str(raw)[:200] if isinstance(raw, str | int | float) and not isinstance(raw, bool) else ""


def _node_of(metadata: Any) -> str:
    """Return the node that LangGraph writes into the metadata of what a node does."""
    if isinstance(metadata, str) and "langgraph_node" in metadata and len(metadata) <= 100_000:
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):
            return ""
    return _text(metadata.get("langgraph_node")) if isinstance(metadata, Mapping) else ""
