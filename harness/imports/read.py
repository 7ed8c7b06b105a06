"""A file of spans as traces: spans are put together, and what is wrong with them is counted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError
from harness.imports.otlp import Span, SpansFound, read_spans
from harness.imports.steps import SkippedStep, Trace, Troubles, trace_of
from harness.units import count, seconds

__all__ = ["Read", "read_traces"]


class Read(NamedTuple):
    """What a file of spans gave: traces in the order of their starts, and what was wrong with it."""

    traces: tuple[Trace, ...]
    found: SpansFound
    troubles: Troubles

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


def read_traces(path: Path) -> Read:
    """Read a file of spans into traces. Raises UserError where it is no OTLP JSON or has no model call in it."""
    found, troubles = SpansFound(), Troubles()
    spans: dict[str, list[Span]] = {}
    for span in read_spans(path, found):
        spans.setdefault(span.trace, []).append(span)
    traces = []
    while spans:
        _, mine = spans.popitem()
        try:
            traces.append(trace_of(mine, troubles))
        except SkippedStep as why:
            troubles.left_out[str(why)] = troubles.left_out.get(str(why), 0) + 1
    if not traces:
        left = "; ".join(f"{count(n, 'trace')}: {why}" for why, n in sorted(troubles.left_out.items()))
        unusable = f" and none that can be used ({left})" if left else ""
        raise UserError(
            f"{path}: expected traces with model calls (gen_ai.operation.name: chat), found "
            f"{count(found.spans, 'span')}{unusable}; is the application instrumented for GenAI?"
        )
    traces.sort(key=lambda trace: (trace.start_ns, trace.end_ns))
    return Read(tuple(traces), found, troubles)
