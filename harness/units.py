"""One place that writes and reads units: everywhere else numbers are raw seconds, tokens and bytes."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = [
    "UNIT",
    "about",
    "count",
    "elapsed",
    "percent",
    "rate",
    "read_seconds",
    "read_server",
    "read_size",
    "safe_text",
    "safe_url",
    "seconds",
    "size",
    "time_text",
]

# The space between a number and its unit, where no line should end.
UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|tokens/s|tok/s|kB|MB|GB|GiB)(?![A-Za-z]))")

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?")
_TIMES_S = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_GIB = 2**30
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB|MiB|GiB)", re.IGNORECASE)
_SIZES_BYTES = {"mb": 10**6, "gb": 10**9, "tb": 10**12, "mib": 2**20, "gib": 2**30}

# One slash is what becomes of a URL that somebody types where a path belongs.
_CREDENTIALS = re.compile(r"(//|\w:/)[^/\s?#]*@")
_LOOPBACK = re.compile(r"127(\.\d+){3}")
_QUERY = re.compile(r"(https?://?[^\s?#]*)[?#]\S*")  # a key may stand there
# What a server or a library may say back to us: a header with its value, a key by its name, a key by its shape.
_NAMED = re.compile(
    r"""(?i)\b((?:proxy-)?authorization|(?:x-)?(?:api|auth|access)[-_ ]?(?:key|token)|secret[-_]?key|password)\b"""
    r"""(["']?\s*[:=]\s*["']?)(?:(?:bearer|basic|token)\s+)?[^\s"',;}\])]+"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=[^\s]*[\d=._~+/-])[A-Za-z0-9._~+/=-]{8,}")
_KEY = re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}|\b(?:ghp|gho|hf)_[A-Za-z0-9]{16,}")


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


def elapsed(value_s: float) -> str:
    """Format time that passes, in whole seconds: `42 s`, `3 min 05 s`, `1 h 02 min`."""
    minutes, rest = divmod(int(value_s), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def about(value_s: float) -> str:
    """Format an estimate no finer than it is: `8 s`, `45 s`, `4 min`, `2.5 h`."""
    if value_s < 9.5:
        return f"{max(1, round(value_s))} s"
    if value_s < 87.5:
        return f"{5 * max(2, round(value_s / 5))} s"
    return f"{round(value_s / 60)} min" if value_s < 7170 else f"{value_s / 3600:.1f} h"


def rate(tokens_per_s: float) -> str:
    """Format tokens per second: three significant figures up to 100, whole numbers beyond."""
    return f"{tokens_per_s:.0f} tok/s" if tokens_per_s >= 99.95 else f"{tokens_per_s:.1f} tok/s"


def percent(ratio: float) -> str:
    """Format a ratio of 1 as `100 %`."""
    return f"{ratio * 100:.0f} %" if abs(ratio) >= 0.0995 else f"{ratio * 100:.1f} %"


def size(n_bytes: float) -> str:
    """Format bytes in decimal units: `98.4 MB`; a whole number of GiB, as memory is sold and set, so: `24 GiB`."""
    if n_bytes >= _GIB and n_bytes % _GIB == 0:
        return f"{n_bytes / _GIB:.0f} GiB"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def read_seconds(text: str) -> float | None:
    """Read a time such as `90s`, `5m`, `1.5h` or `30` (seconds); None where it is none."""
    match = _TIME.fullmatch(text.strip())
    return None if match is None else float(match[1]) * _TIMES_S[match[2]]


def time_text(value_s: float) -> str:
    """Write a time as `read_seconds` takes it, without a space: `90s`, `10m`, `1h`."""
    for unit, size_s in (("h", 3600), ("m", 60)):
        if value_s >= size_s and value_s % size_s == 0:
            return f"{value_s / size_s:g}{unit}"
    return f"{value_s:g}s"


def read_size(text: str) -> int | None:
    """Read a size in bytes such as `8GB` or `512 MiB`; None where it is none."""
    match = _SIZE.fullmatch(text.strip())
    return None if match is None else round(float(match[1]) * _SIZES_BYTES[match[2].lower()])


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: `1 call`, `8 calls`."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def read_server(text: str) -> tuple[str, str]:
    """Return the name and the URL in `NAME=URL`, or in a URL alone, which has the name ""; the URL is "" in neither."""
    if text.startswith(("http://", "https://")):
        return "", text
    name, _, url = text.partition("=")
    return (name, url) if name else ("", "")


def safe_url(text: str) -> str:
    """Strip `user:password@`, query and fragment from every URL in a text: secrets belong in no record or message."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub(r"\1", text))


def is_here(url: str) -> bool:
    """Whether a URL leads to this machine, as far as its text tells."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    except ValueError:
        return False
    return host in ("", "localhost", "::1", "0.0.0.0") or bool(_LOOPBACK.fullmatch(host))  # noqa: S104 - only compared


def safe_text(text: str) -> str:
    """Return somebody else's words without secrets: those in URLs, `Authorization` values, tokens and API keys.

    For what servers and libraries say, which may repeat what they were sent. Prompts and answers are not searched.
    """
    text = _NAMED.sub(r"\1\2***", safe_url(text))
    return _KEY.sub("***", _BEARER.sub(r"\1 ***", text))
