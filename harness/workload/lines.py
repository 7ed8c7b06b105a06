"""Which lines of a workload's text belong to what: the lines of a node, for a page that marks them."""

from __future__ import annotations

from typing import NamedTuple

from harness.workload.source import Loc, Source

__all__ = ["LineRange", "lines_of"]


class LineRange(NamedTuple):
    """Lines of a text, counted from 1; both ends belong to it."""

    first: int
    last: int


def lines_of(source: Source, text: str, at: Loc) -> LineRange | None:
    """Return the lines of a key and of everything below it; None where the text has no such key.

    They end before the next line that is indented no further than the key. Blank lines and comments at the end are left
    out.
    """
    mark = source.keys.get(at)
    if mark is None:
        return None
    first, column = mark
    written = text.splitlines()
    last = first
    for number, line in enumerate(written[first:], start=first + 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if len(line) - len(line.lstrip()) < column:
            break
        last = number
    return LineRange(first, last)
