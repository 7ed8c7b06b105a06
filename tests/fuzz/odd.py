"""Odd values, and a writer that can put them into JSON and YAML where no ordinary writer would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

__all__ = ["JSON_ODD", "LETTERS", "YAML_ODD", "Pairs", "Raw", "invented", "noise", "text_of"]


class Raw(str):
    """A piece of a file that is written as it is."""


class Pairs(list[tuple[Any, Any]]):
    """A mapping whose keys may be there twice, and may be anything."""


LETTERS = "ab0_- .:{}\"'\n\té\u202e\x1b"
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 10**6, 2**53, 2**63, 10**18, -(10**30), 0.5, -0.0, 1e-300, 1e308,
    "", " ", "a", "0", "true", "NaN", "\x00", "\x1b[2J", "\ud800", "\udfff\ud800", "\u202ex", "{item}", "{a.b[0]}",
    "../x", "/dev/zero", "x" * 5000, "é" * 300, "a\nb", [], [[]], [None], Pairs(), Pairs([("", None)]),
    Raw("9" * 400), Raw("-" + "9" * 5000), Raw("1e400"), Raw("1" + "0" * 400 + ".5"), Raw('"\\ud800"'),
    Raw("0.0000001"),
)  # fmt: skip
JSON_ODD: tuple[Any, ...] = (
    *ODD, Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("[" * 300 + "]" * 300), Raw("[" * 100_000),
    Raw('{"a":' * 995 + "1" + "}" * 995), Raw("["), Raw(""), Raw("nul"), Raw("'a'"), Raw('"\x00"'),
)  # fmt: skip
YAML_ODD: tuple[Any, ...] = (
    *ODD, Raw(".nan"), Raw(".inf"), Raw("-.inf"), Raw("0x10"), Raw("0o7"), Raw("1_000"), Raw("1:30"), Raw("yes"),
    Raw("~"), Raw("2026-01-01"), Raw("2026-01-01T00:00:00Z"), Raw("&a [*a]"), Raw("&a a"), Raw("*a"), Raw("<<"),
    Raw("!!int x"), Raw("!!python/object/apply:os.system [true]"), Raw("!!binary aGk="), Raw("!!set {a}"),
    Raw("!!float nan"), Raw("! a"),
    Raw("[" * 30 + "]" * 30), Raw("[" * 2000), Raw("{a: &b [1, *b]}"), Raw("? a"), Raw("|\n  a"), Raw("- a"),
    Raw("\t"), Raw("{<<: {a: 1}}"), Raw("%YAML 9.9"), Raw("---"), Raw("..."),
    Raw('"\\UFFFFFFFF"'),
    Raw("{1: a, true: b, null: c}"),
    Raw("&a [&b [&c [x, x, x], *c, *c], *b, *b, *b, *b]"),
)  # fmt: skip
_SYNTAX = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "'",
    "\n",
    "  ",
    "- ",
    "#",
    "&",
    "*",
    "!",
    "|",
    ">",
    "\\",
    "---",
    "\ufeff",
)


def text_of(value: Any) -> str:
    """Return a value as JSON, which is YAML too."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{text_of(key)}: {text_of(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def noise(rng: Random) -> bytes:
    """Return bytes, or pieces of syntax."""
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(80))
    pieces = (rng.choice(_SYNTAX) if rng.random() < 0.6 else rng.choice(LETTERS) for _ in range(rng.randrange(60)))
    return "".join(pieces).encode("utf-8", "surrogatepass")


def invented(rng: Random, keys: Sequence[Any], odd: Sequence[Any], depth: int = 0) -> Any:
    """Return a structure of any shape, most of whose keys mean something."""
    kind = rng.random()
    if depth > 4 or kind < 0.35 + 0.1 * depth:
        return rng.choice(odd)
    if kind < 0.55 + 0.08 * depth:
        return [invented(rng, keys, odd, depth + 1) for _ in range(rng.randrange(4))]
    size = rng.randrange(6)
    return Pairs((_key(rng, keys, odd), invented(rng, keys, odd, depth + 1)) for _ in range(size))


def _key(rng: Random, keys: Sequence[Any], odd: Sequence[Any]) -> Any:
    return rng.choice(keys) if keys and rng.random() < 0.9 else rng.choice(odd)
