"""From the spans of one trace to its steps: which model calls and tools there were, when, and on whose behalf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.imports.account import ImportLoss, summed
from harness.imports.spans import Span

__all__ = ["SkippedStep", "Trace", "TraceStep", "Troubles", "trace_of", "work_in"]

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
    owner: str = ""  # of a call that no agent is named for: the span of the part in which it was made
    nameless: bool = False  # and no framework has named that part
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
        self._lost: dict[str, ImportLoss] = {}

    def lose(self, loss: ImportLoss) -> None:
        """Count what is not in the workload; losses of one kind are one."""
        self._lost[loss.why] = summed([self._lost.get(loss.why, ImportLoss(loss.why)), loss])[0]

    @property
    def lost(self) -> tuple[ImportLoss, ...]:
        """What is not in the workload, by kind."""
        return tuple(loss for _, loss in sorted(self._lost.items()))


def trace_of(spans: Sequence[Span], troubles: Troubles) -> Trace:
    """Return the steps of a trace; SkippedStep where its times or parents make no sense."""
    by_id = _by_id(spans, troubles)
    if any(span.end_ns < span.start_ns for span in by_id.values()):
        raise SkippedStep("a span ends before it starts")
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
    start_ns = min(span.start_ns for span in by_id.values())
    own = Troubles()  # of this trace: nothing of it counts where it is left out after all
    steps = _steps(by_id, children, order, start_ns, own)
    if not any(step.label[0] in ("agent", "embed") for step in steps):
        raise SkippedStep("no model call in it")
    steps = _retried(steps, own)
    troubles.nested += own.nested
    for loss in own.lost:
        troubles.lose(loss)
    troubles.missing_parents += missing
    troubles.traces_with_missing_parents += missing > 0
    first = min(roots, key=lambda key: (bool(by_id[key].parent), by_id[key].start_ns))
    root = by_id[first]
    name = "" if root.parent or root.operation in _MODEL else root.entity or _bare(root)
    return Trace(
        root=name,
        start_ns=start_ns,
        end_ns=max(span.end_ns for span in by_id.values()),
        conversation=next((span.conversation for span in by_id.values() if span.conversation), ""),
        resource=root.resource,
        steps=tuple(steps),
    )


def work_in(spans: Sequence[Span]) -> ImportLoss:
    """Return the calls, tokens and tools of spans that make no trace, each call once; its reason is left open."""
    by_id = {span.span: span for span in spans}
    kinds = {key: _kind(span) for key, span in by_id.items()}
    around: dict[str, set[str]] = {}  # what kinds of steps a span has below it
    for key, span in by_id.items():
        above = by_id.get(span.parent)
        while kinds[key] != "group" and above is not None and kinds[key] not in around.get(above.span, ()):
            around.setdefault(above.span, set()).add(kinds[key])
            above = by_id.get(above.parent)
    calls = [by_id[key] for key, kind in kinds.items() if kind in ("model", "embed") and key not in around]
    return ImportLoss(
        "",
        calls=len(calls),
        input_tokens=sum(span.input_tokens or 0 for span in calls),
        output_tokens=sum(span.output_tokens or 0 for span in calls),
        tools=sum(kind == "tool" and (key not in around or "model" in around[key]) for key, kind in kinds.items()),
    )


def _by_id(spans: Sequence[Span], troubles: Troubles) -> dict[str, Span]:
    """Return spans by their ids, each once; different ones with the same id are told apart."""
    by_id: dict[str, Span] = {}
    for span in spans:
        key, n = span.span, 1
        while (other := by_id.get(key)) is not None and (other.name, other.start_ns) != (span.name, span.start_ns):
            key, n = f"{span.span}#{n}", n + 1
        troubles.doubled += key in by_id
        by_id[key] = span._replace(span=key)
    return by_id


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


class _Below(NamedTuple):
    """What there is below a span, apart from itself."""

    calls: int = 0  # of models; one that several instrumentations saw is one
    models: int = 0  # spans of models
    tools: int = 0  # and embeddings


def _steps(
    by_id: dict[str, Span], children: dict[str, list[str]], order: list[str], start_ns: int, troubles: Troubles
) -> list[TraceStep]:
    """Pick the spans that are steps: the outermost model call of several that stand for the same one; tools."""
    below: dict[str, _Below] = {}
    kinds = {key: _kind(by_id[key], leaf=key not in children) for key in order}
    for key in reversed(order):
        calls = models = tools = 0
        for child in children.get(key, ()):
            kind, under = kinds[child], below[child]
            calls += under.calls or (kind == "model")
            models += under.models + (kind == "model")
            tools += under.tools + (kind in ("tool", "embed"))
        below[key] = _Below(calls, models, tools)
    steps: list[TraceStep] = []
    stack = [_Place(key) for key in reversed(order) if by_id[key].parent not in by_id]
    while stack:
        place = stack.pop()
        key, agent, part = place.key, place.agent, place.part
        span, kind, under = by_id[key], kinds[key], below[key]
        if kind == "model" and (under.tools or under.calls > 1):
            kind = "group"  # a framework's span around a whole conversation with tools
        elif kind in ("tool", "embed") and (under.calls or under.tools):
            if kind == "tool" and under.calls:
                troubles.lose(ImportLoss(_AROUND, tools=1))
            kind = "group"  # an agent used as a tool, or two instrumentations of one embedding
        elif kind == "group" and not under.calls and not under.tools and span.output_tokens is not None:
            kind = "model"  # an agent whose single calls were not traced
        if kind == "model":
            troubles.nested += under.models
            chain = list(_chain(key, by_id, children, kinds)) if under.models else []
            named = span.node or _first(chain, "node") or span.agent or _first(chain, "agent")
            name = named or agent or part
            step = _step(("agent", name or span.operation or "call", ""), span, chain, start_ns)
            if not named and (place.guessed or not agent):
                step = step._replace(owner=place.owner or key, nameless=not agent)
            steps.append(step)
        elif kind == "embed":
            label = ("embed", span.node or "embed", "" if span.node else span.agent or agent or part)
            steps.append(_step(label, span, [], start_ns))
        elif kind == "tool":
            name = span.node or span.tool or _bare(span)
            steps.append(_step(("tool", name, "" if span.node else span.agent or agent), span, [], start_ns))
        else:
            told = place.told
            if not under.calls and not told and (span.input_tokens or span.output_tokens):
                told = True
                tokens = (span.input_tokens or 0, span.output_tokens or 0)
                troubles.lose(ImportLoss(_UNSEEN, input_tokens=tokens[0], output_tokens=tokens[1]))
            stack += _inside(span, place, span.parent in by_id, children.get(key, ()), told)
    steps.sort(key=lambda step: (step.start_s, step.end_s))
    return steps


class _Place(NamedTuple):
    """Where a span stands: who calls there, as far as spans above it say so."""

    key: str
    agent: str = ""
    part: str = ""  # of the application
    guessed: bool = False  # `agent` is only a part that a framework has named
    owner: str = ""  # the span of the nearest part
    told: bool = False  # a span above has counted tokens


_AROUND = "around a call of a model: the call is here, and the tool's own time is not"
_UNSEEN = "counted by agents of whose calls the file has no span"


def _inside(span: Span, place: _Place, has_parent: bool, below: Sequence[str], told: bool) -> list[_Place]:
    """Return where the spans below one stand that is no step itself."""
    agent, part, guessed = place.agent, place.part, place.guessed
    own = span.node or span.agent
    if not own and span.operation in ("invoke_agent", "agent"):
        own = span.entity or _bare(span)
    own = "" if own.lower() in _PLUMBING else own
    named = span.entity or _bare(span)
    owner = place.owner or span.span
    if has_parent and named.lower() not in _PLUMBING:
        part, owner = named, span.span
    if own:
        agent, part, guessed = own, "", False
    elif part and has_parent and span.operation in ("chain", "task", "workflow", "tool"):
        agent, guessed = part, True  # a part of the application that a framework has named
    return [_Place(child, agent, part, guessed, owner, told) for child in reversed(below)]


def _chain(key: str, by_id: dict[str, Span], children: dict[str, list[str]], kinds: dict[str, str]) -> Iterator[Span]:
    """Yield the model spans below one that stand for the same call, outermost first."""
    now = [key]
    while now:
        now = [child for one in now for child in children.get(one, ())]
        yield from (by_id[child] for child in now if kinds[child] == "model")


def _first(spans: Sequence[Span], field: str) -> str:
    return next(filter(None, (getattr(span, field) for span in spans)), "")


def _kind(span: Span, *, leaf: bool = False) -> str:
    if span.operation in _MODEL:
        return "model"
    if span.operation in _EMBED:
        return "embed"
    if span.operation in _TOOL or (not span.operation and span.tool):
        return "tool"
    counted = span.output_tokens is not None or leaf
    return "model" if not span.operation and span.model and counted else "group"


def _bare(span: Span) -> str:
    """Return a span's name without the operation that stands before it ("execute_tool search")."""
    head, _, rest = span.name.partition(" ")
    return rest if rest and head.lower() == span.operation else span.name


