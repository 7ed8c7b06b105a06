"""What an agent's templates can name: whose answers each name stands for, and what a pass of a loop gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Loop", "Readable", "Reads", "Result"]


class Result(NamedTuple):
    """Whose answers a text is made of: those of `main` that there are, or else those of `otherwise`."""

    main: tuple[str, ...]
    otherwise: tuple[str, ...] = ()


Reads = tuple[Result, ...]  # one after the other


class Loop(NamedTuple):
    """What runs again, and what one pass gives."""

    body: frozenset[str]
    result: Reads


class Readable(NamedTuple):
    """What the templates of one agent node can name."""

    names: Mapping[str, Reads]  # nodes, and `input`
    loops: tuple[str, ...] = ()  # around it, outermost first: `previous` is the last pass of the last; none: the input
