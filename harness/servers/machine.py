"""What this machine has to give: cores, memory, and how much of it others are using right now."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = [
    "CpuUse",
    "Memory",
    "busy_cores",
    "cores",
    "cpu_use",
    "descendants_rss_bytes",
    "memory",
    "other_cores",
    "threads_for",
]

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


def threads_for(asked: int | Literal["half"] | None) -> int:
    """Return the engine threads that a server is started with: as asked, on half of the cores or, with None, on all."""
    return max(1, cores() // 2) if asked == "half" else asked or cores()


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


def descendants_rss_bytes() -> int | None:
    """Return the resident memory of all processes below this one; None where that cannot be known (macOS)."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    with suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError, ValueError, IndexError):  # it ended meanwhile
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(fields[1])
                    pages[int(entry.name)] = int(fields[21])
    if not parents:
        return None
    below = [pid for pid in pages if os.getpid() in _line(pid, parents)[1:]]
    return sum(pages[pid] for pid in below) * os.sysconf("SC_PAGE_SIZE")


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


class CpuUse(NamedTuple):
    """CPU seconds used so far."""

    machine_s: float  # by everybody, on all cores; what a hypervisor took away is in it
    own_s: float  # by this process and its descendants
    at_s: float  # monotonic clock


def cpu_use() -> CpuUse | None:
    """Return what has been used so far; None where that cannot be known (macOS says it only for oneself)."""
    ticks = _busy_ticks()
    if ticks is None:
        return None
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, ValueError, IndexError):  # it ended meanwhile
                # pid (name) state ppid ...; a name can hold anything, so count from its last parenthesis
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                used[int(entry.name)] = sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
    own = [pid for pid in used if os.getpid() in _line(pid, parents)]
    per_s = os.sysconf("SC_CLK_TCK")
    return CpuUse(ticks / per_s, sum(used[pid] for pid in own) / per_s, time.monotonic())


def other_cores(before: CpuUse | None, after: CpuUse | None) -> float | None:
    """Return how many cores others kept busy between two looks; None where it is not known."""
    if before is None or after is None or after.at_s <= before.at_s:
        return None
    others_s = (after.machine_s - before.machine_s) - (after.own_s - before.own_s)
    return max(0.0, others_s) / (after.at_s - before.at_s)


def _line(pid: int, parents: dict[int, int]) -> list[int]:
    """Return a process and those that it descends from."""
    line = [pid]
    while line[-1] in parents and len(line) < 1000:
        line.append(parents[line[-1]])
    return line


def _busy_ticks() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        # user nice system idle iowait irq softirq steal ...; guest time is already in user
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4]
    return None
