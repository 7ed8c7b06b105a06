"""When the traces of a pipeline arrived, and what that asks of a person: the pipeline of a draft."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from harness.imports.draft import Flow, PipelineDraft, ask, note
from harness.imports.fit import gaps_are_poisson
from harness.imports.steps import Trace
from harness.units import count

__all__ = ["pipeline_of"]

MAX_JOBS = 100_000  # of a pipeline, as the language allows


def pipeline_of(
    name: str,
    traces: Sequence[Trace],
    flow: Flow,
    resources: Sequence[Mapping[str, str]],
    folder: str,
    files: MutableMapping[str, str],
    what: str = "trace",
) -> PipelineDraft:
    """Return the pipeline of these traces; arrivals that are too many for a line go to `files`, in `folder`."""
    notes = [note(f"{count(len(traces), what)}")]
    trials = [_trial(resources[trace.resource]) for trace in traces]
    counted = [trace for trace, trial in zip(traces, trials, strict=True) if trial == trials[0]][:MAX_JOBS]
    if len(counted) == MAX_JOBS < len(traces):
        notes.append(note(f"of these the first {MAX_JOBS}, the most that a file may have"))
    elif len(counted) < len(traces):
        notes.append(note(f"arrivals: of the first of {len(set(trials))} trials that Slotwise recorded"))
    start_ns = counted[0].start_ns
    starts = [(trace.start_ns - start_ns) / 1e9 for trace in counted]
    arrival, words = _arrival(name, starts, folder, files)
    notes.append(note(f"arrivals: {words}"))
    alone = all(b.start_ns >= a.end_ns for a, b in pairwise(counted))
    if alone and len(counted) > 2 and any(trace.end_ns > trace.start_ns for trace in counted):
        pause_s = median((b.start_ns - a.end_ns) / 1e9 for a, b in pairwise(counted))
        notes.append(
            ask(
                "no two of these traces overlap. Did one user wait for each answer? Then write "
                f"arrival: {{closed: 1, think_s: {pause_s:.3g}}}.",
                "no",
            )
        )
    turns = Counter(trace.conversation for trace in counted if trace.conversation)
    if turns and max(turns.values()) > 1:
        notes.append(
            ask(
                f"{count(len(turns), 'conversation')} with {sum(turns.values()) / len(turns):.3g} traces on average: "
                "should they be sessions (session: {turns: ..., think_s: ...})?",
                "no",
            )
        )
    return PipelineDraft(
        {"path": "interactive", "jobs": len(counted), "arrival": arrival},
        flow,
        tuple(notes),
        {"path": (ask("does a person wait for it (interactive), or not (batch)?", "interactive"),)},
    )


def _arrival(name: str, starts: list[float], folder: str, files: MutableMapping[str, str]) -> tuple[Any, str]:
    if len(starts) == 1 or starts[-1] == 0:
        return {"every_s": 0}, "all at once"
    if gaps_are_poisson(starts):
        rate = float(f"{(len(starts) - 1) / starts[-1]:.4g}")
        return {"poisson_per_s": rate}, f"{len(starts)} with exponential gaps: Poisson, {rate:g} a second"
    rounded = [round(start, 6) for start in starts]
    if len(starts) <= 12:
        return {"at_s": rounded}, f"{len(starts)} as they were"
    path = f"{folder}/{name}-arrivals.csv"
    files[path] = "\n".join(f"{start:.6f}" for start in rounded) + "\n"
    return {"trace": path}, f"{len(starts)} as they were (the gaps are not exponential)"


def _trial(resource: Mapping[str, str]) -> tuple[str, str]:
    return (resource.get("slotwise.candidate", ""), resource.get("slotwise.repeat", ""))
