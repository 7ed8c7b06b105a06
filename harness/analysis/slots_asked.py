"""Slots asked for beside slots found, and why they differ."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["MOST_COUNTED", "ONE_SLOT_FAMILIES", "CountedSlots", "SlotsFound", "why_fewer"]

MOST_COUNTED = 64  # beyond this a probe stops looking
# Ollama 0.33, server/sched.go: one slot, whatever OLLAMA_NUM_PARALLEL says.
ONE_SLOT_FAMILIES = frozenset(
    (
        *("mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe"),
        *("nemotron_h", "nemotron_h_moe", "nemotron_h_omni"),
    )
)
Why = Literal["", "family", "embeds", "not restarted", "not known"]


class CountedSlots(NamedTuple):
    """How many calls a server generated at the same time."""

    number: int
    at_least: bool = False  # the calls did not leave together, or the probe stopped looking: there may be more


class SlotsFound(NamedTuple):
    """What a probe found at a server whose slots were set."""

    url: str
    model: str
    asked: int
    found: int
    at_least: bool  # there may be more, as in `CountedSlots`
    why: Why
    family: str = ""


def why_fewer(asked: int, found: int, family: str, can: tuple[str, ...] | None) -> Why:
    """Return why fewer slots were found; "": there are not fewer.

    Args:
        asked: slots.
        found: slots.
        family: of the model, as Ollama names it; "": not known.
        can: the capabilities of the model; None: not known.
    """
    if found >= asked:
        return ""
    if can is not None and can and "completion" not in can and found == 1:
        return "embeds"
    if family in ONE_SLOT_FAMILIES and found == 1:
        return "family"
    return "not restarted" if found == 1 else "not known"
