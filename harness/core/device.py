"""Where a loaded model lies, by what its server tells of itself (`size` and `size_vram` in Ollama's `/api/ps`)."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["on_accelerator", "share_on_cpu"]


def on_accelerator(details: Mapping[str, str | int | float]) -> bool:
    """Whether all of the model is on an accelerator, so that cores matter little; a profile can say it, too."""
    size, vram = details.get("size_bytes"), details.get("size_vram_bytes")
    if isinstance(size, int) and isinstance(vram, int):
        return 0 < size <= vram
    return bool(details.get("accelerator"))


def share_on_cpu(details: Mapping[str, str | int | float]) -> float:
    """Return the share of a model that did not fit onto the accelerator that has the rest; 0 where that is none.

    A server that has nothing on an accelerator has none, or was told not to use it: nothing spilled.
    """
    size, vram = details.get("size_bytes"), details.get("size_vram_bytes")
    if not isinstance(size, int) or not isinstance(vram, int) or not 0 < vram < size:
        return 0.0
    return 1 - vram / size
