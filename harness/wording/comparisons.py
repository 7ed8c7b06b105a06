"""One run against another, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.between import (
    Between,
    BetweenNotice,
    OnlyInOne,
    OtherOrigin,
    UsedServer,
    UsesChanged,
    WorkNotKnown,
)
from harness.runs.changes import Changed
from harness.wording.changes import changed_text

__all__ = ["BetweenText", "compared"]

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


def _notice(notice: BetweenNotice, found: Between) -> str:
    match notice:
        case WorkNotKnown():
            return "One of the runs does not say what its work was (it is older): only the workload's name is equal."
        case OtherOrigin(before, now):
            kinds = f"{found.before} is {before} and {found.now} is {now}: no like with like."
            off = " The ratios say how far the prediction is off; `slotwise score` says it for every figure."
            return kinds + (off if "predicted" in (before, now) else "")
        case OnlyInOne("neither", candidates):
            return f"Candidates that neither could predict or measure, and so not compared: {', '.join(candidates)}."
        case OnlyInOne(run, candidates):
            return f"Candidates only {run}, and so not compared: {', '.join(candidates)}."
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
        "mixed": f"{now} is better than {before} in some and worse in other respects",
        "equal": f"{now} and {before} are equal within 5 %",
        "not resolvable": f"{now} and {before} cannot be told apart",
    }[found.verdict]
    if {row.verdict for row in rows} <= {"one repeat", "no data"}:
        return f"{said}: that takes at least two complete repeats that both have."
    return f"{said}: {'; '.join(groups)}." if groups else f"{said}."


def _method(found: Between) -> str:
    if found.unpaired is None:
        how = "Paired by repeat: both runs faced the same draws."
    else:
        why = {
            "seeds": "their seeds differ ({} and {})".format(*found.unpaired.seeds),
            "model": "the model's answers decided which way jobs went",
            "draws": "it is not known that they faced the same draws",
        }[found.unpaired.why]
        how = f"Not paired, because {why}: Welch's t on logarithms, with a wider interval."
    comparisons = len(found.rows)
    width = 100 * (1 - 0.05 / comparisons)
    shared = "95 % intervals" if comparisons == 1 else f"{comparisons} intervals share the error: {width:.1f} % each"
    return (
        f"{how} {shared}. They hold what varies within the runs, and not what changes from one session to the next "
        "(temperature, other programs): a difference of a few per cent is best seen twice."
    )
