"""What machine this is: recorded with every run, because no number here holds on another one."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__
from harness.servers.accelerator import accelerators, accelerators_text
from harness.servers.machine import cores, memory
from harness.units import count, size

__all__ = ["machine_facts", "machine_name"]

PACKAGES = ("langchain-ollama", "ollama", "httpx", "xllamacpp", "asyncio-throttle", "networkx")


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, accelerators, memory, operating system and the versions that matter. No host name."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        **({"accelerator": accelerators_text(devices)} if (devices := accelerators()) else {}),
        "memory_bytes": memory().total_bytes or None,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "slotwise": __version__,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def machine_name() -> str:
    """Return what a profile of this machine says that it is: processor, cores, memory, operating system."""
    facts = machine_facts()
    of_memory = f", {size(facts['memory_bytes'])} of memory" if facts["memory_bytes"] else ""
    return f"{facts['cpu']}, {count(int(facts['cores']), 'core')}{of_memory}, {facts['os']}"


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
