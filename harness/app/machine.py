"""What else goes on on this machine: a measurement beside other work is wrong by that."""

from __future__ import annotations

from harness.servers.machine import busy_cores

__all__ = ["others_busy"]

BUSY_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy


def others_busy() -> float | None:
    """Return how many cores other programs keep busy; None where that is too little to matter, or not known."""
    busy = busy_cores()
    return busy if busy is not None and busy > BUSY_CORES else None