def _step(label: tuple[str, str, str], span: Span, chain: Sequence[Span], start_ns: int) -> TraceStep:
    """Return a span as a step; what it does not tell, one of the `chain` may that stand for the same call."""

    def told(field: str) -> int | None:
        return next((value for one in (span, *chain) if (value := getattr(one, field)) is not None), None)

    output_tokens = told("output_tokens")
    thinking = told("thinking_tokens") or 0
    if output_tokens is not None and 0 < thinking <= output_tokens:  # else it was never counted with the answer
        output_tokens = max(1, output_tokens - thinking)
    return TraceStep(
        label=label,
        start_s=(span.start_ns - start_ns) / 1e9,
        end_s=(span.end_ns - start_ns) / 1e9,
        failed=span.failed,
        model=span.model or _first(chain, "model"),
        input_tokens=told("input_tokens"),
        output_tokens=output_tokens,
        thinking_tokens=thinking,
        cached_tokens=told("cached_tokens") or 0,
        texts=span.texts,
    )


_TRIED_AGAIN = "failed and were tried again: the file says `retry`"


def _retried(steps: list[TraceStep], troubles: Troubles) -> list[TraceStep]:
    """Join a failed call with the next of its kind after it: a retry. Raises SkippedStep where there is none.

    A tool that failed has run, and what came next knew of it.
    """
    if not any(step.failed for step in steps):
        return steps
    result: list[TraceStep] = []
    left = [step._replace(failed=step.failed and step.label[0] != "tool") for step in steps]
    while left:
        step = left.pop(0)
        while step.failed:
            at = next(
                (i for i, other in enumerate(left) if other.label == step.label and other.start_s >= step.end_s - 1e-6),
                None,
            )
            if at is None:
                raise SkippedStep("a call failed for good")
            again = left.pop(at)
            gap_s = max(0.0, again.start_s - step.end_s)
            generated = (step.output_tokens or 0) + step.thinking_tokens
            troubles.lose(ImportLoss(_TRIED_AGAIN, 1, step.input_tokens or 0, generated))
            step = again._replace(
                start_s=step.start_s,
                attempts=step.attempts + 1,
                backoff_s=step.backoff_s if step.attempts > 1 else gap_s,
            )
        result.append(step)
    result.sort(key=lambda step: (step.start_s, step.end_s))
    return result
