"""The accelerators of this machine, as its own tools tell: NVIDIA's, AMD's, and Apple's GPU in the processor.

Nothing here is needed to run: a tool that is missing, hangs or says something else means that nothing is known.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

__all__ = [
    "APPLE_SHARE",
    "Accelerator",
    "Ask",
    "accelerators",
    "accelerators_text",
    "find_accelerators",
    "free_bytes",
    "parse_apple",
    "parse_nvidia",
    "parse_rocm",
]

ASK_S = 10.0
MIB = 1 << 20
# Of main memory, what Metal lets a GPU of Apple's take without more ado (recommendedMaxWorkingSetSize: two thirds of up
# to 32 GB, three quarters of more; llama.cpp logs it as it starts). The smaller one is taken: nothing spills for it.
APPLE_SHARE = 2 / 3

# A program and its arguments in; what it printed out, "" where it could not be asked.
Ask = Callable[[Sequence[str]], str]


class Accelerator(NamedTuple):
    """One of them. Bytes; 0 where it is not known."""

    name: str
    memory_bytes: int
    free_bytes: int
    shared: bool = False  # its memory is the machine's own


def _ask(command: Sequence[str]) -> str:
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        said = subprocess.run(  # noqa: S603 - the system's own tools, with fixed arguments
            [program, *command[1:]], capture_output=True, text=True, errors="replace", timeout=ASK_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout if said.returncode == 0 else ""


def find_accelerators(ask: Ask = _ask, system: str | None = None) -> tuple[Accelerator, ...]:
    """Ask this machine's tools what accelerators it has; none that they do not tell.

    Args:
        ask: runs a program.
        system: the operating system, as `platform.system` names it; left out: this one's.
    """
    if (system or platform.system()) == "Darwin":
        return parse_apple(ask(["sysctl", "-n", "machdep.cpu.brand_string"]), ask(["sysctl", "-n", "hw.memsize"]))
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    return parse_nvidia(ask(query)) or parse_rocm(
        ask(["rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"])
    )


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """Return this machine's accelerators; asked once, as a tool may take a second."""
    return find_accelerators()


def free_bytes(found: Sequence[Accelerator]) -> int | None:
    """Return what is free on all of them together, over which an engine spreads a model; None where it is not known."""
    return sum(one.free_bytes for one in found) or None


def accelerators_text(found: Sequence[Accelerator]) -> str:
    """Name them: `2 x NVIDIA L4`; "" where there is none."""
    return " + ".join(name if n == 1 else f"{n} x {name}" for name, n in Counter(one.name for one in found).items())


def parse_nvidia(text: str) -> tuple[Accelerator, ...]:
    """Read `nvidia-smi --query-gpu=name,memory.total,memory.free --format=csv,noheader,nounits`: MiB.

    Memory is 0 where it says `[N/A]`, as it does where a chip's memory is the machine's own.
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 3 or not fields[0]:
            continue
        total, free = (int(float(field)) * MIB if re.fullmatch(r"\d+(\.\d+)?", field) else 0 for field in fields[1:])
        found.append(Accelerator(fields[0], total, free))
    return tuple(found)


def parse_rocm(text: str) -> tuple[Accelerator, ...]:
    """Read `rocm-smi --showproductname --showmeminfo vram --json`: bytes, by card; keys differ between versions."""
    try:
        cards = json.loads(text)
    except ValueError:
        return ()
    found = []
    for key, card in sorted(cards.items()) if isinstance(cards, dict) else ():
        if not (re.fullmatch(r"card\d+", key) and isinstance(card, dict)):
            continue
        told = {str(name).lower(): str(value).strip() for name, value in card.items()}
        names = (told.get(name) for name in ("card series", "card model", "device name", "card sku"))
        name = next((name for name in names if name and name.lower() != "n/a"), "AMD GPU")
        total, used = (_whole(told.get(f"vram total {what}(b)")) for what in ("memory ", "used memory "))
        found.append(Accelerator(name, total, max(0, total - used)))
    return tuple(found)


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def parse_apple(brand: str, memory_size: str) -> tuple[Accelerator, ...]:
    """Read `sysctl -n machdep.cpu.brand_string` and `hw.memsize`; a Mac of Intel's has none to speak of."""
    name, total = brand.strip(), _whole(memory_size.strip())
    if not name.startswith("Apple "):
        return ()
    return (Accelerator(f"{name} GPU", total, round(total * APPLE_SHARE), shared=True),)
