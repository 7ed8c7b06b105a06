"""The difference between two texts in a terminal, coloured; what stands in them is text and never markup."""

from __future__ import annotations

import difflib

from rich.console import Console
from rich.text import Text

from harness.report.text import plain

__all__ = ["print_difference"]

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_difference(before: str | None, after: str | None, name: str, console: Console) -> None:
    """Print a unified difference; None: there is no file."""
    names = (name if before is not None else "/dev/null", name if after is not None else "/dev/null")
    lines = list(difflib.unified_diff(_lines(before), _lines(after), *names, lineterm=""))
    for number, line in enumerate(lines):
        style = "bold" if number < 2 else _STYLES.get(line[:1], "")
        console.print(Text(plain(line), style=style), soft_wrap=True)


def _lines(text: str | None) -> list[str]:
    """Return the lines of a text; characters that some take for the end of one, such as a form feed, stay in it."""
    return (text or "").removesuffix("\n").split("\n") if text else []
