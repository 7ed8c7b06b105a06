"""How long a model stays in memory after a call, as Ollama's clients write it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from harness.workload.schema.base import mistake

__all__ = ["KeepAlive", "keep_seconds"]

UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}  # of Go's durations
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def keep_seconds(value: float | str) -> float:
    """Return seconds; infinity for what is below zero: for ever (`Duration.UnmarshalJSON` in Ollama's api/types.go).

    Raises:
        ValueError: that is no duration.
    """
    if isinstance(value, str):
        bare = value.lstrip("+-")
        parts = _PART.findall(bare)
        if len(value) - len(bare) > 1 or not (bare == "0" or (parts and "".join(map("".join, parts)) == bare)):
            raise ValueError(f"no duration: {value}")
        seconds = sum((float(number) * UNIT_S[unit] for number, unit in parts), 0.0) * (-1 if value[0] == "-" else 1)
    else:
        seconds = float(value)
    return math.inf if seconds < 0 else seconds


def _check(value: float | str) -> float | str:
    try:
        keep_seconds(value)
    except ValueError:
        raise mistake(
            f'expected seconds, or a time with its unit such as "5m" or "1h30m", found "{value}"; 0 unloads the model '
            "after the call, -1 keeps it for ever"
        ) from None
    return value


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<number>" if isinstance(value, int | float) and not isinstance(value, bool) else None


KeepAlive = Annotated[
    Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000), Tag("<number>")]
    | Annotated[str, Field(min_length=1, max_length=40), Tag("<text>")],
    Discriminator(
        _kind, custom_error_type="shape", custom_error_message='expected seconds, or a time with its unit such as "5m"'
    ),
    AfterValidator(_check),
]
