"""When a measurement that ends as soon as enough is known is looked at, and what that costs.

Who looks often enough finds a difference in noise. So it is looked at after 3 repeats, and each time when there are
half as many more, and the error that is allowed is shared among the looks: look k gets 1 / (k (k + 1)) of it, which
adds up to all of it however often is looked (a Bonferroni bound; docs/explanation/design.md).
"""

from __future__ import annotations

import math
from collections import Counter

from harness.runs.model import Run

__all__ = ["FIRST_LOOK", "least_repeats", "look_at", "looks_of", "next_look", "shares_of"]

FIRST_LOOK = 3  # repeats: two say too little of their spread to tell anything apart
_MORE = 1.5  # times as many repeats, until it is looked again


def next_look(repeats: int) -> int:
    """Return after how many repeats it is looked again, where it was looked after these."""
    return math.ceil(_MORE * repeats)


def look_at(repeats: int) -> int:
    """Return which look one after these repeats is, from 1: they are due after 3, 5, 8, 12, 18, ... repeats.

    Between two of them it is the one to come. A run that ended there and goes on has that look a second time.
    """
    look, due = 1, FIRST_LOOK
    while due < repeats:
        look, due = look + 1, next_look(due)
    return look


def shares_of(looks: int) -> int:
    """Return among how many the error is shared at the last of this many looks; 1 where it was measured without any."""
    return looks * (looks + 1) if looks else 1


def least_repeats(run: Run) -> int:
    """Return how many repeats every candidate has completed."""
    done = Counter(trial.candidate for trial in run.trials if trial.complete)
    return min((done[name] for name in run.candidates), default=0)


def looks_of(run: Run) -> int:
    """Return how often a run was looked at; 0: its number of repeats was fixed before it began."""
    return look_at(least_repeats(run)) if "until" in run.options else 0
