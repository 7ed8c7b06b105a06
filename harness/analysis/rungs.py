"""What slots gain at each rung of a ladder: so many equal calls at once, under every candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.model import CandidateSummary
from harness.analysis.statistics import Comparison, compare
from harness.analysis.words import ratio_text

__all__ = ["rungs_text"]


def rungs_text(candidates: Sequence[CandidateSummary], rank: Callable[[CandidateSummary], tuple[int, ...]]) -> str:
    """Say for every pipeline which candidate is the fastest, against the simplest; "" where there is one candidate.

    The mean over all rungs, which decides between the candidates, hides that slots gain at some and cost at others.
    """
    if len(candidates) < 2:
        return ""
    simplest = min(candidates, key=rank)
    told: list[tuple[str, str]] = []  # what is said, of which rung
    for summary in simplest.pipelines:
        times = {
            candidate.name: next(dict(s.time_by_repeat) for s in candidate.pipelines if s.pipeline == summary.pipeline)
            for candidate in candidates
        }
        base = times.pop(simplest.name)
        found = [compare(name, mine, simplest.name, base, len(times)) for name, mine in times.items()]
        best = min((c for c in found if c is not None), key=lambda c: c.ratio, default=None)
        if best is not None:
            told.append((_said(best), summary.pipeline))
    if not told:
        return ""
    grouped: dict[str, list[str]] = {}
    for said, rung in told:
        grouped.setdefault(said, []).append(rung)
    parts = "; ".join(f"{', '.join(rungs)}: {said}" for said, rungs in grouped.items())
    return f'What more slots gain over "{simplest.name}". {parts}.'


def _said(best: Comparison) -> str:
    if best.ratio >= 1:
        return "nothing"
    unsure = {"unresolved": ", not resolvable", "equivalent": ", equal within 5 %"}.get(best.relation, "")
    return f'"{best.candidate}" takes {ratio_text(best)}{unsure}'
