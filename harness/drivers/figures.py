"""What a server says of a call is input, never truth: each figure is held against the client's own clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from harness.units import seconds

__all__ = ["Believed", "figures_of", "number_in", "one_line"]

MOST_TOKENS: Final = 100_000_000  # of one call; no context is as long
FASTER: Final = 1.05  # a server's clock may run so much faster than ours,
COARSER_S: Final = 0.05  # and be so much coarser
DURATIONS: Final = {
    "total_s": "total_duration",
    "load_s": "load_duration",
    "prefill_s": "prompt_eval_duration",
    "decode_s": "eval_duration",
}
COUNTS: Final = {"prompt_tokens": "prompt_eval_count", "output_tokens": "eval_count"}


class Believed(NamedTuple):
    """What can be believed of what a server said of a call. Seconds and tokens; None: not said, or not believed."""

    total_s: float | None
    load_s: float | None
    prefill_s: float | None
    decode_s: float | None
    queue_s: float | None
    prompt_tokens: int | None
    output_tokens: int | None
    doubt: str | None  # what cannot be, in one line: the first of it


def figures_of(said: Mapping[str, Any], queue_ns: int | None, wall_s: float) -> Believed:
    """Check what a server says of a call.

    Durations that are negative, no numbers, or longer than the call itself are left out, and all parts where they are
    longer together; so are counts below 0 or beyond any context.

    Args:
        said: its last line, in Ollama's names; durations in nanoseconds.
        queue_ns: the wait for a slot, where it tells that.
        wall_s: from sending the request to the last byte, on the client's clock.
    """
    limit_s, doubts = wall_s * FASTER + COARSER_S, list[str]()
    found: dict[str, float | None] = {}
    for name, key in (*DURATIONS.items(), ("queue_s", "the wait for a slot")):
        value = queue_ns if name == "queue_s" else said.get(key)
        found[name] = None
        if value is None:
            continue
        if not _is_number(value) or not 0 <= value <= limit_s * 1e9:
            doubts.append(f"{key} is {_shown(value)} ns in a call of {seconds(wall_s)}")
        else:
            found[name] = value / 1e9
    parts = [found[name] for name in ("load_s", "prefill_s", "decode_s", "queue_s")]
    together_s = sum(part or 0.0 for part in parts)
    if together_s > limit_s:
        doubts.append(f"its parts take {seconds(together_s)} in a call of {seconds(wall_s)}")
        found = dict.fromkeys(found)
    counts: dict[str, int | None] = {}
    for name, key in COUNTS.items():
        value = said.get(key)
        able = isinstance(value, int) and _is_number(value) and 0 <= value <= MOST_TOKENS
        counts[name] = value if able else None
        if value is not None and not able:
            doubts.append(f"{key} is {_shown(value)}")
    doubt = f"the server says what cannot be, and it is left out: {doubts[0]}" if doubts else None
    return Believed(
        total_s=found["total_s"],
        load_s=found["load_s"],
        prefill_s=found["prefill_s"],
        decode_s=found["decode_s"],
        queue_s=found["queue_s"],
        prompt_tokens=counts["prompt_tokens"],
        output_tokens=counts["output_tokens"],
        doubt=doubt,
    )


def number_in(header: str | None) -> int | None:
    """Return the whole number that a header holds; None where it holds none, or one beyond any use."""
    return int(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 19 else None


def _is_number(value: object) -> bool:
    """Whether it is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def _shown(value: object) -> str:
    return one_line(value, 40) if not isinstance(value, int) or abs(value) < 10**15 else f"beyond {10**15:.0e}"


def one_line(text: object, most: int = 300) -> str:
    """Return the first printable characters on one line: a server's words never break a terminal."""
    return "".join(c if c.isprintable() else " " for c in " ".join(str(text)[: 4 * most].split()))[:most]
