"""The answer of a comparison of machines: which of them carries a workload, and which of these is the cheapest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.machines import MachineComparison, MachineResult, MachineTime
from harness.analysis.statistics import EQUIVALENCE, Estimate, ends_of
from harness.core.records import Path
from harness.units import count, seconds, size
from harness.wording.answer import Answer, AnswerLine, AnswerPart, AnswerRow, AnswerTable, part
from harness.wording.beside import beside_brief, runs_text
from harness.wording.estimates import NOT_RESOLVABLE, UNKNOWN, make_sure, model_asked
from harness.wording.figures import GOAL_LABELS, ends_text, listed, quoted
from harness.wording.goals import MET_WHEN_IDLE, goal_column, goals_cell, state_text

__all__ = ["FIRSTS", "carries_text", "first_token_text", "machines_answer", "time_text", "what_of"]

FIRSTS = "token"  # below the head of a column of first tokens
_CARRIES = {
    "yes": "met",
    "no": "missed",
    "when idle": MET_WHEN_IDLE,
    "no goal": "none",
    "too large": "no room",
    "not predicted": "-",
}


def machines_answer(found: MachineComparison) -> Answer:
    """Return the answer: the machine to take first, then what speaks for it and what is not sure."""
    best = found.best
    origins = " and ".join(dict.fromkeys(_word(one) for one in found.machines if one.times))
    parts = (
        part("Why", *_why(found)),
        AnswerPart("How sure", tuple(_how_sure(found))),
    )
    return Answer(
        tuple(_warnings(found)),
        _headline(found, best),
        tuple(filter(None, (found.workload, count(len(found.machines), "machine"), origins))),
        _table(found, best),
        tuple(one for one in parts if one.lines),
    )


def time_text(found: MachineTime) -> str:
    """Write a time with the interval over draws and profile: `1.12 s (1.02 s to 1.31 s)`."""
    return _with_ends(found.shown)


def first_token_text(found: MachineTime) -> str:
    """Write the first token of a reply in the same way."""
    return _with_ends(found.first_shown)


def _with_ends(found: Estimate | None) -> str:
    if found is None:
        return "-"
    ends = ends_of(found)
    return f"{seconds(found.value)} ({UNKNOWN if ends is None else ends_text(ends, seconds)})"


def carries_text(one: MachineResult) -> str:
    """Say whether a machine meets the goals, for a table."""
    return state_text("not certain", one.origin) if one.carries == "not certain" else _CARRIES[one.carries]


def what_of(path: Path) -> str:
    """Name what takes the time on a path."""
    return "reply" if path == "interactive" else "job"


def _word(one: MachineResult) -> str:
    return "estimated" if one.origin == "estimated" else f"predicted ({one.origin} profile)"


def _headline(found: MachineComparison, best: MachineResult | None) -> str:
    if best is None:
        if any(one.carries == "not certain" for one in found.machines):
            return "No machine surely meets every goal: some intervals reach over a goal."
        if beside := next((one.beside[0] for one in found.machines if one.carries == "when idle"), None):
            return f"No machine meets every goal while {runs_text(beside)}."
        if found.with_goals:
            return "No machine meets every goal."
        return "None of these machines can be recommended."
    if not found.with_goals:
        return f"{best.name} {_fastest(found)}: {_times(best)}."
    carrying = found.carrying
    if len(carrying) == 1:
        return f"Only {best.name} meets every goal: {_times(best)}."
    if all(one.price is not None for one in carrying):
        return f"{best.name} is the cheapest that meets every goal: {_times(best)}."
    names = listed([one.name for one in carrying])
    return f"{names} meet every goal; {best.name} {_fastest(found)}."


def _fastest(found: MachineComparison) -> str:
    return "is the fastest" if not found.as_fast else "is the fastest by its middle figure"


def _times(one: MachineResult) -> str:
    return listed([f"{t.pipeline} {what_of(t.path)} {seconds(t.shown.value)}" for t in one.times if t.shown])


def _table(found: MachineComparison, best: MachineResult | None) -> AnswerTable | None:
    known = [one for one in found.machines if one.times]
    if not known:
        return None
    columns, firsts = [("", "candidate")], _with_first_tokens(known)
    for time in known[0].times:
        columns.append((time.pipeline, what_of(time.path)))
        columns += [(f"{time.pipeline} first", FIRSTS)] if time.pipeline in firsts else []
    goals = [goal for time in known[0].times for goal in time.goals]
    columns += [goal_column(goals)] if goals else []
    columns += [("memory", "needed"), ("memory", "there")]
    prices = any(one.price is not None for one in known)
    columns += [("", "price")] if prices else []
    rows = []
    for one in (one for one in found.ranked if one.times):
        cells = [one.candidate]
        for time in one.times:
            cells.append(_value(time.shown))
            cells += [_value(time.first_shown)] if time.pipeline in firsts else []
        cells += [_goals(one)] if goals else []
        cells += ["-" if n is None else size(n) for n in (one.needed_bytes, one.there_bytes)]
        cells += ["-" if one.price is None else f"{one.price:g}"] if prices else []
        rows.append(AnswerRow(one.name, one.name, one is best, tuple(cells)))
    return AnswerTable(tuple(columns), tuple(rows))


def _with_first_tokens(machines: Sequence[MachineResult]) -> set[str]:
    """Return the pipelines of whose replies a first token is known."""
    return {time.pipeline for one in machines for time in one.times if time.first_token is not None}


def _value(found: Estimate | None) -> str:
    return "-" if found is None else seconds(found.value)


def _goals(one: MachineResult) -> str:
    """Say in a cell which goals are met; of several how many, where the machine could carry the workload at all."""
    judged = [judgement for time in one.times for judgement in time.judgements]
    if one.carries == "too large":
        return carries_text(one)
    return goals_cell(judged, one.origin, any(beside.hidden for beside in one.beside))


def _why(found: MachineComparison) -> Iterator[str]:
    if not found.with_goals and found.best is not None:
        yield "The workload has no goal, so every machine carries it. Give its pipeline one: goal: {p50_s: 2}."
    unpriced = [one.name for one in found.carrying if one.price is None]
    if found.with_goals and len(found.carrying) > 1 and unpriced:
        yield f'Which is the cheapest is not known: give their prices (--price "{unpriced[0]}=NUMBER").'
        if priced := [one for one in found.carrying if one.price is not None]:
            yield f"Of those with a price {min(priced, key=lambda one: one.price or 0.0).name} is the cheapest."
    for one in found.machines:
        for time in one.times:
            for goal, state, _ in time.judgements:
                if state == "missed" and one.carries == "no" and goal.found_s is not None:
                    label = f"{GOAL_LABELS[goal.goal]} of {time.pipeline}"
                    yield f"{one.name}: {label} is {seconds(goal.found_s)}, goal {seconds(goal.wanted_s)}."
        for beside in one.beside:
            if beside.best_s * EQUIVALENCE < beside.beside_s:
                times = f"{seconds(beside.best_s)} instead of {seconds(beside.beside_s)}"
                yield f'{one.name}: with "{beside.best}" replies take {times} while {runs_text(beside)}.'
        if one.why_not:
            yield f"{one.name} is not predicted: {one.why_not}" + ("" if one.why_not.endswith(".") else ".")
        if one.carries == "too large" and one.needed_bytes is not None and one.there_bytes is not None:
            yield f"{one.name}: {size(one.needed_bytes)} of memory are needed, {size(one.there_bytes)} are there."


def _how_sure(found: MachineComparison) -> Iterator[AnswerLine]:
    known, best = [one for one in found.machines if one.times], found.best
    for one in known:
        if one.carries == "not certain":
            said = NOT_RESOLVABLE if one.origin == "estimated" else "Not certain"
            cheaper = best is not None and None not in (one.price, best.price) and (one.price or 0) < (best.price or 0)
            yield AnswerLine(f"{said} whether {one.name} meets every goal{', and it is cheaper' if cheaper else ''}.")
    if best is not None and found.as_fast:
        close = (best, *found.as_fast)
        said = NOT_RESOLVABLE if any(one.origin == "estimated" for one in close) else "Not certain"
        others = listed([one.name for one in found.as_fast]).replace(" and ", " or ")
        yield AnswerLine(f"{said} whether {best.name} or {others} is faster.")
    unknown = [one.name for one in known if any(t.time and ends_of(t.time) is None for t in one.times)]
    if unknown:
        yield AnswerLine(f"{listed(unknown)}: {UNKNOWN}.")
    if any(one.origin == "estimated" for one in known):
        yield AnswerLine(make_sure(model_asked(one.model_asked for one in known if one.origin == "estimated")))
    elif known:
        yield AnswerLine("Predicted by simulation. Nothing was measured on these machines now.")


def _warnings(found: MachineComparison) -> Iterator[str]:
    if found.open_questions:
        yield found.open_questions
    for one in found.machines:
        yield from (f"{one.name}: {beside_brief(beside)}" for beside in one.beside)
    if lacking := [one.name for one in found.machines if one.left_out]:
        names = quoted(list(dict.fromkeys(name for one in found.machines for name in one.left_out)))
        yield f"Not predicted, so not tried: {names} on {listed(lacking)}."
    models: Sequence[str] = list(dict.fromkeys(one.model for one in found.machines if one.times))
    if len(models) > 1:
        yield "The machines run different models: they do not do the same work."
    unchecked = [one.name for one in found.machines if one.times and None in (one.needed_bytes, one.there_bytes)]
    if unchecked:
        yield f"Whether it fits into memory is not known for {listed(unchecked)}."
