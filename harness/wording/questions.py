"""What is not settled yet, and what would settle it, in words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from harness.analysis.facts import MeasuredUntil, OpenQuestion
from harness.units import about, count
from harness.wording.figures import listed

__all__ = ["at_most_text", "open_text", "until_text"]

_MOST = 3  # questions that are named
_MARGIN = 1.25  # of the time that is offered: repeats needed are an estimate, and servers have to start
_GOALS = {"first_token_s": "first-token goal", "p50_s": "median goal"}


def open_text(questions: Sequence[OpenQuestion]) -> str:
    """Name questions, the first three of them."""
    named = [_question(question) for question in questions[:_MOST]]
    more = [f"{len(questions) - _MOST} more"] if len(questions) > _MOST else []
    return "; ".join([*named, *more])


def _question(question: OpenQuestion) -> str:
    where = listed(question.pipelines)
    if question.against:
        return f'"{question.candidate}" against "{question.against}" on {where}'
    return f'whether "{question.candidate}" meets the {_GOALS.get(question.goal, "goal")} of {where}'


def at_most_text(expected_s: float) -> str:
    """Write the time to allow for what is expected to take this long, as `--at-most` takes it: `15m`."""
    return f"{max(1, math.ceil(_MARGIN * expected_s / 60))}m"


def until_text(found: MeasuredUntil) -> str:
    """Say whether a run that was to go on until every question is settled came so far, and what would settle them."""
    repeats = count(found.repeats, "repeat")
    looked = f" This was checked {count(found.looks, 'time')}, so the intervals are wider."
    if found.interrupted:
        start = f"Interrupted after {repeats}, before every question was settled."
    elif not found.open:
        return f"Every question is settled after {repeats}.{looked}"
    else:
        start = f"Not settled after {repeats}{f' within {found.at_most}' if found.at_most else ''}."
    still = f" Still open: {open_text(found.open)}." if found.open else ""
    return f"{start}{still}{_further(found)}{looked if found.repeats > 1 else ''}"


def _further(found: MeasuredUntil) -> str:
    needed = [question.needed for question in found.open]
    more = f": slotwise run --resume {shlex.quote(found.resume)} --until resolved" if found.resume else ""
    if not needed:
        return f" To go on{more}." if more else ""
    if found.repeats < 2:  # nothing is known of how far repeats spread
        return f" At least 3 repeats are needed to settle anything{more}."
    known = [n for n in needed if n is not None]
    if len(known) < len(needed):
        return " Not even 1000 repeats would settle all of it."
    if found.more_s is None:
        return f" About {max(known)} repeats would settle it{more}."
    offered = f"{more} --at-most {at_most_text(found.more_s)}" if more else ""
    return f" About {max(known)} repeats would settle it, {about(found.more_s)} more{offered}."
