"""Questions that an import left in a workload's file: comments, each of which a person answers and deletes.

A question is a comment on a line of its own that begins with `QUESTION`, and ends with the guess that is written below
it. Where it takes several lines, the further ones are indented by two spaces more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

__all__ = ["MARK", "MORE", "FileQuestion", "file_questions"]

MARK, MORE = "QUESTION", "  "  # how a question begins, and what its further lines begin with
_FIRST = re.compile(rf"[ \t]*#[ \t]*{MARK}\b[ \t]*\d*[ \t]*:?[ \t]*(.*)")
_NEXT = re.compile(rf"[ \t]*# {MORE}[ \t]*(\S.*)")


class FileQuestion(NamedTuple):
    """A question that is open: its line in the file (from 1), and its text."""

    line: int
    text: str


def file_questions(text: str) -> tuple[FileQuestion, ...]:
    """Return the open questions of a workload that can be read as YAML, in the order of their lines."""
    if MARK not in text:
        return ()
    lines = text.splitlines()
    in_texts = _in_texts(text)
    found = []
    for number, line in enumerate(lines, start=1):
        first = _FIRST.fullmatch(line)
        if first is None or number in in_texts:
            continue
        words = [first[1].strip()]
        for more in lines[number:]:
            following = _NEXT.fullmatch(more)
            if following is None:
                break
            words.append(following[1].strip())
        found.append(FileQuestion(number, " ".join(filter(None, words))))
    return tuple(found)


def _in_texts(text: str) -> set[int]:
    """Return the lines, from 1, of texts over several lines: what looks like a comment there is none."""

    def spans() -> Iterator[tuple[int, int]]:
        for token in yaml.scan(text):
            if isinstance(token, yaml.ScalarToken) and token.end_mark.line > token.start_mark.line:
                # A block ends where the next token begins, in the first column of what follows it.
                yield token.start_mark.line, token.end_mark.line - (token.end_mark.column == 0)

    try:
        return {line + 1 for first, last in spans() for line in range(first, last + 1)}
    except yaml.YAMLError:
        return set()
