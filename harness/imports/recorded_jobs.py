"""Recorded calls as jobs for the miner of traces: parted by a header or by idle time, with the pauses between."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from harness.imports.account import ImportLoss
from harness.imports.places import parted
from harness.imports.recording import RecordedCall
from harness.imports.steps import Trace, TraceStep

__all__ = ["RecordedJobs", "jobs_of"]

PAUSE_S = 0.1  # shorter ones are what any program takes between two calls
TOGETHER_S = 0.02  # calls that begin this close to each other, after the same end, begin together
_SAME_S = 5e-4


class RecordedJobs(NamedTuple):
    """The jobs of a recording as traces, in the order of their starts."""

    traces: tuple[Trace, ...]
    by_header: bool  # else parted by idle time
    longest_gap_s: float  # in which no call of a job was in flight
    shortest_idle_s: float | None  # between two jobs that idle time parts
    sources: dict[str, tuple[RecordedCall, ...]]  # the calls behind each name in the traces
    reads: frozenset[tuple[str, str]]  # (whose answer, in whose prompt)
    lost: tuple[ImportLoss, ...]


def jobs_of(calls: Sequence[RecordedCall], idle_s: float) -> RecordedJobs:
    """Return the jobs of calls, which are in the order of their starts; a job without a call that succeeded is lost.

    Args:
        calls: numbered by their place here.
        idle_s: without a header, a new job begins where no call was in flight for longer, unless it goes on with an
            earlier call or reads its answer.
    """
    job_of = _by_header(calls) if any(call.job for call in calls) else _by_idle(calls, idle_s)
    members: dict[str, list[int]] = defaultdict(list)
    for i, call in enumerate(calls):
        if not call.failed:
            members[job_of[i]].append(i)
    talks = {i for call_number, call in enumerate(calls) if call.follows >= 0 for i in (call_number, call.follows)}
    traces, numbers = [], []
    for mine in members.values():
        start_s = calls[mine[0]].start_s
        steps = tuple(_step(calls[i], start_s, nameless=i not in talks) for i in mine)
        end_s = max(calls[i].end_s for i in mine)
        traces.append(Trace("", round(start_s * 1e9), round(end_s * 1e9), "", 0, steps))
        numbers.append(mine)
    named = parted(traces)
    names = {
        i: step.label[1]
        for trace, mine in zip(named, numbers, strict=True)
        for i, step in zip(mine, trace.steps, strict=True)
    }
    sources: dict[str, list[RecordedCall]] = defaultdict(list)
    for i, name in names.items():
        sources[name].append(calls[i])
    reads = {(names[a], names[b]) for b in names for a in (*calls[b].reads, calls[b].follows) if a in names}
    gaps = [gap for trace in named for gap in _gaps(trace.steps)]
    ends = sorted((trace.start_ns, trace.end_ns) for trace in named)
    between = [(b[0] - a[1]) / 1e9 for a, b in pairwise(ends)]
    return RecordedJobs(
        traces=tuple(_with_pauses(named)),
        by_header=any(call.job for call in calls),
        longest_gap_s=max(gaps, default=0.0),
        shortest_idle_s=min(between, default=None),
        sources={name: tuple(found) for name, found in sources.items()},
        reads=frozenset(reads),
        lost=tuple(_lost(calls)),
    )


def _by_header(calls: Sequence[RecordedCall]) -> list[str]:
    """Return the job of each call; one without the header is in the job of what it goes on with, or in its own."""
    found: list[str] = []
    for i, call in enumerate(calls):
        known = [found[before] for before in (*call.reads, call.follows) if before >= 0]
        found.append(f"={call.job}" if call.job else known[-1] if known else f"#{i}")
    return found


def _by_idle(calls: Sequence[RecordedCall], idle_s: float) -> list[str]:
    group: list[int] = []  # the first call of each one's job
    busy_until_s = float("-inf")
    for i, call in enumerate(calls):
        first = group[-1] if group and call.start_s - busy_until_s <= idle_s else i
        for before in (*call.reads, call.follows):
            if before >= 0 and group[before] < first:
                first = group[before]
        if first < i:  # what has begun since then is of the same job
            group = [first if first < one else one for one in group]
        group.append(first)
        busy_until_s = max(busy_until_s, call.end_s)
    return [str(first) for first in group]


def _step(call: RecordedCall, start_s: float, *, nameless: bool) -> TraceStep:
    return TraceStep(
        label=(call.kind, call.agent, ""),
        start_s=call.start_s - start_s,
        end_s=call.end_s - start_s,
        failed=False,
        model=call.model,
        input_tokens=call.input_tokens,
        output_tokens=max(0, call.output_tokens - call.thinking_tokens) if call.kind == "agent" else None,
        thinking_tokens=call.thinking_tokens,
        texts=call.texts,
        nameless=nameless and call.kind == "agent",
    )


def _gaps(steps: Sequence[TraceStep]) -> list[float]:
    """Return for each step how long before it nothing had been going on in its job; 0 for what nothing came before."""
    gaps = []
    ended: list[float] = []  # in order
    for step in steps:
        before = bisect_right(ended, step.start_s + _SAME_S)
        gaps.append(max(0.0, step.start_s - ended[before - 1]) if before else 0.0)
        insort(ended, step.end_s)
    return gaps


def _with_pauses(traces: Sequence[Trace]) -> list[Trace]:
    """Put a tool before the calls that come some time after the last one that had ended: the program did something."""
    groups = [_waiting(trace.steps) for trace in traces]
    seen: dict[str, list[float]] = defaultdict(list)
    for group in groups:
        for pause in group:
            seen[pause.label[1]].append(pause.end_s - pause.start_s)
    long = {name for name, lengths in seen.items() if median(lengths) >= PAUSE_S}
    return [
        trace._replace(
            steps=tuple(
                sorted(
                    (*trace.steps, *(pause for pause in group if pause.label[1] in long)),
                    key=lambda step: (step.start_s, step.end_s),
                )
            )
        )
        for trace, group in zip(traces, groups, strict=True)
    ]


def _waiting(steps: Sequence[TraceStep]) -> list[TraceStep]:
    """Return the pauses of a job; calls that begin together have one, by the first of their names."""
    groups: list[list[tuple[float, TraceStep]]] = []  # (when what came before had ended, the call)
    for step, gap in zip(steps, _gaps(steps), strict=True):
        if gap <= 0:
            continue
        from_s = step.start_s - gap
        last = groups[-1][0] if groups else None
        if last and abs(last[0] - from_s) < _SAME_S and step.start_s - last[1].start_s < TOGETHER_S:
            groups[-1].append((from_s, step))
        else:
            groups.append([(from_s, step)])
    return [
        TraceStep(
            ("tool", f"before-{min(step.label[1] for _, step in group)}", ""),
            group[0][0],
            group[0][1].start_s,
            failed=False,
        )
        for group in groups
    ]


def _lost(calls: Sequence[RecordedCall]) -> list[ImportLoss]:
    by_reason: dict[str, list[RecordedCall]] = defaultdict(list)
    for call in calls:
        if call.failed:
            by_reason[call.failed].append(call)
    return [
        ImportLoss(
            f"that failed ({why})", len(failed),
            sum(call.input_tokens for call in failed), sum(call.output_tokens for call in failed),
        )
        for why, failed in sorted(by_reason.items())
    ]  # fmt: skip
