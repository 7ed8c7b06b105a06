"""Valid files with something changed: in their structure, or in their bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import yaml
from fuzz.odd import Pairs, Raw

__all__ = ["all_keys", "changed", "changed_bytes", "json_pairs", "yaml_pairs"]


def json_pairs(text: str) -> Any:
    """Read JSON."""
    return json.loads(text, object_pairs_hook=Pairs)


def yaml_pairs(text: str) -> Any:
    """Read YAML."""
    return _pairs(yaml.safe_load(text))


def _pairs(value: Any) -> Any:
    if isinstance(value, dict):
        return Pairs((key, _pairs(item)) for key, item in value.items())
    if isinstance(value, list):
        return [_pairs(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def all_keys(value: Any) -> set[Any]:
    """Return every key in a structure."""
    if isinstance(value, Pairs):
        return {key for key, _ in value}.union(*(all_keys(item) for _, item in value))
    return set().union(*map(all_keys, value)) if isinstance(value, list) else set()


def _copy(value: Any) -> Any:
    if isinstance(value, Pairs):
        return Pairs((key, _copy(item)) for key, item in value)
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _places(value: Any) -> Iterator[tuple[list[Any], int]]:
    """Yield every place in a structure: the list or mapping that holds it, and its number there."""
    if not isinstance(value, list):
        return
    for at, item in enumerate(value):
        yield value, at
        yield from _places(item[1] if isinstance(value, Pairs) else item)


def changed(rng: Random, value: Any, odd: Sequence[Any]) -> Any:
    """Return a copy with one to three places replaced, left out, doubled or exchanged, or with a key renamed."""
    whole = [_copy(value)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(whole))
        if not places:
            break
        holder, at = rng.choice(places)
        match rng.randrange(7):
            case 0:
                del holder[at]
            case 1:
                holder.insert(rng.randrange(len(holder) + 1), _twin(holder[at]))
            case 2:
                other, there = rng.choice(places)
                _put(holder, at, _copy(_get(other, there)))
            case 3 if isinstance(holder, Pairs):
                other, there = rng.choice(places)
                key = other[there][0] if isinstance(other, Pairs) else rng.choice(odd)
                holder[at] = (_copy(key if rng.random() < 0.7 else rng.choice(odd)), holder[at][1])
            case 4 if isinstance(_get(holder, at), int | float):
                number = _get(holder, at)
                _put(holder, at, rng.choice((-number, number + 1, 0, number * 1000, str(number), [number], number / 7)))
            case _:
                _put(holder, at, _copy(rng.choice(odd)))
    return whole[0] if whole else Raw("")


def _twin(item: Any) -> Any:
    return (item[0], _copy(item[1])) if isinstance(item, tuple) else _copy(item)


def _get(holder: list[Any], at: int) -> Any:
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _put(holder: list[Any], at: int, value: Any) -> None:
    holder[at] = (holder[at][0], value) if isinstance(holder, Pairs) else value


def changed_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a copy with one to three pieces cut out, doubled, overwritten, moved, or taken from another file."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 4, 16, 100)))
        match rng.randrange(6):
            case 0:
                data = data[:start] + data[end:]
            case 1:
                data = data[:end] + data[start:end] * rng.choice((1, 1, 50)) + data[end:]
            case 2:
                data = data[:start] + rng.randbytes(end - start) + data[end:]
            case 3:
                data = data[:start] + rng.choice(PIECES) + data[rng.choice((start, end)) :]
            case 4:
                other = rng.choice(others)
                there = rng.randrange(len(other) + 1)
                data = data[:start] + other[there : there + rng.choice((4, 40, 400))] + data[end:]
            case _:
                data = data[:start]
    return data


PIECES = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\n\n", b"\t", b"-", b"'", b'"',
    b"{", b"]", b"[", b"}", b": ", b"9" * 400, b"1e999", b"NaN", b"\\ud800", b"&a ", b"*a", b"!!python/name:os.system ",
    b"---\n", b"\x1b[2J", b"null", b",", b"#", b"|", b"\x85", b"\xe2\x80\xa8", b"2026-01-01", b"\xd9\xa3",
)  # fmt: skip
