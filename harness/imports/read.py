"""A file of spans as traces: spans are put together, and what is wrong with them is counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError
from harness.imports.account import ImportCounts
from harness.imports.files import read_file
from harness.imports.mine import SAME_S
from harness.imports.places import parted
from harness.imports.row_traces import RowTraces
from harness.imports.spans import Span, SpansFound
from harness.imports.steps import SkippedStep, Trace, Troubles, trace_of, work_in
from harness.units import count, seconds

__all__ = ["Read", "counts_of", "read_traces"]


class Read(NamedTuple):
    """What a file of spans gave: traces in the order of their starts, and what was wrong with it."""

    traces: tuple[Trace, ...]
    found: SpansFound
    troubles: Troubles

    def counts(self) -> ImportCounts:
        """Return all calls, tokens and tools of the file: those of the traces, and those that are lost already."""
        used, lost = counts_of(self.traces), self.troubles.lost
        return used._replace(
            **{
                figure: getattr(used, figure) + sum(getattr(loss, figure) for loss in lost)
                for figure in ("calls", "input_tokens", "output_tokens", "tools")
            }
        )

    @property
    def what(self) -> str:
        """What one of them is called."""
        return "trace" if self.found.what == "span" else self.found.what

    def warnings(self) -> list[str]:
        """Return what a person should know about the file, a line each."""
        found, troubles = self.found, self.troubles
        lines = []
        if found.truncated:
            lines.append(f"{found.truncated}. What stands before it was read.")
        if found.broken:
            lines.append(f"{count(found.broken, 'span')} without ids or times left out")
        if troubles.missing_parents:
            lines.append(
                f"{count(troubles.missing_parents, 'span')} in {count(troubles.traces_with_missing_parents, 'trace')} "
                "with a parent that is not in the file; each was read as the start of its trace"
            )
        if troubles.skewed:
            lines.append(
                f"clock skew: {count(troubles.skewed, 'span')} outside the parent by up to "
                f"{seconds(troubles.largest_skew_s)}, moved into it (allowed: 1 ms)"
            )
        if troubles.doubled:
            lines.append(f"{count(troubles.doubled, 'span')} twice in the file, counted once")
        if troubles.nested:
            lines.append(f"{count(troubles.nested, 'model call')} traced by two instrumentations, counted once")
        for why, n in sorted(troubles.left_out.items()):
            lines.append(f"{count(n, 'trace')} left out: {why}")
        return lines


def read_traces(path: Path, unit: str = "") -> Read:
    """Read a file into traces.

    Args:
        path: JSON or CSV; its form is seen from its content.
        unit: of the times of rows, where their form does not say it.

    Raises:
        UserError: its form is not known, or there is no model call in it.
    """
    found, troubles = SpansFound(), Troubles()
    spans: dict[str, list[Span]] = {}
    rows = RowTraces(troubles, found)
    for one in read_file(path, found, unit):
        if isinstance(one, Span):
            spans.setdefault(one.trace, []).append(one)
        else:
            rows.add(one)
    broken = spans.pop("", [])
    found.broken += len(broken)
    if broken:
        troubles.lose(work_in(broken)._replace(why="in spans without ids or times"))
    by_root: dict[str, list[Trace]] = {}
    while spans:
        _, mine = spans.popitem()
        try:
            trace = trace_of(mine, troubles)
        except SkippedStep as why:
            troubles.left_out[str(why)] = troubles.left_out.get(str(why), 0) + 1
            if any(work_in(mine)[1:]):
                troubles.lose(work_in(mine)._replace(why=f"in traces that are left out: {why}"))
        else:
            by_root.setdefault(trace.root, []).append(trace)
    traces = [trace for same in by_root.values() for trace in parted(same)] + rows.traces()
    if not traces:
        left = "; ".join(f"{count(n, 'trace')}: {why}" for why, n in sorted(troubles.left_out.items()))
        unusable = f" and none that can be used ({left})" if left else ""
        raise UserError(
            f"{path}: expected traces with model calls (gen_ai.operation.name: chat), found "
            f"{count(found.spans, found.what)}{unusable}; is the application instrumented for GenAI?"
        )
    traces.sort(key=lambda trace: (trace.start_ns, trace.end_ns))
    return Read(tuple(traces), found, troubles)


def counts_of(traces: Sequence[Trace]) -> ImportCounts:
    """Return the calls, tokens, width and tools of traces."""
    steps = [step for trace in traces for step in trace.steps]
    calls = [step for step in steps if step.label[0] != "tool"]
    return ImportCounts(
        calls=len(calls),
        input_tokens=sum(step.input_tokens or 0 for step in calls),
        output_tokens=sum((step.output_tokens or 0) + step.thinking_tokens for step in calls),
        width=max(map(_width, traces), default=0),
        tools=len(steps) - len(calls),
    )


def _width(trace: Trace) -> int:
    """Return the most calls of a trace that were in flight at once, embeddings apart."""
    edges = []
    for step in trace.steps:
        if step.label[0] == "agent":
            edges += [(step.start_s, 1, 1), (max(step.start_s, step.end_s - SAME_S), 0, -1)]
            if step.end_s - step.start_s <= SAME_S:  # no time at all: it is one call nevertheless
                edges[-1] = (step.start_s, 2, -1)
    most = now = 0
    for _, _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most
