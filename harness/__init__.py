"""Slotwise: decide, per machine and per pipeline, how to run agent graphs on a local LLM server.

What a policies file needs is here: `Concurrency`, `Scheduling`, `Placement`, `KeyCode` and `Variant`. They are loaded
when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.core.concurrency import Concurrency, Variant
    from harness.core.placement import Placement
    from harness.core.scheduling import KeyCode, Scheduling

__version__ = "0.1.0"
__all__ = ["Concurrency", "KeyCode", "Placement", "Scheduling", "Variant"]

_WHERE = {
    "Concurrency": "harness.core.concurrency",
    "KeyCode": "harness.core.scheduling",
    "Placement": "harness.core.placement",
    "Scheduling": "harness.core.scheduling",
    "Variant": "harness.core.concurrency",
}


def __getattr__(name: str) -> Any:
    """Load a public name where it is first asked for: `slotwise --help` needs none of them."""
    if name not in _WHERE:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
