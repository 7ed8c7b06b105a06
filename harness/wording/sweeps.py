"""A sweep over slot counts, in words."""

from __future__ import annotations

from harness.analysis.sweep import Gain, Sweep, SweepRow, gain_of, saturation
from harness.units import count, percent, rate, seconds, size

__all__ = ["signed", "sweep_sentences"]


def sweep_sentences(sweep: Sweep) -> tuple[str, ...]:
    """Say where it saturates, why it ended, and what the memory allows."""
    said = [_where(sweep), _why(sweep), _memory(sweep)]
    what = "slots" if sweep.varied == "slots" else "calls"
    if sweep.varied == "calls" and sweep.slots_found is not None:
        said.insert(0, f"{count(sweep.slots_found, 'slot')} found: it generated that many calls at the same time.")
    fewer = [row for row in sweep.measured if row.together is not None and row.together < row.slots]
    if sweep.varied == "slots" and fewer and sweep.ended != "held":
        found = ", ".join(f"{row.together} of {row.slots}" for row in fewer)
        said.append(f"Not all {what} were seen busy at the same time ({found}): other programs may have interfered.")
    short = sum(one.short_answers for row in sweep.measured for one in row.rounds)
    if short:
        said.append(f"{count(short, 'answer')} stopped before the requested length; rates count the tokens generated.")
    return tuple(sentence for sentence in said if sentence)


def _where(sweep: Sweep) -> str:
    what = "slot" if sweep.varied == "slots" else "call"
    if not sweep.measured:
        return ""
    found = saturation(sweep)
    if found is None:
        best = max(sweep.measured, key=lambda row: row.throughput.value if row.throughput else 0.0)
        last = sweep.measured[-1].gain
        rising = best is sweep.measured[-1] and last is not None and last.low is not None and last.low > 1
        rises = "still rises" if rising else "is not shown to be flat"
        return f"Throughput {rises} at the last level: at most {_rates(best)} with {count(best.slots, what)}."
    if sweep.ended == "queue":
        over = sweep.rows[-1]
        return f"At {count(found.slots, what)} at once: {_rates(found)}. With {over.slots}: {_rates(over)}."
    gains = [
        f"{row.slots} {_percent(gain_of(row.rounds, found.rounds))}"
        for row in sweep.rows[sweep.rows.index(found) + 1 :]
    ]
    with_ = "" if sweep.varied == "slots" else " at once"
    return (
        f"Throughput stops rising at {count(found.slots, what)}{with_}: {_rates(found)}. More gain nothing: "
        f"{', '.join(gains)} (95 % intervals, below 5 %)."
    )


def _rates(row: SweepRow) -> str:
    all_of_it = rate(row.throughput.value) if row.throughput else "unknown"
    each = f", {rate(row.per_call_tokens_per_s)} each" if row.per_call_tokens_per_s is not None else ""
    first = f", first token after {seconds(row.first_token_s)}" if row.first_token_s is not None else ""
    return f"{all_of_it} in all{each}{first}"


def _percent(gain: Gain) -> str:
    if gain.low is None or gain.high is None:
        return signed(gain.ratio)
    return f"{signed(gain.ratio)} ({signed(gain.low)} to {signed(gain.high)})"


def signed(ratio: float) -> str:
    """Format a ratio as what it adds: `+33.1 %`."""
    more = (ratio - 1) * 100
    return f"{more:+.1f} %" if abs(more) < 100 else f"{more:+.0f} %"


def _why(sweep: Sweep) -> str:
    last = sweep.rows[-1] if sweep.rows else None
    match sweep.ended:
        case "interrupted":
            return "Interrupted before the end."
        case "flat":
            return ""
        case "queue":
            return f"More than {count(sweep.slots_found or 0, 'call')} at once only wait in its queue."
        case "most":
            return f"It ended at {sweep.most}, the most that was requested (--most)."
    assert last is not None
    what = count(last.slots, "slot" if sweep.varied == "slots" else "call")
    match sweep.ended:
        case "accelerator":
            share = last.accelerated or 0.0
            return f"With {what} only {percent(share)} of the model is on the accelerator ({_on(last)})."
        case "held":
            return f"{what} requested, {last.together} generated at the same time: the server does not provide more."
        case "memory":
            return f"{what}: not tried, {last.failure}."
        case _:
            return f"{what}: {last.failure}."


def _on(row: SweepRow) -> str:
    return f"{size(row.vram_bytes or 0)} of {size(row.size_bytes or 0)}"


def _memory(sweep: Sweep) -> str:
    footprint, context, slots = sweep.footprint, sweep.context_tokens, sweep.memory_slots
    if footprint is None or context is None or not footprint.kv_bytes_per_token or footprint.weights_bytes is None:
        return "Its memory cannot be predicted: the server does not report the size of weights and KV cache."
    slot_bytes = context * footprint.kv_bytes_per_token
    each = f"weights {size(footprint.weights_bytes)}, each slot of {context} tokens {size(slot_bytes)}"
    how = (
        "at most, f16, from the header: some layers keep only a window" if footprint.slides else "f16, from the header"
    )
    if slots is None or sweep.available_bytes is None:
        return f"Memory: {each} ({how})."
    bound = "at least" if footprint.slides else "at most"
    room = f"the {size(sweep.available_bytes)} that were available hold {bound} {count(slots, 'slot')}"
    return f"Memory: {each} ({how}); {room}, not counting buffers of the engine."
