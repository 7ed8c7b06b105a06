"""A profile in words: what it is of, what it does not know, and what makes it sure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.profiles.figures import Known
from harness.profiles.schema import HeldOut, Profile
from harness.units import count, percent, seconds, size
from harness.wording.estimates import UNKNOWN, make_sure

__all__ = [
    "beside",
    "error_text",
    "known_text",
    "misfit",
    "origin_text",
    "to_make_sure",
    "typical_error_text",
    "unknown_parts",
]

_ORIGINS = {
    "measured": "measured with Slotwise",
    "estimated": "estimated from the machine's data sheet and the model's size; nothing was measured",
    "published": "published by others",
    "assumed": "assumed",
}


def origin_text(profile: Profile) -> str:
    """Say where its numbers come from."""
    return _ORIGINS[profile.origin]


def known_text(found: Known | None, unit: str) -> str:
    """Write a figure with its interval: `133 (131 to 136) tok/s`; seconds as times."""
    if found is None:
        return "not known"
    if unit == "s":
        ends = found.interval
        between = UNKNOWN if ends is None else f"{seconds(ends[0])} to {seconds(ends[1])}"
        return f"{seconds(found.value)} ({between})"
    between = UNKNOWN if found.interval is None else f"{_rate(found.interval[0])} to {_rate(found.interval[1])}"
    return f"{_rate(found.value)} ({between})"


def _rate(value: float) -> str:
    """Write three digits, and never an exponent."""
    return f"{float(f'{value:.3g}'):.0f}" if value >= 1000 else f"{value:.3g}"


def typical_error_text(profile: Profile) -> str:
    """Write how far figures of an estimate are off in the median, from the surest kind to the least: `9 to 24 %`.

    A normal error is below 0.6745 of its standard deviation in half of all cases. "" where it keeps none.
    """
    kept = profile.slots[str(profile.slot_counts[-1])].standard_error
    off = [0.6745 * error for name, error in kept.items() if name != "overhead_s"]
    if not off:
        return ""
    least, most = (percent(end) for end in (min(off), max(off)))
    return most if least == most else f"{least.removesuffix(' %')} to {most}"


def misfit(profile: Profile) -> str:
    """Say that the model's weights do not fit into the machine; "" where they do, or it is not known."""
    weights, there = profile.memory.model_bytes, profile.memory.machine_bytes
    if weights is None or there is None or weights <= there:
        return ""
    return (
        f"The model does not fit: {size(weights)} of weights, {size(there)} of memory. These figures are as if it did."
    )


def error_text(held: HeldOut | None) -> str:
    """Write the error on calls that were not fitted."""
    if held is None:
        return "not known"
    calls = count(held.calls, "call")
    return f"{percent(held.median_error)} (median of {calls}), {percent(held.worst_error)} at worst"


def beside(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield what else it knows, each with its name."""
    if profile.load_s is not None:
        yield "model load", seconds(profile.load_s)
    memory = profile.memory
    if memory.model_bytes is not None:
        yield "weights", size(memory.model_bytes)
    if memory.slot_bytes is not None and memory.context_tokens:
        yield "a slot", f"{size(memory.slot_bytes)} for {memory.context_tokens} tokens of context"
    if memory.machine_bytes is not None:
        yield "memory there", size(memory.machine_bytes)
    for busy, factor in (profile.contention or {}).items():
        yield f"{busy} servers", f"each step takes {factor:.2f} times as long while all are busy"
    if profile.embedding is not None:
        yield "embedding", f"{profile.embedding.model}: {seconds(profile.embedding.request_s)} a request"


def unknown_parts(profile: Profile) -> tuple[str, ...]:
    """Name what it does not know."""
    settings = (*profile.slots.values(), *(profile.half or {}).values())
    lacking = {
        "what reading a prompt costs": any(
            one.prefill_s_per_token is None and one.prefill_table_s is None for one in settings
        ),
        "what a longer context costs": any(one.context_s_per_token is None for one in settings),
        "what a call costs besides": any(one.before_s is None or one.after_s is None for one in settings),
        "how two busy servers slow each other": not profile.contention,
        "how long the model takes to load": profile.load_s is None,
        "what memory the model takes": profile.memory.model_bytes is None,
        "what memory the machine has": profile.memory.machine_bytes is None,
        "how many tokens a text has": profile.text is None,
        "what embedding costs": profile.embedding is None,
        "how sure its figures are": not any(one.standard_error or one.replicates for one in settings),
    }
    return tuple(what for what, is_lacking in lacking.items() if is_lacking)


def to_make_sure(profile: Profile) -> str:
    """Say in one line what to measure to make it sure."""
    model = profile.model_id or "NAME"
    if profile.origin == "estimated":
        return make_sure(model)
    if profile.origin == "measured":
        return f"To check it on that machine: slotwise score FILE --profile {profile.name}"
    return f"To make it sure, on that machine: slotwise calibrate http://127.0.0.1:11434 --model {model}"
