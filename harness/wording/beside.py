"""What is said of replies that come while batch jobs run, where the median over all hides how long these take."""

from __future__ import annotations

from harness.analysis.facts import BesideWork
from harness.units import seconds
from harness.wording.figures import listed

__all__ = ["beside_brief", "runs_text"]


def runs_text(found: BesideWork) -> str:
    """Say what runs beside the replies: `digest runs`."""
    return f"{listed(found.others)} {'runs' if len(found.others) == 1 else 'run'}"


def beside_brief(found: BesideWork) -> str:
    """Say in a line how long such replies take."""
    times = f"{seconds(found.beside_s)}, not {seconds(found.all_s)}"
    goal = ": goal missed" if found.hidden else ""
    return f"While {runs_text(found)}, a {found.pipeline} reply takes {times}{goal}."
