"""What slots gain at each concurrency level: equal calls at once, under every candidate."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import CandidateSummary, SlotGains
from harness.analysis.statistics import compare
from harness.analysis.verdict import simplicity

__all__ = ["gains_of"]


def gains_of(candidates: Sequence[CandidateSummary], shares: int = 1) -> SlotGains | None:
    """Compare, for every pipeline, the fastest candidate with the simplest; None where there is nothing to compare.

    The mean over all levels, which decides between the candidates, hides that slots gain at some and cost at others.
    `shares`: as of `harness.analysis.verdict.decide`.
    """
    if len(candidates) < 2:
        return None
    simplest = min(candidates, key=simplicity)
    levels = []
    for summary in simplest.pipelines:
        times = {
            candidate.name: next(dict(s.time_by_repeat) for s in candidate.pipelines if s.pipeline == summary.pipeline)
            for candidate in candidates
        }
        base = times.pop(simplest.name)
        found = [compare(name, mine, simplest.name, base, len(times) * shares) for name, mine in times.items()]
        best = min((c for c in found if c is not None), key=lambda c: c.ratio, default=None)
        if best is not None:
            levels.append((summary.pipeline, best))
    return SlotGains(simplest.name, tuple(levels)) if levels else None
