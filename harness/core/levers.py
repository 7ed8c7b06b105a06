"""Settings of the engine whose effect the server model knows."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.step_costs import StepCosts

__all__ = ["AS_MADE", "Levers", "with_levers"]


class Levers(NamedTuple):
    """None: as the profile was made."""

    ram_cache: bool | None = None  # llama.cpp's cache of prompts in main memory; it cannot be turned on unmeasured
    kv_unified: bool | None = None  # one KV cache for all slots


AS_MADE = Levers()


def with_levers(costs: StepCosts, levers: Levers) -> StepCosts:
    """Return the costs of the same server with other settings."""
    if levers.ram_cache is False:
        costs = costs._replace(ram_cache=None)
    if levers.kv_unified is not None and costs.passes is not None:
        costs = costs._replace(passes=costs.passes._replace(unified=levers.kv_unified))
    return costs
