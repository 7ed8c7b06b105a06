"""What a file leaves open, in words: a banner above every answer that rests on it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.units import count

__all__ = ["MOST_LINES_NAMED", "open_questions_text"]

MOST_LINES_NAMED = 8


def open_questions_text(file: str, lines: Sequence[int]) -> str:
    """Say how many questions are open in a file, and on which lines.

    The first sentence is enough for a banner; the second says what to do.
    """
    if len(lines) == 1:
        where = f"line {lines[0]}"
    else:
        named = [str(line) for line in lines[:MOST_LINES_NAMED]]
        more = len(lines) - len(named)
        last = f"{more} more" if more else named.pop()
        where = f"lines {', '.join(named)} and {last}"
    return (
        f"{count(len(lines), 'open question')} in {file}, {where}. "
        "What stands there is a guess, and so is every figure here. "
        "Answer each question where it stands, then delete its comment."
    )
