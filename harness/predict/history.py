"""What errors a profile showed before: a line per scoring in the user's cache, read by the next prediction."""

from __future__ import annotations

import json
from typing import Any

from harness.content import cache_dir

__all__ = ["last_score", "remember"]

MOST = 1e12  # a factor or a count beyond it is a damaged one


def remember(entry: dict[str, Any]) -> None:
    """Append a scoring; a cache that cannot be written only means that nothing is remembered."""
    path = cache_dir() / "scores.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        return


def last_score(profile: str) -> dict[str, Any] | None:
    """Return the last scoring on the profile of this name; damaged lines are passed over."""
    try:
        lines = (cache_dir() / "scores.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("profile") == profile and _whole(entry):
            return entry
    return None


def _whole(entry: dict[str, Any]) -> bool:
    """Tell whether an entry says what a prediction repeats; one without times has no errors to repeat."""
    if entry.get("median_error") is None:
        return True
    numbers = (entry.get(key) for key in ("median_error", "worst_error", "cells"))
    texts = (entry.get(key) for key in ("workload", "measured_at"))
    return all(isinstance(n, int | float) and n is not True and abs(n) < MOST for n in numbers) and all(
        isinstance(text, str) for text in texts
    )
