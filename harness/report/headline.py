"""What a report begins with: the recommendation in two sentences, and the three numbers that it rests on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.analysis.model import Analysis, CandidateSummary
from harness.analysis.statistics import Estimate
from harness.units import seconds
from harness.wording.figures import both_text
from harness.wording.said import Said, said
from harness.wording.verdicts import of_those_known

__all__ = ["Cell", "Figure", "answer", "cell_of", "figures", "lead"]


class Figure(NamedTuple):
    """One of the three numbers."""

    label: str
    value: str
    below: tuple[str, ...]
    origin: str


class Cell(NamedTuple):
    """A number, and its intervals."""

    value: str
    below: tuple[str, ...] = ()


def lead(analysis: Analysis, text: Said) -> tuple[str, ...]:
    """Return the recommendation: two sentences, or as many as it takes to say what the trade is."""
    if analysis.choice.kind == "trade":  # the alternatives follow, side by side
        return text.choice[:3]
    if len(text.choice) > 1:
        return text.choice[:2]
    return (*text.choice, *(path.headline for path in text.paths))[:2]


def answer(analysis: Analysis) -> str:
    """Return the recommendation in one sentence, or in as many as there are paths that want different candidates."""
    text, kind = said(analysis), analysis.choice.kind
    if kind == "one path":
        return " ".join((of_those_known(analysis, text.paths[0].headline), *text.choice[1:]))
    return " ".join(text.choice if kind in ("trade", "goals") else text.choice[:1])


def figures(analysis: Analysis) -> list[Figure]:
    """Return the three numbers that the recommendation rests on; fewer where there are none."""
    by_name = {candidate.name: candidate for candidate in analysis.candidates}
    found: list[tuple[str, Estimate | None, Callable[[float], str]]] = []
    last: CandidateSummary | None = None
    for verdict in analysis.paths:
        last = by_name.get(analysis.choice.candidate or verdict.chosen or "") or last
        mine = [s for s in last.pipelines if s.pipeline in verdict.pipelines] if last else []
        for summary in mine[:1]:
            what = "a reply of" if summary.path == "interactive" else "a job of"
            under = f', under "{last.name}"' if last and analysis.choice.candidate is None else ""
            found.append((f"{what} {summary.pipeline}{under}", summary.time, seconds))
            if summary.first_token is not None:
                found.append((f"until the first token of {summary.pipeline}{under}", summary.first_token, seconds))
    if last is not None:
        under = f' under "{last.name}"' if analysis.choice.candidate is None else ""
        found.append((f"all answers together{under}", last.throughput, lambda rate: f"{rate:.1f} tokens/s"))
        found.append((f"everything, from first start to last end{under}", last.makespan, seconds))
    cells = [(label, cell_of(estimate, shown), estimate) for label, estimate, shown in found if estimate is not None]
    return [Figure(label, cell.value, cell.below, estimate.origin) for label, cell, estimate in cells[:3] if estimate]


def cell_of(found: Estimate | None, shown: Callable[[float], str]) -> Cell:
    """Return an estimate as it stands in a table: its value, and its intervals below."""
    if found is None:
        return Cell("–")
    if found.profile_interval is not None:
        return Cell(shown(found.value), both_text(found, shown))
    if found.interval is not None:
        low, high = found.interval
        return Cell(shown(found.value), (f"{shown(low)} to {shown(high)}",))
    return Cell(
        shown(found.value), ("one repeat, no interval" if found.n == 1 else f"no useful interval from {found.n}",)
    )
