"""What else goes on on this machine: a measurement beside other work is wrong by that."""

from __future__ import annotations

from typing import Any

from harness.measure.machine import machine_facts
from harness.servers.machine import busy_cores
from harness.units import count

__all__ = ["machine_here", "others_busy"]

BUSY_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy


def others_busy() -> float | None:
    """Return how many cores other programs keep busy; None where that is too little to matter, or not known."""
    busy = busy_cores()
    return busy if busy is not None and busy > BUSY_CORES else None


def machine_here() -> str:
    """Name this machine's processor and its cores, as far as they are known."""
    facts: dict[str, Any] = machine_facts()
    cores = facts.get("cores")
    parts = [str(facts["cpu"])] if "cpu" in facts else []
    return ", ".join([*parts, *([count(cores, "core")] if isinstance(cores, int) else [])])
