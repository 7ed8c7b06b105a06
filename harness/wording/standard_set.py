"""The candidates of a workload that names none, in words: what their names mean, and that there are more."""

from __future__ import annotations

from harness.analysis.model import Analysis
from harness.units import count

__all__ = ["MEANINGS", "meanings_text", "more_ways"]

# By the names that `harness.workload.candidates.standard_set` gives.
MEANINGS = {
    "serial": "one call at a time",
    "window": "as many calls as the server has slots, and the next as soon as one has ended",
    "interactive-first": "a window in which interactive calls overtake batch calls that wait",
    "waves": "as many calls as slots together, and the next ones when all of them have ended",
    "unbounded": "every call at once; the server's own queue decides",
    "split": "a server for interactive calls, and another one for batch calls",
}


def meanings_text(analysis: Analysis) -> str:
    """Say what the names of the standard set mean; "" where the workload names its own candidates."""
    names = [candidate.name for candidate in analysis.candidates]
    if not _standard(analysis):
        return ""
    meanings = "; ".join(f"{name}: {MEANINGS[name]}" for name in names)
    return f"What these names mean: {meanings}. {more_ways(analysis)}."


def more_ways(analysis: Analysis) -> str:
    """Say how few ways were tried and what searches more, without a full stop; "" where the workload names its own."""
    if not _standard(analysis):
        return ""
    return f"{count(len(analysis.candidates), 'standard way')}; slotwise recommend searches more"


def _standard(analysis: Analysis) -> bool:
    """Whether all candidates are of the standard set; those of a search have names of their own."""
    return analysis.run.standard_set and all(candidate.name in MEANINGS for candidate in analysis.candidates)
