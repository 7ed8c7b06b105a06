"""Everything random is a pure function of what it is for, so the order of events cannot change a draw.

`uniform(7, 0, "chat", 3, "reply", 0, "length")` is the same number whoever asks, and whenever: candidates face the same
work (common random numbers), and a run can be repeated from its seed alone.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar

__all__ = ["integer", "shuffled", "uniform"]

T = TypeVar("T")


def _bits(seed: int, key: tuple[int | str, ...]) -> int:
    """64 uniform bits. The key is spelled with types and lengths, so that ("a", 1) and ("a1",) differ."""
    spelled = "|".join(f"{type(part).__name__}:{len(str(part))}:{part}" for part in (seed, *key))
    return int.from_bytes(blake2b(spelled.encode(), digest_size=8).digest())


def uniform(seed: int, *key: int | str) -> float:
    """Draw from [0, 1)."""
    return (_bits(seed, key) >> 11) / (1 << 53)


def integer(below: int, seed: int, *key: int | str) -> int:
    """Draw from 0 .. below - 1."""
    return int(uniform(seed, *key) * below)


def shuffled(items: tuple[T, ...], seed: int, *key: int | str) -> tuple[T, ...]:
    """Return the items in a drawn order."""
    return tuple(items[i] for i in sorted(range(len(items)), key=lambda i: _bits(seed, (*key, i))))
