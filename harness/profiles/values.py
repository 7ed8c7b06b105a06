"""The values of a fit: where each begins, of what size a change of it is, what it is where it costs nothing.

`values` are named as in a profile: a table as `step_s.4`, everything else by its key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from harness.core.levers import RAM_CACHE_BYTES
from harness.core.step_costs import PassCosts, RamCache, StepCosts
from harness.profiles.replay import Observed

__all__ = [
    "EXTRAS",
    "LEAST_S",
    "NULLS",
    "PASS_BY_PASS",
    "RAM_CACHE_TOKENS",
    "costs_of",
    "null_of",
    "scale_of",
    "start_of",
    "with_kv_bytes",
]

# Values that are left at what costs nothing where the data do not resolve them.
NULLS = {
    "prompt_step_s": 0.0,
    "prompt_context_s": 0.0,
    "context_s_per_token": 0.0,
    "mixed_factor": 1.0,
    "save_s": 0.0,
    "save_s_per_token": 0.0,
    "handover_s": 0.0,
    "tokenize_s_per_token": 0.0,
}
EXTRAS = ("save_s", "save_s_per_token", "handover_s", "tokenize_s_per_token")  # what a server may cost besides
PASS_BY_PASS = {"prompt_context_s": 0.0, "mixed_factor": 1.0}  # not fitted besides: a pass with a prompt is one more
LEAST_S = 1e-9  # a step costs something
ANEW = 0.3  # to begin with: what a pass of another shape costs more, in steps
SEQUENCES = (1, 2)  # of which what a pass of another shape costs more is fitted; with more it is that of the last
RAM_CACHE_TOKENS = RAM_CACHE_BYTES // (128 << 10)  # where it is not known what a token takes: as of an 8B model


def null_of(name: str) -> float | None:
    """Return what a value is where it costs nothing; None where it always costs something."""
    return NULLS.get(name)


def start_of(bursts: Sequence[Sequence[Observed]], knots: Sequence[int], *, passes: bool = False) -> dict[str, float]:
    """Closed forms to begin with: lone calls for step, prefill and overhead; bursts of n calls for n slots."""
    rates: dict[int, list[float]] = defaultdict(list)
    prefills, overheads = [], []
    for burst in bursts:
        for call in burst:
            if call.decode_s and call.output_tokens > 1:
                rates[len(burst)].append(call.decode_s / (call.output_tokens - 1))
        if len(burst) == 1:
            call = burst[0]
            if call.prefill_s:
                prefills.append(call.prefill_s / call.prompt_tokens)
            overheads.append(max(0.0, call.wall_s - (call.prefill_s or 0.0) - (call.decode_s or 0.0)))
    if not overheads or not rates[1]:
        raise ValueError("there is no call by itself with two or more tokens to begin with")
    start: dict[str, float] = {}
    for n in sorted(knots):
        known = rates[n] or [start[f"step_s.{max(m for m in knots if m < n)}"]]
        start[f"step_s.{n}"] = median(known)
    if passes:
        for n in SEQUENCES[: max(knots)]:
            start[f"changed_s.{n}"] = ANEW * start["step_s.1"]
            # On one slot a pass of another shape is always followed by the same one: the two cost one sum.
            start[f"settle_s.{n}"] = ANEW * start["step_s.1"] if max(knots) > 1 else 0.0
    return start | {
        "prefill_s_per_token": median(prefills) if prefills else 0.0,
        "prompt_step_s": 0.0,
        "prompt_context_s": 0.0,
        "context_s_per_token": 0.0,
        "mixed_factor": 1.0,
        "overhead_s": median(overheads),
        **dict.fromkeys(EXTRAS, 0.0),
    }


def scale_of(name: str, start: Mapping[str, float]) -> float:
    """Return of what size a change of this value is."""
    step_s = start["step_s.1"]
    prefill_s = max(start["prefill_s_per_token"], step_s / 100)
    sizes = {
        "prefill_s_per_token": prefill_s,
        "prompt_step_s": step_s,
        "prompt_context_s": prefill_s / 500,
        "context_s_per_token": step_s / 500,
        "mixed_factor": 1.0,
        "overhead_s": max(start["overhead_s"], step_s / 10),
        "save_s_per_token": prefill_s,
        "tokenize_s_per_token": prefill_s / 10,
    }
    return sizes.get(name, step_s)


def costs_of(
    values: Mapping[str, float],
    slots: int,
    batch: int,
    load_s: float,
    *,
    passes: bool = False,
    saving: bool = False,
) -> StepCosts:
    """Return the costs that fitted values make.

    Args:
        values: by name.
        slots, batch: of the server.
        load_s: of the overhead, what lies before the queue.
        passes: whether steps cost pass by pass.
        saving: there is a RAM cache, also where saving costs nothing.
    """

    def table(key: str) -> tuple[float, ...]:
        times_s = [0.0] * (slots + 1)
        ordered = sorted(n for n in range(1, slots + 1) if f"{key}.{n}" in values)
        for n in range(1, slots + 1):
            times_s[n] = values[f"{key}.{n if n in ordered else ordered[-1]}"]
        for low, high in pairwise(ordered):
            slope_s = (times_s[high] - times_s[low]) / (high - low)
            for n in range(low + 1, high):
                times_s[n] = times_s[low] + slope_s * (n - low)
        return tuple(times_s)

    overhead_s = values["overhead_s"]
    save_s, save_s_per_token = values.get("save_s", 0.0), values.get("save_s_per_token", 0.0)
    before_s = min(overhead_s, (overhead_s + load_s) / 2)
    return StepCosts(
        decode_s=table("step_s"),
        prefill=((1, values["prefill_s_per_token"]),),
        prompt_step_s=values["prompt_step_s"],
        prompt_context_s=values["prompt_context_s"],
        context_s_per_token=values["context_s_per_token"],
        mixed_factor=values["mixed_factor"],
        batch_tokens=batch,
        before_s=before_s,
        after_s=overhead_s - before_s,
        handover_s=values.get("handover_s", 0.0),
        tokenize_s_per_token=values.get("tokenize_s_per_token", 0.0),
        passes=PassCosts(table("changed_s"), table("settle_s"), batch) if passes else None,
        ram_cache=RamCache(save_s, save_s_per_token, RAM_CACHE_TOKENS)
        if saving or save_s or save_s_per_token
        else None,
    )


def with_kv_bytes(costs: StepCosts, kv_bytes: float | None) -> StepCosts:
    """Return the costs with a RAM cache, where there is one, of as many tokens as it has room for.

    Args:
        costs: of a server.
        kv_bytes: of a token's keys and values; None = not known.
    """
    if costs.ram_cache is None or not kv_bytes:
        return costs
    return costs._replace(ram_cache=costs.ram_cache._replace(tokens=max(1, int(RAM_CACHE_BYTES // kv_bytes))))
