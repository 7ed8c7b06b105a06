"""From the spans of one trace to its steps: which model calls and tools there were, when, and on whose behalf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.imports.otlp import Span

__all__ = ["SkippedStep", "Trace", "TraceStep", "Troubles", "trace_of"]

_MODEL = frozenset(("chat", "text_completion", "generate_content", "completion", "llm", "rerank", "generation"))
_TOOL = frozenset(("execute_tool", "tool", "retrieval", "retriever", "reranker"))
_EMBED = frozenset(("embeddings", "embedding"))
_PLUMBING = frozenset(("runnablesequence", "runnablelambda", "runnableparallel", "langgraph", "pregel"))
SKEW_NS = 1_000_000  # a child this much before its parent is what clocks and rounding give anyway


class TraceStep(NamedTuple):
    """A model call, an embedding or a tool. Times are seconds from the start of the trace."""

    label: tuple[str, str, str]  # kind (agent, embed, tool), name, and of an embedding or a tool whose it is
    start_s: float
    end_s: float
    failed: bool
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None  # of the answer, without what was thought before it
    thinking_tokens: int = 0
    cached_tokens: int = 0  # of the input, found again in a prompt cache
    texts: int | None = None  # of an embedding
    attempts: int = 1
    backoff_s: float = 0.0  # between the first attempt and the second


class Trace(NamedTuple):
    """One pass of an application; `steps` in the order of their starts."""

    root: str
    start_ns: int
    end_ns: int
    conversation: str
    resource: int
    steps: tuple[TraceStep, ...]


class SkippedStep(Exception):
    """A trace that says nothing that can be used; the text says why."""


class Troubles:
    """What was found wrong on the way, in counts."""

    def __init__(self) -> None:
        self.missing_parents = 0
        self.traces_with_missing_parents = 0
        self.skewed = 0
        self.largest_skew_s = 0.0
        self.doubled = 0
        self.nested = 0
        self.left_out: dict[str, int] = {}


def trace_of(spans: Sequence[Span], troubles: Troubles) -> Trace:
    """Return the steps of a trace; LeftOut where its times or parents make no sense."""
    by_id: dict[str, Span] = {}
    for span in spans:
        if span.end_ns < span.start_ns:
            raise SkippedStep("a span ends before it starts")
        if span.span in by_id:
            troubles.doubled += 1
        by_id[span.span] = span
    children: dict[str, list[str]] = {}
    roots = []
    missing = 0
    for key, span in by_id.items():
        if span.parent and span.parent in by_id:
            children.setdefault(span.parent, []).append(key)
        else:
            missing += bool(span.parent)
            roots.append(key)
    order = _repaired(by_id, children, roots, troubles)
    if len(order) < len(by_id):
        raise SkippedStep("spans are each other's parents")
    troubles.missing_parents += missing
    troubles.traces_with_missing_parents += missing > 0
    first = min(roots, key=lambda key: (bool(by_id[key].parent), by_id[key].start_ns))
    start_ns = min(span.start_ns for span in by_id.values())
    steps = _steps(by_id, children, order, start_ns, troubles)
    if not any(step.label[0] in ("agent", "embed") for step in steps):
        raise SkippedStep("no model call in it")
    root = by_id[first]
    name = "" if root.parent or root.operation in _MODEL else root.entity or _bare(root)
    return Trace(
        root=name,
        start_ns=start_ns,
        end_ns=max(span.end_ns for span in by_id.values()),
        conversation=next((span.conversation for span in by_id.values() if span.conversation), ""),
        resource=root.resource,
        steps=tuple(_retried(steps)),
    )


def _repaired(
    by_id: dict[str, Span], children: dict[str, list[str]], roots: list[str], troubles: Troubles
) -> list[str]:
    """Move spans of a skewed clock into their parents, with all below them; return the ids, parents first.

    A child that starts before its parent, or after it where another process made it, has another clock: it is put in
    the middle of its parent, or at its start where it is longer (as Jaeger's clock skew adjuster does).
    """
    order = []
    stack = [(key, 0) for key in reversed(roots)]
    while stack:
        key, moved_ns = stack.pop()
        span = by_id[key]
        if moved_ns:
            span = span._replace(start_ns=span.start_ns + moved_ns, end_ns=span.end_ns + moved_ns)
        parent = by_id.get(span.parent)
        if parent is not None and key not in roots:
            early = span.start_ns < parent.start_ns - SKEW_NS
            late = span.resource != parent.resource and span.start_ns > parent.end_ns + SKEW_NS
            if early or late:
                slack_ns = (parent.end_ns - parent.start_ns) - (span.end_ns - span.start_ns)
                delta_ns = parent.start_ns + max(0, slack_ns) // 2 - span.start_ns
                span = span._replace(start_ns=span.start_ns + delta_ns, end_ns=span.end_ns + delta_ns)
                moved_ns += delta_ns
                troubles.skewed += 1
                troubles.largest_skew_s = max(troubles.largest_skew_s, abs(delta_ns) / 1e9)
        by_id[key] = span
        order.append(key)
        stack += [(child, moved_ns) for child in reversed(children.get(key, ()))]
    return order


def _steps(
    by_id: dict[str, Span], children: dict[str, list[str]], order: list[str], start_ns: int, troubles: Troubles
) -> list[TraceStep]:
    """Pick the spans that are steps: the outermost model call of several that stand for the same one; tools."""
    models: dict[str, int] = {}  # how many model calls there are below each span
    tools: dict[str, int] = {}
    kinds = {key: _kind(by_id[key]) for key in order}
    for key in reversed(order):
        below = children.get(key, ())
        models[key] = sum(models[child] + (kinds[child] == "model") for child in below)
        tools[key] = sum(tools[child] + (kinds[child] in ("tool", "embed")) for child in below)
    steps: list[TraceStep] = []
    stack = [(key, "", "") for key in reversed(order) if by_id[key].parent not in by_id]
    while stack:
        key, agent, part = stack.pop()
        span, kind = by_id[key], kinds[key]
        below = children.get(key, ())
        if kind == "model" and (tools[key] or models[key] > 1):
            kind = "group"  # a framework's span around a whole conversation with tools
        elif kind in ("tool", "embed") and (models[key] or tools[key]):
            kind = "group"  # an agent used as a tool, or two instrumentations of one embedding
        elif kind == "group" and not models[key] and not tools[key] and span.output_tokens is not None:
            kind = "model"  # an agent whose single calls were not traced
        if kind == "model":
            troubles.nested += models[key]
            inner = next((by_id[child] for child in below if kinds[child] == "model"), span)
            name = span.node or inner.node or span.agent or inner.agent or agent or part
            steps.append(_step(("agent", name or span.operation or "call", ""), span, inner, start_ns))
        elif kind == "embed":
            steps.append(
                _step(
                    ("embed", span.node or "embed", "" if span.node else span.agent or agent or part),
                    span,
                    span,
                    start_ns,
                )
            )
        elif kind == "tool":
            name = span.node or span.tool or _bare(span)
            steps.append(_step(("tool", name, "" if span.node else span.agent or agent), span, span, start_ns))
        else:
            own = span.node or span.agent
            if not own and span.operation in ("invoke_agent", "agent"):
                own = span.entity or _bare(span)
            own = "" if own.lower() in _PLUMBING else own
            named = span.entity or _bare(span)
            if span.parent in by_id and named.lower() not in _PLUMBING:
                part = named
            if own:
                agent, part = own, ""
            elif part and span.parent in by_id and span.operation in ("chain", "task", "workflow", "tool"):
                agent = part  # a part of the application that a framework has named
            stack += [(child, agent, part) for child in reversed(below)]
    steps.sort(key=lambda step: (step.start_s, step.end_s))
    return steps


def _kind(span: Span) -> str:
    if span.operation in _MODEL:
        return "model"
    if span.operation in _EMBED:
        return "embed"
    if span.operation in _TOOL or (not span.operation and span.tool):
        return "tool"
    return "model" if not span.operation and span.model and span.output_tokens is not None else "group"


def _bare(span: Span) -> str:
    """Return a span's name without the operation that stands before it ("execute_tool search")."""
    head, _, rest = span.name.partition(" ")
    return rest if rest and head.lower() == span.operation else span.name


def _step(label: tuple[str, str, str], span: Span, inner: Span, start_ns: int) -> TraceStep:
    output_tokens = inner.output_tokens if span.output_tokens is None else span.output_tokens
    thinking = (inner.thinking_tokens if span.thinking_tokens is None else span.thinking_tokens) or 0
    if output_tokens is not None and 0 < thinking <= output_tokens:  # else it was never counted with the answer
        output_tokens = max(1, output_tokens - thinking)
    return TraceStep(
        label=label,
        start_s=(span.start_ns - start_ns) / 1e9,
        end_s=(span.end_ns - start_ns) / 1e9,
        failed=span.failed,
        model=span.model or inner.model,
        input_tokens=inner.input_tokens if span.input_tokens is None else span.input_tokens,
        output_tokens=output_tokens,
        thinking_tokens=thinking,
        cached_tokens=(inner.cached_tokens if span.cached_tokens is None else span.cached_tokens) or 0,
        texts=span.texts,
    )


def _retried(steps: list[TraceStep]) -> list[TraceStep]:
    """Join a failed step with the next of its kind after it: a retry. Raises LeftOut where there is none."""
    if not any(step.failed for step in steps):
        return steps
    result: list[TraceStep] = []
    left = list(steps)
    while left:
        step = left.pop(0)
        while step.failed:
            at = next(
                (i for i, other in enumerate(left) if other.label == step.label and other.start_s >= step.end_s - 1e-6),
                None,
            )
            if at is None:
                raise SkippedStep("a step failed for good")
            again = left.pop(at)
            gap_s = max(0.0, again.start_s - step.end_s)
            step = again._replace(
                start_s=step.start_s,
                attempts=step.attempts + 1,
                backoff_s=step.backoff_s if step.attempts > 1 else gap_s,
            )
        result.append(step)
    result.sort(key=lambda step: (step.start_s, step.end_s))
    return result
