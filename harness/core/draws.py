"""Everything random is a pure function of what it is for, so the order of events cannot change a draw.

`uniform(7, 0, "chat", 3, "reply", 0, "length")` is the same number for every caller, at any time: candidates face the
same work (common random numbers), and a run can be repeated from its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

__all__ = ["integer", "prepared", "shuffled", "uniform"]

T = TypeVar("T")
Uniform = Callable[[int, int], float]


@lru_cache(maxsize=1 << 14, typed=True)
def _spelled(part: int | str) -> str:
    """A part with its type and length, so that ("a", 1) and ("a1",) differ."""
    return f"{type(part).__name__}:{len(str(part))}:{part}"


def _bits(seed: int, key: tuple[int | str, ...]) -> int:
    """64 uniform bits."""
    return int.from_bytes(blake2b("|".join(map(_spelled, (seed, *key))).encode(), digest_size=8).digest())


def uniform(seed: int, *key: int | str) -> float:
    """Draw from [0, 1)."""
    return (_bits(seed, key) >> 11) / (1 << 53)


def prepared(seed: int, before: tuple[int | str, ...], between: tuple[int | str, ...], after: str) -> Uniform:
    """Return `(a, b) -> uniform(seed, *before, a, *between, b, after)` for whole a and b, at half of the cost."""
    begun = blake2b("|".join(map(_spelled, (seed, *before))).encode(), digest_size=8)
    middle = "".join(f"|{_spelled(part)}" for part in between)
    end = f"|{_spelled(after)}"

    def draw(a: int, b: int) -> float:
        whole = begun.copy()
        whole.update(f"|{_spelled(a)}{middle}|{_spelled(b)}{end}".encode())
        return (int.from_bytes(whole.digest()) >> 11) / (1 << 53)

    return draw


def integer(below: int, seed: int, *key: int | str) -> int:
    """Draw from 0 .. below - 1."""
    return int(uniform(seed, *key) * below)


def shuffled(items: tuple[T, ...], seed: int, *key: int | str) -> tuple[T, ...]:
    """Return the items in a drawn order."""
    return tuple(items[i] for i in sorted(range(len(items)), key=lambda i: _bits(seed, (*key, i))))
