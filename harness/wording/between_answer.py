"""The answer of a comparison of runs: what became faster or slower, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.analysis.between import Between, BetweenRow, RunVerdict, Summary, verdict_of
from harness.units import seconds
from harness.wording.answer import WIDTH, Answer, AnswerRow, AnswerTable, part
from harness.wording.comparisons import UNKNOWN, compared, undecided_text
from harness.wording.figures import engine_name
from harness.wording.ratios import Subject, between

__all__ = ["between_answer"]

_WORSE, _BETTER = ("now fails", "slower"), ("faster", "now works")
_HEADLINES = {
    "regression": "Worse: {what}.",
    "improvement": "Better: {what}.",
    "mixed": "Mixed: {what}.",
    "equal": "Equal within 5 %.",
}


def between_answer(found: Sequence[Between], runs: Sequence[Summary]) -> Answer:
    """Return the answer on one run or several against another; `runs` are all of them."""
    rows = [(one, row) for one in found for row in one.rows]
    changed = [row for _, row in rows if row.verdict in (*_WORSE, *_BETTER)]
    verdict = verdict_of([row for _, row in rows])
    what = ", ".join(
        f"{len(those)} of {len(rows)} {word}"
        for word in (*_WORSE, *_BETTER)
        if (those := [row for row in changed if row.verdict == word])
    )
    if len(changed) == 1:
        what = f"{changed[0].candidate} ({changed[0].path}) {changed[0].verdict}"
    if verdict == "improvement" and (open_ := [row for _, row in rows if row.verdict in ("not resolvable", *UNKNOWN)]):
        what += f"; {len(open_)} of {len(rows)} not decided"
    warnings = tuple(notice for one in found for notice in compared(one).notices)
    parts = (
        part("Why", *_why(found)),
        part("Do this", *_do(verdict, rows)),
        part("How sure", *_how_sure(found, rows)),
        part("Details", "This command with --full prints intervals and what else is different."),
    )
    return Answer(
        warnings,
        _undecided([row for _, row in rows]) if verdict == "not resolvable" else _HEADLINES[verdict].format(what=what),
        tuple(filter(None, _basis(runs))),
        _table(found, rows),
        tuple(one for one in parts if one.lines),
    )


def _undecided(rows: Sequence[BetweenRow]) -> str:
    """Say in a line that nothing is decided, and how large the difference may be where it is largest."""
    open_ = [row for row in rows if row.verdict == "not resolvable"]
    if not open_:
        return {
            "one repeat": "Not decided: one repeat decides nothing.",
            "not measured": "Not decided: no trial has finished.",
        }.get(next((row.verdict for row in rows if row.verdict in UNKNOWN), ""), "Not decided: there are no times.")
    largest = max(open_, key=lambda row: abs(math.log(row.comparison.ratio)) if row.comparison else 0.0)
    said = undecided_text(largest)
    if len(rows) == 1:
        return f"Not decided: {said}."
    several = f"{len(open_)} of {len(rows)}, " if len(open_) > 1 else ""
    named = f"Not decided: {several}{largest.candidate} ({largest.path}) {said}."
    return named if len(named) <= WIDTH else f"Not decided: {len(open_)} of {len(rows)}, {said}."


def _basis(runs: Sequence[Summary]) -> Iterator[str]:
    """Say what the runs ran on: what they have in common once."""
    servers = [server for run in runs for server in run.run.servers]
    yield " + ".join(dict.fromkeys(server.model for server in servers if server.model)) or "no model"
    # Of a prediction the version says `model of NAME`.
    versions = (server.version.removeprefix("model of ").partition(" ")[0] for server in servers)
    yield " + ".join(dict.fromkeys(engine_name(version) for version in versions if version))
    yield " / ".join(dict.fromkeys(str(run.run.machine["cpu"]) for run in runs if "cpu" in run.run.machine))
    yield " and ".join(dict.fromkeys(run.run.origin for run in runs))


def _table(found: Sequence[Between], rows: Sequence[tuple[Between, BetweenRow]]) -> AnswerTable:
    columns = (("", "before"), ("", "now"), ("", "change"), ("", "verdict"))
    shown = [
        AnswerRow(
            row.candidate,
            f"{row.candidate}, {row.path}" + (f", {one.now}" if len(found) > 1 else ""),
            row.verdict in (*_WORSE, *_BETTER),
            (_time(row.before_s), _time(row.now_s), _change(row), row.verdict),
        )
        for one, row in rows
    ]
    order = {"now fails": 0, "slower": 1, "faster": 2, "now works": 3}
    verdicts = [row.verdict for _, row in rows]
    ranked = sorted(zip(verdicts, shown, strict=True), key=lambda pair: order.get(pair[0], 4))
    return AnswerTable(columns, tuple(row for _, row in ranked))


def _time(value_s: float | None) -> str:
    return "-" if value_s is None else seconds(value_s)


def _change(row: BetweenRow) -> str:
    return "-" if row.comparison is None else f"{round(100 * (row.comparison.ratio - 1), 1) + 0.0:+.1f} %"


def _why(found: Sequence[Between]) -> Iterator[str]:
    for one in found:
        changed = compared(one).changed
        if changed:
            yield f"What else is different in {one.now}: {'; '.join(changed)}."


def _do(verdict: RunVerdict, rows: Sequence[tuple[Between, BetweenRow]]) -> Iterator[str]:
    if verdict in ("regression", "mixed"):
        yield "Check what else is different, and repeat the slower run on an idle machine."
    elif verdict == "not resolvable" or any(row.verdict in ("not resolvable", *UNKNOWN) for _, row in rows):
        yield "Run both with more repeats: slotwise run FILE --repeats N."
    else:
        yield "Nothing: keep the newer run as the baseline (--baseline FILE)."


def _how_sure(found: Sequence[Between], rows: Sequence[tuple[Between, BetweenRow]]) -> Iterator[str]:
    known = [(row, row.comparison) for _, row in rows if row.comparison is not None and row.comparison.interval]
    if known:
        row, widest = max(known, key=lambda pair: abs(pair[1].ratio - 1))
        subject = Subject(f"{row.candidate} ({row.path})")
        said = f"{subject.takes(widest.ratio)}{between(widest)}"
        said = subject.against(widest) if widest.relation == "equivalent" else said
        yield f"The largest change, with its 95 % interval: {said}."
    yield compared(found[0]).method.partition(". ")[0] + "."
