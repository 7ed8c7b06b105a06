"""The tokens of one call, by whichever names its span counts them.

Input tokens that a server found again in its prompt cache are part of the input: OpenTelemetry's `input_tokens`,
OpenAI's `prompt_tokens` and OpenInference's `prompt` count them. Anthropic's API and Langfuse's `usage_details` may
tell them beside the input. That is seen from the total where it is told, and else where there are more of them than of
the input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Usage", "of_details", "tokens", "whole_input"]

MAX_CHARS = 100_000  # of details written as a text
_INPUT, _OUTPUT = ("input", "input_tokens", "prompt_tokens"), ("output", "output_tokens", "completion_tokens")
_TOTAL = ("total", "total_tokens")
_READ, _WRITTEN = ("cache_read", "cached"), ("cache_creation", "cache_write")  # in a name, of what is told of the input
_REASONING = ("reasoning", "thinking")


class Usage(NamedTuple):
    """Tokens; None = not told."""

    input: int | None = None  # all of the prompt
    output: int | None = None  # all that was generated
    thinking: int | None = None  # of the output
    cached: int | None = None  # of the input


def tokens(raw: Any) -> int | None:
    """Read a number of tokens; None where it is none."""
    try:
        value = int(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if 0 <= value <= 100_000_000 else None


def whole_input(told: int | None, cached: int | None, written: int | None = None) -> int | None:
    """Return all tokens of a prompt.

    Args:
        told: as they were counted.
        cached: those that were found again.
        written: those that were kept to be found again.
    """
    parts = (cached or 0) + (written or 0)
    if told is None:
        return parts or None
    return told + parts if parts > told else told


def of_details(raw: Any) -> Usage:
    """Read the details that Langfuse keeps of a call: names and tokens, as an object or as its JSON text."""
    if isinstance(raw, str) and len(raw) <= MAX_CHARS:
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return Usage()
    if not isinstance(raw, Mapping):
        return Usage()
    found = _flat(raw)
    first = [next((found[name] for name in names if name in found), None) for names in (_INPUT, _OUTPUT, _TOTAL)]
    told, output, total = first
    of_input = {name: value for name, value in found.items() if name not in (*_INPUT, *_OUTPUT, *_TOTAL)}
    of_output = {name: of_input.pop(name) for name in list(of_input) if _is_output(name)}
    cached = _sum(of_input, _READ)
    thinking = _sum(of_output, _REASONING)
    parts, generated = sum(of_input.values()), sum(of_output.values())
    # Beside the input and the output, and not in them, where only so it comes to the total.
    if total is not None and total == (told or 0) + (output or 0) + parts + generated and parts + generated:
        return Usage((told or 0) + parts, (output or 0) + generated, thinking, cached)
    return Usage(whole_input(told, cached, _sum(of_input, _WRITTEN)), output, thinking, cached)


def _is_output(name: str) -> bool:
    return name.startswith(("output", "completion")) or any(word in name for word in _REASONING)


def _flat(raw: Mapping[Any, Any]) -> dict[str, int]:
    """Return what is counted, by name; details within it by the name of what they are of and their own."""
    found: dict[str, int] = {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            whose = "output" if _is_output(str(name)) else "input"
            inner = {f"{whose}_{key}": tokens(one) for key, one in value.items()}
        else:
            inner = {str(name): tokens(value)}
        found |= {key: one for key, one in inner.items() if one is not None}
    return found


def _sum(found: Mapping[str, int], words: tuple[str, ...]) -> int | None:
    known = [value for name, value in found.items() if any(word in name for word in words)]
    return sum(known) if known else None
