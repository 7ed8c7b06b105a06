"""One run against another, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.analysis.between import (
    Between,
    BetweenNotice,
    BetweenRow,
    OnlyInOne,
    OtherOrigin,
    UsesChanged,
    WorkNotKnown,
)
from harness.analysis.goals import JudgedGoal
from harness.analysis.summaries import UsedServer
from harness.core.records import PREDICTED, Origin
from harness.runs.changes import Changed
from harness.units import seconds
from harness.wording.changes import changed_text
from harness.wording.figures import GOAL_LABELS, listed
from harness.wording.goals import state_text
from harness.wording.ratios import interval_of

__all__ = ["UNKNOWN", "BetweenText", "compared", "undecided_text"]

UNKNOWN = ("one repeat", "no data", "not measured")  # verdicts on rows of which not even an interval is known

_SENTENCE = re.compile(r"(?<=\.)\s")


class BetweenText(NamedTuple):
    """What is said of two runs side by side, as plain text."""

    sentence: str  # the verdict
    notices: tuple[str, ...]  # what to know first
    answers: tuple[str, ...]  # what each run recommends, and whether its goals are met
    changed: tuple[str, ...]  # what else is different
    method: str  # how it was compared, and what that leaves out


def compared(found: Between) -> BetweenText:
    """Say how one run stands against the other."""
    return BetweenText(
        _sentence(found),
        tuple(_notice(notice, found) for notice in found.notices),
        (*_recommended(found), *_goals(found)),
        tuple(_changed(change) for change in _together(found.changed)),
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


def _together(found: Sequence[Changed | UsesChanged]) -> list[Changed | UsesChanged]:
    """Return what is different, once where it is the same on several servers."""
    kept: dict[str, Changed | UsesChanged] = {}  # values may be tables, so by how they are written
    for change in found:
        key = repr(change._replace(server="") if isinstance(change, Changed) else change)
        same = kept.get(key)
        if isinstance(same, Changed) and isinstance(change, Changed):
            change = same._replace(server=f"{same.server}, {change.server}")
        kept[key] = change
    return list(kept.values())


def _changed(change: Changed | UsesChanged) -> str:
    if isinstance(change, Changed):
        return changed_text(change)
    return f'"{change.candidate}" was {_uses(change.before)}, now {_uses(change.now)}'


def _uses(uses: Sequence[UsedServer]) -> str:
    return (
        "; ".join(f"{use.server}: {use.slots} slots, {use.concurrency}, {use.scheduling}" for use in uses) or "not run"
    )


def _recommended(found: Between) -> Iterator[str]:
    """Say what both runs recommend, or how that changed; not where neither had a choice."""
    was, is_ = found.answers
    if was.candidates == is_.candidates == 1 or not (was.recommended or is_.recommended):
        return
    if was.recommended == is_.recommended:
        yield f'The recommendation is the same: "{was.recommended}".'
        return
    before, now = (f'"{one.recommended}"' if one.recommended else "none" for one in found.answers)
    yield f"The recommendation changed from {before} to {now}."


def _goals(found: Between) -> Iterator[str]:
    """Say which goals each run meets with what it recommends."""
    sides = [{(one.goal.pipeline, one.goal.goal): one for one in answer.goals} for answer in found.answers]
    for pipeline, kind in dict.fromkeys((*sides[0], *sides[1])):
        judged = [side.get((pipeline, kind)) for side in sides]
        wanted_s = {one.goal.wanted_s for one in judged if one is not None}
        same = len(wanted_s) == 1 and None not in judged
        within = f" within {seconds(*wanted_s)}" if same else ""
        before, now = (
            _state(one, answer.origin, when, same)
            for one, answer, when in zip(judged, found.answers, ("before", "now"), strict=True)
        )
        yield f"Goal, {GOAL_LABELS[kind]} of {pipeline}{within}: {before}, {now}."


def _state(judged: JudgedGoal | None, origin: Origin, when: str, same: bool) -> str:
    """Say how a run stands to a goal: `met before (323 ms)`."""
    if judged is None:
        return f"none {when}"
    goal, state = judged.goal, f"{state_text(judged.state, origin)} {when}"
    wanted = "" if same else f"wanted {seconds(goal.wanted_s)}"
    known = ", ".join(text for text in ("" if goal.found_s is None else seconds(goal.found_s), wanted) if text)
    return f"{state} ({known})" if known else state


def _sentence(found: Between) -> str:
    before, now, rows = found.before, found.now, found.rows
    groups = [
        f"{listed([f'{row.candidate} ({row.what})' for row in those])} {one if len(those) == 1 else several}"
        for verdict, one, several in (
            ("now fails", "fails now", "fail now"),
            ("slower", "is slower", "are slower"),
            ("faster", "is faster", "are faster"),
            ("now works", "works now", "work now"),
        )
        if (those := [row for row in rows if row.verdict == verdict])
    ]
    said = {
        "regression": f"{now} is worse than {before}",
        "improvement": f"{now} is better than {before}",
        "mixed": f"{now} is better than {before} in some respects and worse in others",
        "equal": f"{now} and {before} are equal within 5 %",
        "not resolvable": f"Whether {now} is faster or slower than {before} is not decided",
    }[found.verdict]
    if {row.verdict for row in rows} <= set(UNKNOWN):
        return f"{said}: {_unknown(found)}."
    open_ = [row for row in rows if row.verdict == "not resolvable"]
    if found.verdict == "equal" and open_:  # of first tokens alone
        said += " in their times"
    form = "{} ({}) {}" if found.verdict == "not resolvable" else "{} ({}) is not decided ({})"
    groups += [form.format(row.candidate, row.what, undecided_text(row)) for row in open_]
    return f"{said}: {'; '.join(groups)}." if groups else f"{said}."


def _unknown(found: Between) -> str:
    """Say what lacks where no row of a comparison has an interval."""
    rows = [row for row in found.rows if row.verdict == "one repeat"]
    if not rows:
        return "no candidate has times in both runs"
    was, is_ = (min(row.repeats[side] for row in rows) for side in (0, 1))
    has = f"{found.before} has {was} and {found.now} has {is_}"
    return f"a verdict needs two or more complete repeats in both, and {has}"


def _of_both(found: Between) -> str:
    """Say how many repeats were compared, where the runs have different numbers of them."""
    known = [(row.comparison.n, max(row.repeats)) for row in found.rows if row.comparison is not None]
    if all(n == most for n, most in known):
        return ""
    least, most = min(n for n, _ in known), max(n for n, _ in known)
    return f", over the {least if least == most else f'{least} to {most}'} that both runs have"


def _method(found: Between) -> str:
    if found.unpaired is None:
        how = f"Paired by repeat{_of_both(found)}: both runs had the same random draws."
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
