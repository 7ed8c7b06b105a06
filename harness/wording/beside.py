"""What is said of replies that come while batch jobs run, where the median over all hides how long these take."""

from __future__ import annotations

from collections.abc import Collection

from harness.analysis.beside import slower_beside
from harness.analysis.facts import BesideWork
from harness.analysis.model import Analysis
from harness.units import seconds
from harness.wording.figures import listed

__all__ = ["beside_brief", "faster_beside", "runs_text"]


def runs_text(found: BesideWork) -> str:
    """Say what runs beside the replies: `digest runs`."""
    return f"{listed(found.others)} {'runs' if len(found.others) == 1 else 'run'}"


def faster_beside(analysis: Analysis, others: Collection[str]) -> str:
    """Say as a clause that the recommended candidate is taken before these for such replies; "": it is not for that."""
    found = [one for one in analysis.notices if isinstance(one, BesideWork)]
    steps = slower_beside(found)
    mine = steps.get(analysis.choice.candidate or "", 0)
    if not any(steps.get(name, 0) > mine for name in others):
        return ""
    return f"{found[0].pipeline} replies are faster while {runs_text(found[0])}"


def beside_brief(found: BesideWork) -> str:
    """Say in a line how long such replies take."""
    times = f"{seconds(found.beside_s)}, not {seconds(found.all_s)}"
    goal = ": goal missed" if found.hidden else ""
    return f"While {runs_text(found)}, a {found.pipeline} reply takes {times}{goal}."
