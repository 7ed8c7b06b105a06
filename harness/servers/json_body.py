"""The JSON of a request, read so that nothing behind the door can stumble over it."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["MOST_LEVELS", "strict_json", "too_deep"]

MOST_LEVELS = 200  # of lists and objects within each other; what is written back needs Python's own stack for each
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1  # what fits into 64 bits, with a sign or without


def strict_json(body: bytes) -> Any:
    """Return the value of a body in UTF-8.

    Raises:
        ValueError: in a line, what is wrong with it: no JSON, bytes that are no UTF-8, NaN or infinity, a number that
            does not fit into 64 bits, half of a surrogate pair, or more than `MOST_LEVELS` levels.
    """
    text = body.decode("utf-8")
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if too_deep(value):
        raise ValueError("nested too deeply")
    if "\\u" in text:  # only an escape can say half of a pair
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair, which is no text") from None
    return value


def too_deep(value: object) -> bool:
    """Tell whether there are more than `MOST_LEVELS` lists and objects within each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_LEVELS):
        held = (holder.values() if isinstance(holder, dict) else holder for holder in level)
        level = [item for items in held for item in items if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _whole(digits: str) -> int:
    if len(digits) > 20 or not _LOWEST <= (value := int(digits)) <= _HIGHEST:
        raise ValueError(f"a number with {len(digits.lstrip('-'))} digits; expected one that fits into 64 bits")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number beyond 1e308; expected one that fits into 64 bits")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
