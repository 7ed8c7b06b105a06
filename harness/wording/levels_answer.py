"""The answer of a probe: how many calls at once a server is worth sending, and what each then gets."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from harness.analysis.levels import Level, Levels
from harness.analysis.statistics import EQUIVALENCE
from harness.units import count, is_here, rate, seconds
from harness.wording.answer import Answer, AnswerLine, AnswerPart, AnswerRow, AnswerTable, part, without_empty
from harness.wording.others import at_least
from harness.wording.ratios import more_than
from harness.wording.warnings import layers_text
from harness.workload.schema import ENGINES

__all__ = ["levels_answer", "useful_level"]


def levels_answer(found: Sequence[Levels], machine: str = "", rounds: int = 1) -> Answer:
    """Return the answer on one server or two.

    Args:
        found: the servers' concurrency levels.
        machine: this machine, in words, which is left out where they run elsewhere; "": not known.
        rounds: how often each level was measured.
    """
    whole = [one for one in found if not one.cpu_share] or found  # layers on the CPU are never recommended
    best = max(whole, key=lambda one: useful_level(one).aggregate_tokens_per_s)
    simplest = whole[0]
    equal = _rate(best) <= EQUIVALENCE * _rate(simplest)
    chosen = simplest if equal else best
    models = dict.fromkeys(one.model for one in found if one.model)
    engines = dict.fromkeys(one.engine for one in found if one.engine)
    origins = " and ".join(dict.fromkeys(one.origin for one in found))
    machine = machine if any(is_here(one.url) for one in found) else ""
    basis = (" + ".join(models), " + ".join(engines), machine, f"{origins}, {count(rounds, 'round')}")
    parts = (
        part("Why", *_why(found, chosen, equal=equal)),
        AnswerPart("Do this", tuple(_do(chosen))),
        part("How sure", *_how_sure(chosen, rounds)),
        part("Details", "This command with --full prints every level."),
    )
    return Answer(
        tuple(_warnings(found)),
        _headline(found, chosen),
        tuple(text for text in basis if text),
        _table(found, chosen),
        tuple(one for one in parts if one.lines),
    )


def useful_level(one: Levels) -> Level:
    """Return the first level whose throughput is within 5 % of the best."""
    most = max(row.aggregate_tokens_per_s for row in one.rows)
    return next(row for row in one.rows if row.aggregate_tokens_per_s * EQUIVALENCE >= most)


def _rate(one: Levels) -> float:
    return useful_level(one).aggregate_tokens_per_s


def _headline(found: Sequence[Levels], chosen: Levels) -> str:
    n = useful_level(chosen).concurrent
    if _one_level(chosen):
        which = f'Use "{chosen.label}": only' if len(found) > 1 else "Only"
        return f"{which} one level was measured: add --levels 1,2,4,8."
    which = f'Use "{chosen.label}", ' if len(found) > 1 else ""
    calls = "one call at a time" if n == 1 else f"at most {n} calls at once"
    manner = "serially" if n == 1 else "batched"
    more = "at least " if chosen.slots_at_least else ""
    slots = "" if chosen.slots_found is None else f" ({more}{count(chosen.slots_found, 'slot')})"
    return f"{which}{'send' if which else 'Send'} calls {manner}, {calls}{slots}."


def _one_level(one: Levels) -> bool:
    return len(one.rows) == 1


def _table(found: Sequence[Levels], chosen: Levels) -> AnswerTable:
    several = len(found) > 1
    titles = (("all", "tok/s"), ("tok/s per", "request"), ("wait for", "a turn"))
    columns = [
        (one.label if several and below == "tok/s" else above, below)
        for one in found
        for above, below in (titles[:2] if several else titles)
    ]
    by_level = [{row.concurrent: row for row in one.rows} for one in found]
    best = useful_level(chosen).concurrent
    rows = []
    for concurrent in sorted(set().union(*by_level)):
        cells: list[str] = []
        for levels in by_level:
            row = levels.get(concurrent)
            cells.append(_number(row.aggregate_tokens_per_s if row else None))
            cells.append(_number(row.per_call_tokens_per_s if row else None))
            if not several:
                known = row is not None and row.queue_wait_s is not None
                cells.append(seconds(row.queue_wait_s or 0.0) if row is not None and known else "-")
        label = f"{count(concurrent, 'call')} at once"
        rows.append(AnswerRow(str(concurrent), label, concurrent == best and not _one_level(chosen), tuple(cells)))
    return without_empty(AnswerTable(tuple(columns), tuple(rows)))


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0f}" if value >= 99.5 else f"{value:.1f}"


def _why(found: Sequence[Levels], chosen: Levels, *, equal: bool) -> Iterator[str]:
    one, at = chosen.rows[0], useful_level(chosen)
    if at.concurrent > one.concurrent:
        gain = more_than(at.aggregate_tokens_per_s / one.aggregate_tokens_per_s)
        yield f"{at.concurrent} at once reach {rate(at.aggregate_tokens_per_s)} in all, {gain} {one.concurrent}."
    else:
        what = "One call at a time reaches" if one.concurrent == 1 else f"{one.concurrent} calls at once reach"
        nothing = "" if _one_level(chosen) else ", and more at once gain nothing"
        yield f"{what} {rate(one.aggregate_tokens_per_s)}{nothing}."
    if chosen.rises:
        yield f"Throughput still rises at {at.concurrent}, the most that was tried."
    each = at.per_call_tokens_per_s
    alone = one.per_call_tokens_per_s
    if each and alone and at.concurrent > one.concurrent:
        fewer = "alone it gets" if one.concurrent == 1 else f"of {one.concurrent} each gets"
        yield f"Each call then gets {rate(each)}; {fewer} {rate(alone)}."
    if len(found) > 1:
        other = next(levels for levels in found if levels is not chosen)
        if equal:
            yield f'"{other.label}" reaches the same within 5 %.'
        else:
            more = more_than(_rate(chosen) / _rate(other))
            yield f'"{chosen.label}" reaches {more} "{other.label}".'


def _do(chosen: Levels) -> Iterator[AnswerLine]:
    n = useful_level(chosen).concurrent
    if _one_level(chosen):
        return
    yield AnswerLine(f"limit = asyncio.Semaphore({n})  # around each call", code=True)
    if chosen.url and chosen.rises:
        yield AnswerLine("More calls at once may gain more. To find out:")
        yield AnswerLine(f"slotwise sweep --server {shlex.quote(chosen.url)}{_model(chosen)}", code=True)
    elif chosen.kind in ENGINES and not chosen.url and (chosen.rises or (chosen.slots_found or n) < n):
        yield AnswerLine("More slots may gain more. To find out:")
        yield AnswerLine(f"slotwise sweep --engine {chosen.kind}{_model(chosen)}", code=True)


def _model(one: Levels) -> str:
    return f" --model {shlex.quote(one.model)}" if one.model else ""


def _how_sure(chosen: Levels, rounds: int) -> Iterator[str]:
    if rounds == 1:
        yield "One round of each level: no interval. --rounds 5 takes medians of five."
    else:
        yield f"Medians of {rounds} rounds."
    yield "All calls were alike. slotwise run measures a whole pipeline."
    if chosen.origin != "measured":
        yield "Emulated: the server was simulated. No engine was measured."


def _warnings(found: Sequence[Levels]) -> Iterator[str]:
    for one in found:
        if one.cpu_share:
            yield layers_text(one.label, one.cpu_share)
    for one in found:
        if one.others:
            yield f"Others used {one.label} meanwhile: its slots and figures are not reliable."
    for one in found:
        if one.slots_at_least:
            yield at_least(one.label, one.slots_found or 0)
        elif None not in (one.slots_asked, one.slots_found) and one.slots_asked != one.slots_found:
            yield f"{one.label} has {count(one.slots_found or 0, 'slot')}, not the {one.slots_asked} requested."
        if short := sum(row.short_answers for row in one.rows):
            yield f"{one.label}: {count(short, 'answer')} stopped before the requested length."
