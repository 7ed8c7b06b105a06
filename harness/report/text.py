"""Untrusted text made safe to show: names, prompts, what a server said."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["markdown", "numbered", "plain", "shortened"]

_MARKS = re.compile(r"[\\`*\[\]<>|~&!$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LINE_START = re.compile(r"^(\s*(?:\d+(?=[.)]))?)([#+\-=.)])(?=[#\-=\s]|$)")


def plain(text: str) -> str:
    """Return one line of text without control and format characters: no terminal escape, no reordering, no break."""
    return "".join(
        " " if character in "\n\r\t" else character
        for character in text
        if character in "\n\r\t" or not unicodedata.category(character).startswith("C")
    )


def markdown(text: str) -> str:
    """Escape text so that Markdown (and HTML within it) shows it as it is, on one line."""
    return _LINE_START.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", plain(text)))


def shortened(text: str, most: int) -> str:
    """Return a name of at most `most` characters: the middle goes, what tells names apart is often their end."""
    return text if len(text) <= most else f"{text[: (most - 1) // 2]}…{text[-(most // 2) :]}"


def numbered(names: Iterable[str], most: int) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what stands for each name: itself, or numbers where one is longer than `most`, with a legend."""
    known = list(dict.fromkeys(names))
    if max(map(len, known), default=0) <= most:
        return {name: name for name in known}, ()
    labels = {name: str(number) for number, name in enumerate(known, 1)}
    return labels, tuple(f"{number}  {name}" for name, number in labels.items())
