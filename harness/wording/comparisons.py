"""One run against another, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.between import (
    Between,
    BetweenNotice,
    BetweenRow,
    OnlyInOne,
    OtherOrigin,
    UsedServer,
    UsesChanged,
    WorkNotKnown,
)
from harness.core.records import PREDICTED
from harness.runs.changes import Changed
from harness.wording.changes import changed_text
from harness.wording.ratios import interval_of

__all__ = ["UNKNOWN", "BetweenText", "compared", "undecided_text"]

UNKNOWN = ("one repeat", "no data", "not measured")  # verdicts on rows of which not even an interval is known

_SENTENCE = re.compile(r"(?<=\.)\s")


class BetweenText(NamedTuple):
    """What is said of two runs side by side, as plain text."""

    sentence: str  # the verdict
    notices: tuple[str, ...]  # what to know first
    changed: tuple[str, ...]  # what else is different
    method: str  # how it was compared, and what that leaves out


def compared(found: Between) -> BetweenText:
    """Say how one run stands against the other."""
    return BetweenText(
        _sentence(found),
        tuple(_notice(notice, found) for notice in found.notices),
        tuple(_changed(change) for change in found.changed),
        _method(found),
    )


def undecided_text(row: BetweenRow) -> str:
    """Say what is known where nothing is decided: `+98 %, between 12 % less and 345 % more`; else the verdict."""
    found = row.comparison
    if row.verdict in UNKNOWN or found is None:
        return row.verdict
    ends = interval_of(found)
    if ends is None:
        return f"{_signed(found.ratio)}, with an interval too wide to show"
    low, high = ends
    return f"{_signed(found.ratio)}, between {100 * (1 - low):.0f} % less and {100 * (high - 1):.0f} % more"


def _signed(ratio: float) -> str:
    return f"{round(100 * (ratio - 1)) + 0:+d} %"


def _notice(notice: BetweenNotice, found: Between) -> str:
    match notice:
        case WorkNotKnown():
            return (
                "One of the runs is older and does not record its work: only the names of the workloads were compared."
            )
        case OtherOrigin(before, now):
            kinds = f"{found.before} is {before} and {found.now} is {now}: not a like-for-like comparison."
            off = " The ratios show the error of the prediction; `slotwise score` shows it for every figure."
            return kinds + (off if PREDICTED & {before, now} else "")
        case OnlyInOne("neither", candidates):
            return f"Not compared, because neither run has results of them: {', '.join(candidates)}."
        case OnlyInOne(run, candidates):
            return f"Not compared, because only one run has them ({run}): {', '.join(candidates)}."
        case _:
            # Of what is not wrong a sentence; the rest is in the run's report.
            text = notice.text if notice.wrong else _SENTENCE.split(notice.text, maxsplit=1)[0]
            return f"{notice.run}: {text}"


def _changed(change: Changed | UsesChanged) -> str:
    if isinstance(change, Changed):
        return changed_text(change)
    return f'"{change.candidate}" was {_uses(change.before)}, now {_uses(change.now)}'


def _uses(uses: Sequence[UsedServer]) -> str:
    return (
        "; ".join(f"{use.server}: {use.slots} slots, {use.concurrency}, {use.scheduling}" for use in uses) or "not run"
    )


def _sentence(found: Between) -> str:
    before, now, rows = found.before, found.now, found.rows
    groups = [
        f"{word} {', '.join(f'{row.candidate} ({row.path})' for row in those)}"
        for word, those in (
            (word, [row for row in rows if row.verdict == word])
            for word in ("now fails", "slower", "faster", "now works")
        )
        if those
    ]
    said = {
        "regression": f"{now} is worse than {before}",
        "improvement": f"{now} is better than {before}",
        "mixed": f"{now} is better than {before} in some respects and worse in others",
        "equal": f"{now} and {before} are equal within 5 %",
        "not resolvable": f"whether {now} is faster or slower than {before} is not decided",
    }[found.verdict]
    if {row.verdict for row in rows} <= set(UNKNOWN):
        return f"{said}: a verdict needs at least two complete repeats in both."
    groups += [f"{row.candidate} ({row.path}) {undecided_text(row)}" for row in rows if row.verdict == "not resolvable"]
    return f"{said}: {'; '.join(groups)}." if groups else f"{said}."


def _method(found: Between) -> str:
    if found.unpaired is None:
        how = "Paired by repeat: both runs had the same random draws."
    else:
        why = {
            "seeds": "their seeds differ ({} and {})".format(*found.unpaired.seeds),
            "model": "the model's answers decided the branches of jobs",
            "draws": "it is not known whether they had the same random draws",
        }[found.unpaired.why]
        how = f"Not paired, because {why}: Welch's t on logarithms, with a wider interval."
    comparisons = len(found.rows)
    width = 100 * (1 - 0.05 / comparisons)
    shared = "95 % intervals" if comparisons == 1 else f"{width:.1f} % intervals, together 95 % for all {comparisons}"
    return (
        f"{how} {shared}. They cover what varies within the runs, not what changes from one session to the next "
        "(temperature, other programs): check a difference of a few per cent with another run."
    )
