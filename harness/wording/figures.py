"""Figures, lists of names and kinds of time in words: what sentences are put together from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.model import Analysis, RunHead
from harness.analysis.statistics import NO_WIDTH, Comparison, Estimate
from harness.units import count, is_here, seconds, size
from harness.wording.estimates import UNKNOWN

__all__ = [
    "GOAL_LABELS",
    "PART_LABELS",
    "both_text",
    "ends_text",
    "engine_name",
    "estimate_text",
    "fact_text",
    "listed",
    "machine_text",
    "quoted",
    "ratio_inside",
    "ratio_text",
    "repeats_text",
    "server_text",
    "shown_interval",
]

GOAL_LABELS = {"first_token_s": "first token", "p50_s": "median reply", "p95_s": "95th percentile of the reply"}

# Kinds of time, by the fields of `harness.analysis.timesplit.Parts`.
PART_LABELS = {
    "router_wait_s": "router wait",
    "throttle_wait_s": "throttle wait",
    "queue_wait_s": "server queue",
    "load_s": "load",
    "slot_setup_s": "slot set-up",
    "prefill_s": "prefill",
    "thinking_s": "thinking",
    "decode_s": "decode",
    "client_s": "client",
    "tool_s": "tool delay",
    "harness_s": "harness",
    "not_attributed_s": "not attributed",
}


def estimate_text(found: Estimate) -> str:
    """Write a time with its interval: `13.1 s (12.8 s to 13.4 s)`, or both: `13.1 s (±20 ms draws, ±0.3 s profile)`."""
    if found.profile_interval is not None:
        return f"{seconds(found.value)} ({', '.join(both_text(found, seconds))})"
    if found.interval is None:
        return f"{seconds(found.value)} ({_no_interval(found.n)})"
    return f"{seconds(found.value)} ({ends_text(found.interval, seconds)})"


def shown_interval(found: Estimate) -> bool:
    """Tell whether a time is written with an interval: there is one, and it has a width."""
    known = [ends for ends in (found.interval, found.profile_interval) if ends is not None]
    return not all(math.isclose(*ends, rel_tol=NO_WIDTH) for ends in known)


def ends_text(ends: tuple[float, float], shown: Callable[[float], str]) -> str:
    """Write an interval: `12.8 s to 13.4 s`; a narrow one as `±0.02 %`; of one without width nothing is known."""
    low, high = map(shown, ends)
    if low != high:
        return f"{low} to {high}"
    if math.isclose(*ends, rel_tol=NO_WIDTH):
        return UNKNOWN
    return f"±{50 * (ends[1] - ends[0]) / ends[0]:.1g} %"


def both_text(found: Estimate, shown: Callable[[float], str]) -> tuple[str, ...]:
    """Write half of each interval, over draws and over the profile: `±20 ms draws`, `±0.3 s profile`."""
    intervals = (("draws", found.interval), ("profile", found.profile_interval))
    known = [(over, ends) for over, ends in intervals if ends is not None and not math.isclose(*ends, rel_tol=NO_WIDTH)]
    return tuple(f"±{shown((ends[1] - ends[0]) / 2)} {over}" for over, ends in known) or (UNKNOWN,)


def ratio_text(found: Comparison) -> str:
    """Write a ratio with its interval: `1.25 times (1.21 to 1.30)`; predicted: over draws, then over the profile."""
    if found.interval is not None and found.profile_interval is not None:
        draws, profile = (f"{low:.2f} to {high:.2f}" for low, high in (found.interval, found.profile_interval))
        return f"{found.ratio:.2f} times ({draws} over draws, {profile} over the profile)"
    if found.interval is None:
        return f"{found.ratio:.2f} times" + (f" ({_no_interval(found.n)})" if found.n > 1 else "")
    return f"{found.ratio:.2f} times ({ends_text(found.interval, '{:.2f}'.format)})"


def ratio_inside(found: Comparison) -> str:
    """Write the same where it stands in brackets itself: `1.25 times, 1.21 to 1.30`."""
    return ratio_text(found).replace(" (", ", ", 1).removesuffix(")")


def _no_interval(n: int) -> str:
    return "one repeat: no interval" if n == 1 else f"no useful interval from {n} repeats"


def repeats_text(analysis: Analysis) -> str:
    """Count the repeats that the figures rest on: `5 repeats`; where some are not complete, `1 of 2 repeats`."""
    complete = [candidate.repeats for candidate in analysis.candidates if candidate.repeats]
    least, most = min(complete, default=0), max(complete, default=0)
    asked = max(analysis.run.repeats, most)
    if least >= asked:
        return count(asked, "repeat")
    return f"{least if least == most else f'{least} to {most}'} of {count(asked, 'repeat')}"


def fact_text(key: str, value: object) -> str:
    """Write a fact of a machine: bytes as a size, packages with their versions."""
    if isinstance(value, Mapping | tuple):
        pairs = value.items() if isinstance(value, Mapping) else value
        return ", ".join(f"{name} {version}" for name, version in pairs)
    return size(value) if key.endswith("_bytes") and isinstance(value, (int, float)) else str(value)


def machine_text(run: RunHead) -> str:
    """Name the accelerator, the processor and its cores, as far as they are known; "": all servers are elsewhere."""
    if run.servers and not any(is_here(server.url) for server in run.servers):
        return ""
    machine = dict(run.machine)
    facts = [str(machine[key]) for key in ("accelerator", "cpu") if key in machine]
    if isinstance(cores := machine.get("cores"), int):
        facts.append(count(cores, "core"))
    return ", ".join(facts)


def server_text(server: str, machine: str | None) -> str:
    """Name a server and the machine that it stands on, where that has a name: `g0 on gpu0`."""
    return f"{server} on {machine}" if machine else server


def quoted(names: Sequence[str]) -> str:
    """List names in quotation marks: `"a", "b" and "c"`."""
    return listed([f'"{name}"' for name in names])


def listed(texts: Sequence[str]) -> str:
    """List texts: `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def engine_name(text: str) -> str:
    """Name an engine as people call it, without its version."""
    name = text.partition(" ")[0].lower()
    return {"xllamacpp": "llama.cpp", "ollama": "Ollama"}.get(name, text)
