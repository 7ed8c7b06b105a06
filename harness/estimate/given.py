"""What the user knows of a machine: figures of a benchmark that take the place of estimates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Given"]


class Given(NamedTuple):
    """Tokens a second, as benchmarks print them; None and empty: not known."""

    decode: float | None = None  # of one sequence alone
    decode_at: Mapping[int, float] = MappingProxyType({})  # of all sequences together, by how many there are
    prefill: float | None = None  # of a prompt

    def over(self, other: Given) -> Given:
        """Return these figures, and the other's where these have none."""
        return Given(
            self.decode if self.decode is not None else other.decode,
            MappingProxyType({**other.decode_at, **self.decode_at}),
            self.prefill if self.prefill is not None else other.prefill,
        )
