"""The answer of a sweep: how many slots pay on this machine, for each model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.sweep import Sweep, SweepRow, saturation
from harness.units import count, seconds, size
from harness.wording.answer import WIDTH, Answer, AnswerLine, AnswerPart, AnswerRow, AnswerTable, part, without_empty
from harness.wording.sweeps import signed, sweep_sentences
from harness.wording.warnings import layers_text

__all__ = ["sweep_answer"]


def sweep_answer(sweeps: Sequence[Sweep], machine: str = "") -> Answer:
    """Return the answer on one model or several; `machine` is that they ran on, in words, "" where it is not known."""
    known = [sweep for sweep in sweeps if sweep.measured]
    if not known:
        said = part("Why", *(sentence for sweep in sweeps for sentence in sweep_sentences(sweep)))
        headline = "No number of slots can be recommended: nothing was measured."
        return Answer((), headline, (machine,), None, (said,) if said.lines else ())
    first = known[0]
    models = " + ".join(dict.fromkeys(sweep.model for sweep in known))
    engines = " + ".join(dict.fromkeys(sweep.engine for sweep in known if sweep.engine))
    rounds = count(len(first.measured[0].rounds), "round")
    basis = (models, engines, machine, f"{first.origin}, {rounds}")
    parts = (
        part("Why", *(text for sweep in known for text in sweep_sentences(sweep)[:1])),
        AnswerPart("Do this", tuple(_do(known))),
        part("How sure", *_how_sure(known)),
        part("Details", "This command with --full prints intervals, memory and why it ended."),
    )
    cut = tuple(
        f"Interrupted: {sweep.model} was to be tried with more." for sweep in sweeps if sweep.ended == "interrupted"
    )
    shown = tuple(one for one in parts if one.lines)
    return Answer(
        (*_layers(known), *cut), _headline(known), tuple(text for text in basis if text), _table(known), shown
    )


def _best(sweep: Sweep) -> SweepRow:
    """Return the row to take: where throughput saturates, else the one with most; none with layers on the CPU."""
    found, whole = saturation(sweep), [row for row in sweep.measured if not row.cpu_share]
    if found is not None and (not whole or found in whole):
        return found
    return max(whole or sweep.measured, key=lambda row: row.throughput.value if row.throughput else 0.0)


def _layers(known: Sequence[Sweep]) -> Iterator[str]:
    """Say from how many slots on layers are on the CPU: more slots x context than the accelerator holds."""
    for sweep in known:
        if found := next((row for row in sweep.measured if row.cpu_share), None):
            what = count(found.slots, "slot") if sweep.varied == "slots" else sweep.model
            yield layers_text(f"{sweep.model}, {what}" if sweep.varied == "slots" else what, found.cpu_share)


def _headline(known: Sequence[Sweep]) -> str:
    if len(known) == 1:
        (sweep,) = known
        n, settled = _best(sweep).slots, saturation(sweep) is not None
        now = "" if settled else "For now, "
        manner = "serially" if n == 1 else "batched"
        if sweep.varied == "calls":
            text = f"{now}send calls {manner}, {'one at a time' if n == 1 else f'at most {n} at once'}."
        else:
            text = f"{now}run {manner}: {count(n, 'slot')} (OLLAMA_NUM_PARALLEL={n})."
        return text[0].upper() + text[1:]
    text = ", ".join(f"{sweep.model} with {count(_best(sweep).slots, 'slot')}" for sweep in known)
    return f"Run {text}." if len(text) + 5 <= WIDTH else f"Run each of {len(known)} models with the slots marked below."


def _table(known: Sequence[Sweep]) -> AnswerTable:
    slots = known[0].varied == "slots"
    columns = [("all", "tok/s"), ("tok/s per", "request"), ("first", "token"), ("gain over", "row above")]
    columns += [("memory", "predicted")] if slots else []
    rows = []
    for sweep in known:
        for row in sweep.measured:
            cells = [
                _number(row.throughput.value if row.throughput else None),
                _number(row.per_call_tokens_per_s),
                "-" if row.first_token_s is None else seconds(row.first_token_s),
                "-" if row.gain is None else signed(row.gain.ratio),
            ]
            cells += ["-" if row.needed_bytes is None else size(row.needed_bytes)] if slots else []
            what = count(row.slots, "slot" if slots else "call")
            label = f"{sweep.model}, {what}" if len(known) > 1 else what
            rows.append(AnswerRow(f"{sweep.model}/{row.slots}", label, row is _best(sweep), tuple(cells)))
    return without_empty(AnswerTable(tuple(columns), tuple(rows)))


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0f}" if value >= 99.5 else f"{value:.1f}"


def _do(known: Sequence[Sweep]) -> Iterator[AnswerLine]:
    for sweep in known:
        n = _best(sweep).slots
        if sweep.varied == "calls":
            yield AnswerLine(f"limit = asyncio.Semaphore({n})  # around each call", code=True)
            continue
        context = f" OLLAMA_CONTEXT_LENGTH={sweep.context_tokens}" if sweep.context_tokens else ""
        if len(known) > 1:
            yield AnswerLine(f"{sweep.model}:")
        yield AnswerLine(f"OLLAMA_NUM_PARALLEL={n}{context} ollama serve", code=True)


def _how_sure(known: Sequence[Sweep]) -> Iterator[str]:
    for sweep in known:
        if saturation(sweep) is None:
            yield f"{sweep.model}: more {sweep.varied} may still gain something."
    yield "All calls were alike. slotwise run measures a whole pipeline."
