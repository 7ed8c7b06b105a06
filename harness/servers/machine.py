"""What this machine has to give: cores, memory, and how much of it others are using right now."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Memory", "busy_cores", "cores", "memory"]

CGROUP = Path("/sys/fs/cgroup")


class Memory(NamedTuple):
    """Bytes; 0 where the system does not say."""

    total_bytes: int
    available_bytes: int


def cores() -> int:
    """Return the cores this process may use: affinity and, in a container, the CPU quota."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        if quota != "max":
            n = min(n, max(1, round(int(quota) / int(period))))
    return n


def memory() -> Memory:
    """Return the memory there is and what can be had of it without swapping, within a container's limit."""
    total = available = 0
    with suppress(OSError, ValueError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        total, available = min(total, limit), min(available, max(0, limit - used))
    return Memory(total, available)


def busy_cores(window_s: float = 0.5) -> float | None:
    """Return how many cores were busy over the next `window_s` seconds; None where that cannot be known."""
    before = _busy_ticks()
    if before is None:
        # macOS: the load average is all there is without other tools; it looks back a minute
        with suppress(OSError):
            return os.getloadavg()[0]
        return None
    began = time.monotonic()
    time.sleep(window_s)
    after = _busy_ticks()
    elapsed = time.monotonic() - began
    if after is None:
        return None
    return max(0, after - before) / os.sysconf("SC_CLK_TCK") / elapsed


def _busy_ticks() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        # user nice system idle iowait irq softirq steal ...; guest time is already in user
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4]
    return None
