"""What slots gain at each concurrency level, in words."""

from __future__ import annotations

from harness.analysis.model import SlotGains
from harness.analysis.statistics import Comparison
from harness.wording.figures import ratio_text

__all__ = ["gains_text"]


def gains_text(gains: SlotGains) -> str:
    """Say for every level which candidate is the fastest, against the simplest; what several have in common once."""
    grouped: dict[str, list[str]] = {}
    for level, best in gains.levels:
        grouped.setdefault(_said(best), []).append(level)
    parts = "; ".join(f"{', '.join(levels)}: {said}" for said, levels in grouped.items())
    return f'Gain of more slots over "{gains.simplest}": {parts}.'


def _said(best: Comparison) -> str:
    if best.ratio >= 1:
        return "nothing"
    unsure = {"unresolved": ", not resolved", "equivalent": ", equal within 5 %"}.get(best.relation, "")
    return f'"{best.candidate}" takes {ratio_text(best)}{unsure}'
