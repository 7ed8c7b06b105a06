"""Our lines in a file that may have others: between two marks, at the end, and nothing else is touched."""

from __future__ import annotations

import re

__all__ = ["BEGIN", "END", "block_in", "outside", "with_block"]

BEGIN = "# >>> slotwise apply >>>"
END = "# <<< slotwise apply <<<"
_BLOCK = re.compile(rf"^{BEGIN}\n(.*?)^{END}\n?", re.MULTILINE | re.DOTALL)


def block_in(text: str) -> str | None:
    """Return what stands between our marks; None where there are none.

    Raises:
        ValueError: the marks are not one pair.
    """
    marks = re.findall(rf"^(?:{BEGIN}|{END})$", text, re.MULTILINE)
    if not marks:
        return None
    found = _BLOCK.findall(text)
    if marks != [BEGIN, END] or len(found) != 1:
        raise ValueError(f'expected one "{BEGIN}" and one "{END}" after it, found {len(marks)} such lines')
    return str(found[0])


def outside(text: str) -> str:
    """Return a text without our block; ValueError where the marks are not one pair."""
    return text if block_in(text) is None else _BLOCK.sub("", text)


def with_block(text: str, body: str) -> str:
    """Return a text with `body` as our block, at its end, in place of an earlier one.

    At the end, because a later setting wins. Lines that are not ours stay as they are.

    Raises:
        ValueError: the marks are not one pair.
    """
    others = outside(text)
    if others and not others.endswith("\n"):
        others += "\n"
    return f"{others}{BEGIN}\n{body}{END}\n"
