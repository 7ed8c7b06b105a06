"""What machine this is: recorded with every run, because no number here holds on another one."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__

__all__ = ["busy_cores", "machine_facts", "memory_bytes"]

PACKAGES = ("langchain-ollama", "ollama", "httpx", "xllamacpp", "asyncio-throttle", "networkx")


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, memory, operating system and the versions that matter. No host name."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": memory_bytes(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "slotwise": __version__,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def memory_bytes() -> int | None:
    """Return the machine's memory, None where it cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def busy_cores(sample_s: float = 0.3) -> float | None:
    """Return how many cores were busy over `sample_s`; None where it cannot be known (not Linux).

    Measure it while nothing of ours runs: what it shows is then somebody else's, and will disturb every figure.
    """
    before = _cpu_ticks()
    if before is None:
        return None
    time.sleep(sample_s)
    after = _cpu_ticks()
    assert after is not None
    busy_s = (after - before) / os.sysconf("SC_CLK_TCK")
    return busy_s / sample_s


def _cpu_ticks() -> int | None:
    """Return the clock ticks that all cores have been busy: /proc/stat's user, nice, system, irq, softirq, steal."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(fields) - fields[3] - fields[4]


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
