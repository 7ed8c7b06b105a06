"""JSON values read one after the other from a file of any size: an object holds no more memory than its largest part.

A file is one value, or several (JSON lines, or objects that follow each other). Whoever reads decides of each object
and list whether it is wanted as a whole (`whole`), or entered (`members`, `items`).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Protocol

from harness.errors import UserError

__all__ = ["JsonStream", "ReadsBytes", "printable"]

CHUNK_BYTES = 1 << 20
MAX_VALUE_CHARS = 1 << 28  # of one value that is read as a whole
SHOWN = 20  # characters of what is no JSON
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_TAIL = 16  # how near the end of what was read an error is, where more may mend it


def printable(text: str) -> str:
    """Return one line without control characters, for a message."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class ReadsBytes(Protocol):
    """A file, packed or not."""

    def read(self, size: int, /) -> bytes: ...


class JsonStream:
    """Reads JSON. `name` and `wanted` are for messages; every method raises UserError with line and column."""

    def __init__(self, file: ReadsBytes, name: str, wanted: str) -> None:
        self._file, self._name, self._wanted = file, name, wanted
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._done = "", 0, False
        self._line, self._line_start = 1, 0  # of the text that is kept; where its line begins, maybe before it
        self.cut = False  # the file ended in the middle of a value

    @property
    def line(self) -> int:
        """The line of what comes next."""
        self.next()
        return self._place(self._at)[0]

    def next(self) -> str:
        """Return the next character that is no space, without taking it; "" at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def whole(self) -> Any:
        """Return the next value."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                near = error.pos >= len(self._text) - _TAIL or error.msg.startswith("Unterminated")
                if near and self._more():
                    continue
                raise self.wrong(error.pos, cut=near) from None
            except (ValueError, RecursionError):  # an absurd number, or brackets without end
                raise UserError(
                    f"{self._name}:{self._place(self._at)[0]}: expected {self._wanted}, found a number or a nesting "
                    "that no exporter writes"
                ) from None
            if end == len(self._text) and self._text[-1] not in '}]"' and self._more():
                continue  # a number may go on
            self._at = end
            return value

    def first_key(self) -> str:
        """Return the first key of the object that comes next, without taking anything; "" where there is none."""
        if self.next() != "{":
            return ""
        while True:
            start = _SPACE.match(self._text, self._at + 1)
            at = start.end() if start else self._at + 1
            try:
                key, _ = _DECODER.raw_decode(self._text, at)
            except (ValueError, RecursionError):
                if len(self._text) - at < 2000 and self._more():
                    continue
                return ""
            return key if isinstance(key, str) else ""

    def members(self) -> Iterator[str]:
        """Enter the object that comes next; whoever gets a key has to take its value."""
        yield from self._inside("{", "}")

    def items(self) -> Iterator[None]:
        """Enter the list that comes next; whoever gets None has to take a value."""
        for _ in self._inside("[", "]"):
            yield None

    def _inside(self, opens: str, closes: str) -> Iterator[str]:
        self._take(opens)
        if self.next() == closes:
            self._take(closes)
            return
        while True:
            if opens == "{":
                if self.next() != '"':
                    raise self.wrong(self._at)
                key = str(self.whole())
                self._take(":")
                self.next()
                yield key
            else:
                self.next()
                yield ""
            if self.next() == ",":
                self._take(",")
                continue
            self._take(closes)
            return

    def _take(self, wanted: str) -> None:
        if self.next() != wanted:
            raise self.wrong(self._at, cut=self._at >= len(self._text))
        self._at += 1

    def _more(self) -> bool:
        """Read on; False at the end of the file. What has been taken is forgotten."""
        if self._done:
            return False
        if len(self._text) - self._at > MAX_VALUE_CHARS:
            raise UserError(
                f"{self._name}:{self._place(self._at)[0]}: expected values of at most 256 MB, found a larger one; "
                "write JSON lines instead"
            )
        # The longer a value is, the more is read at once: it is parsed from its beginning each time.
        raw = self._file.read(max(CHUNK_BYTES, len(self._text) - self._at))
        self._done = not raw
        try:
            text = self._utf8.decode(raw, final=self._done)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self._name}:{self._place(len(self._text))[0]}: expected text in UTF-8, found the byte "
                f"{error.object[error.start]:#04x}"
            ) from None
        gone = self._text[: self._at]
        if (lines := gone.count("\n")) > 0:
            self._line += lines
            self._line_start = gone.rfind("\n") + 1
        self._line_start -= self._at
        self._text, self._at = self._text[self._at :] + text, 0
        return not self._done or bool(text)

    def _place(self, at: int) -> tuple[int, int]:
        """Return line and column, from 1."""
        lines = self._text.count("\n", 0, at)
        start = self._text.rfind("\n", 0, at) + 1 if lines else self._line_start
        return self._line + lines, at - start + 1

    def wrong(self, at: int | None = None, *, cut: bool = False) -> UserError:
        """Return the error that what stands here is no JSON, or that the file ends in the middle of a value."""
        at = self._at if at is None else at
        line, column = self._place(at)
        shown = printable(self._text[at:].lstrip()[:SHOWN].partition("\n")[0])
        self.cut = self._done and (cut or not shown)
        what = "the end of the file in the middle of a value: it is truncated" if self.cut else f'"{shown}"'
        return UserError(
            f"{self._name}:{line}:{column}: expected {self._wanted}, found {what}; export the traces again, "
            "or drop that part"
        )
