"""What is said of numbers that rest on an estimate, and where nothing says how uncertain a number is."""

from __future__ import annotations

__all__ = ["NOT_RESOLVABLE", "UNKNOWN", "make_sure"]

UNKNOWN = "uncertainty unknown"
NOT_RESOLVABLE = "Not resolvable on an estimate"


def make_sure(model: str = "") -> str:
    """Say in one line what to measure so that an estimate becomes sure.

    Args:
        model: as the server on that machine names it; "": not known.
    """
    return f"To make it sure, on that machine: slotwise probe http://127.0.0.1:11434 --model {model or 'NAME'}"
