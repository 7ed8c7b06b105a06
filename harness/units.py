"""One place that formats units: everywhere else numbers are raw seconds, tokens and bytes."""

from __future__ import annotations

import re

__all__ = ["count", "percent", "rate", "safe_url", "seconds", "size"]

_CREDENTIALS = re.compile(r"(?<=//)[^/\s?#]*@")
_QUERY = re.compile(r"(https?://[^\s?#]*)[?#]\S*")  # a key may stand there


def seconds(value_s: float) -> str:
    """Format a duration: `0.8 ms`, `340 ms`, `4.38 s`, `12.3 s`, `2 min 05 s`."""
    magnitude = abs(value_s)
    if magnitude == 0:
        return "0 s"
    if magnitude < 0.01:
        return f"{value_s * 1000:.1f} ms"
    if magnitude < 0.9995:
        return f"{value_s * 1000:.0f} ms"
    if magnitude < 9.995:
        return f"{value_s:.2f} s"
    if magnitude < 119.95:
        return f"{value_s:.1f} s"
    minutes, rest = divmod(round(magnitude), 60)
    return f"{'-' if value_s < 0 else ''}{minutes} min {rest:02d} s"


def rate(tokens_per_s: float) -> str:
    """Format tokens per second: three significant figures up to 100, whole numbers beyond."""
    return f"{tokens_per_s:.0f} tok/s" if tokens_per_s >= 99.95 else f"{tokens_per_s:.1f} tok/s"


def percent(ratio: float) -> str:
    """Format a ratio of 1 as `100 %`."""
    return f"{ratio * 100:.0f} %" if abs(ratio) >= 0.0995 else f"{ratio * 100:.1f} %"


def size(n_bytes: float) -> str:
    """Format bytes in decimal units: `98.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: `1 call`, `8 calls`."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def safe_url(text: str) -> str:
    """Strip `user:password@`, query and fragment from every URL in a text: secrets belong in no record or message."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", text))
