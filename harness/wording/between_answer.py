"""The answer of a comparison of runs: what became faster or slower, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.analysis.between import Between, BetweenRow, OwnNotice, RunVerdict, verdict_of
from harness.analysis.summaries import Summary
from harness.units import seconds
from harness.wording.answer import WIDTH, Answer, AnswerRow, AnswerTable, part
from harness.wording.comparisons import UNKNOWN, compared, undecided_text
from harness.wording.figures import engine_name, listed
from harness.wording.ratios import Subject, between

__all__ = ["between_answer", "warnings_between"]

_WORSE, _BETTER = ("now fails", "slower"), ("faster", "now works")
# What makes figures wrong, in a few words; the full comparison has what the runs say themselves.
_BRIEFLY = {
    "busy machine": "the machine was busy, so times are too long",
    "busy at start": "the machine was busy when it began",
    "other calls": "others used its servers, so times are too long",
    "others working": "others used its servers, so times are too long",
    "others at start": "others used its servers when it began",
    "layers": "layers of a model were on the CPU, so times are too long",
}
_LONGEST = 260  # of what is different, in an answer
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
        what = f"{changed[0].candidate} ({changed[0].what}) {changed[0].verdict}"
    if verdict == "improvement" and (open_ := [row for _, row in rows if row.verdict in ("not resolvable", *UNKNOWN)]):
        what += f"; {len(open_)} of {len(rows)} not decided"
    headline = _HEADLINES.get(verdict, "").format(what=what)
    if verdict == "equal" and any(row.verdict == "not resolvable" for _, row in rows):
        headline = "Equal within 5 % in all times; first tokens are not decided."
    parts = (
        part("Why", *_why(found)),
        part("Each run", *_each_run(found)),
        part("Do this", *_do(verdict, rows)),
        part("How sure", *_how_sure(found, rows)),
        part("Details", "This command with --full prints intervals and what else is different."),
    )
    return Answer(
        warnings_between(found),
        _undecided(rows) if verdict == "not resolvable" else headline,
        tuple(filter(None, _basis(runs))),
        _table(found, rows),
        tuple(one for one in parts if one.lines),
    )


def warnings_between(found: Sequence[Between]) -> tuple[str, ...]:
    """Say in a line each what to know before the answer: first what makes figures wrong, and of which runs."""
    runs = list(dict.fromkeys(name for one in found for name in (one.before, one.now)))
    own = [notice for one in found for notice in one.notices if isinstance(notice, OwnNotice)]
    busy = {notice.run for notice in own if notice.kind == "busy machine"}
    wrong: dict[str, list[str]] = {}
    for notice in own:
        if notice.kind in _BRIEFLY and not (notice.kind == "busy at start" and notice.run in busy):
            wrong.setdefault(_BRIEFLY[notice.kind], []).append(notice.run)
    first = [f"{_runs(list(dict.fromkeys(those)), runs)}: {text}." for text, those in wrong.items()]
    rest = [
        text
        for one in found
        for notice, text in zip(one.notices, compared(one).notices, strict=True)
        if not (isinstance(notice, OwnNotice) and notice.kind in _BRIEFLY)
    ]
    return tuple(dict.fromkeys((*first, *rest)))


def _runs(those: Sequence[str], runs: Sequence[str]) -> str:
    """Name some of the runs; all of them without their names."""
    if len(those) < len(runs):
        return listed(those)
    return "Both runs" if len(runs) == 2 else "All runs"


def _undecided(found: Sequence[tuple[Between, BetweenRow]]) -> str:
    """Say in a line that nothing is decided, and how large the difference may be where it is largest."""
    rows = [row for _, row in found if row.figure == "time"]
    open_ = [row for row in rows if row.verdict == "not resolvable"]
    if not open_:
        return f"Not decided: {_lacking(found)}."
    largest = max(open_, key=lambda row: abs(math.log(row.comparison.ratio)) if row.comparison else 0.0)
    said = undecided_text(largest)
    if len(rows) == 1:
        return f"Not decided: {said}."
    several = f"{len(open_)} of {len(rows)}, " if len(open_) > 1 else ""
    named = f"Not decided: {several}{largest.candidate} ({largest.what}) {said}."
    return named if len(named) <= WIDTH else f"Not decided: {len(open_)} of {len(rows)}, {said}."


def _lacking(found: Sequence[tuple[Between, BetweenRow]]) -> str:
    """Say why not even an interval is known."""
    verdicts = {row.verdict for _, row in found}
    if "one repeat" in verdicts:
        single = list(dict.fromkeys(name for one, row in found for name in _single(one, row)))
        if not single:
            return "the runs have one complete repeat in common, which decides nothing"
        return f"{listed(single)} {'has' if len(single) == 1 else 'have'} one complete repeat, which decides nothing"
    return "no trial has finished" if "not measured" in verdicts else "there are no times"


def _single(one: Between, row: BetweenRow) -> list[str]:
    """Return the runs that have one repeat of what a row is about."""
    if row.verdict != "one repeat":
        return []
    return [name for name, n in zip((one.before, one.now), row.repeats, strict=True) if n < 2]


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
            f"{row.candidate}, {row.what}" + (f", {one.now}" if len(found) > 1 else ""),
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
            yield f"What else is different in {one.now}: {_first_of(changed)}."


def _first_of(changed: Sequence[str]) -> str:
    """Join what is different, as much as a few lines hold."""
    shown = next((n for n in range(len(changed), 1, -1) if len("; ".join(changed[:n])) <= _LONGEST), 1)
    more = f"; and {len(changed) - shown} more (--full)" if shown < len(changed) else ""
    return f"{'; '.join(changed[:shown])}{more}"


def _each_run(found: Sequence[Between]) -> Iterator[str]:
    for one in found:
        yield from (f"{one.now}: {text}" if len(found) > 1 else text for text in compared(one).answers)


def _do(verdict: RunVerdict, rows: Sequence[tuple[Between, BetweenRow]]) -> Iterator[str]:
    if verdict in ("regression", "mixed"):
        yield "Check what else is different, and repeat the slower run on an idle machine."
    elif verdict == "not resolvable" or any(row.verdict in ("not resolvable", *UNKNOWN) for _, row in rows):
        yield f"Run {_shorter(rows)} with more repeats: slotwise run FILE --repeats N."
    else:
        yield "Nothing: keep the newer run as the baseline (--baseline FILE)."


def _shorter(rows: Sequence[tuple[Between, BetweenRow]]) -> str:
    """Name the runs whose repeats are the fewer, where something is not decided: more of the other would not help."""
    fewer, runs = set[str](), set[str]()
    for one, row in rows:
        if row.verdict in ("not resolvable", *UNKNOWN):
            was, is_ = row.repeats
            fewer |= {name for name, n in ((one.before, was), (one.now, is_)) if n == min(was, is_)}
            runs |= {one.before, one.now}
    return listed(sorted(fewer)) if fewer < runs else "both" if len(runs) == 2 else "all of them"


def _how_sure(found: Sequence[Between], rows: Sequence[tuple[Between, BetweenRow]]) -> Iterator[str]:
    known = [(row, row.comparison) for _, row in rows if row.comparison is not None and row.comparison.interval]
    if known:
        row, widest = max(known, key=lambda pair: abs(pair[1].ratio - 1))
        subject = Subject(f"{row.candidate} ({row.what})")
        said = f"{subject.takes(widest.ratio)}{between(widest)}"
        said = subject.against(widest) if widest.relation == "equivalent" else said
        said = f"{subject.text} {undecided_text(row)}" if row.verdict == "not resolvable" else said
        yield f"The largest change, with its 95 % interval: {said}."
    yield compared(found[0]).method.partition(". ")[0] + "."
