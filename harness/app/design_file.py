"""The file of a design: opened with its digest, written at once or not at all, and never over what somebody else wrote.

A page holds lines that end in a line feed. Where the file's end otherwise, or it begins with a byte order mark, it is
written that way again.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from harness.app.kept_file import Content, read_file, replace_file
from harness.errors import UserError
from harness.workload.source import MAX_BYTES, read_text

__all__ = ["FileState", "design_path", "file_state", "save_design"]

MOST_SHOWN = 400  # lines of a difference
_BOM = b"\xef\xbb\xbf"


class FileState(NamedTuple):
    """A design's file beside a text."""

    digest: str  # of its bytes; "" = there is no file
    text: str  # what is in it
    difference: tuple[str, ...]  # from the file to the text, as `diff -u` prints it; () = the same
    saved: bool = False  # the text was written


def file_state(path: Path, text: str = "") -> FileState:
    """Return what is in a file, and how a text differs from it.

    Raises:
        WorkloadError, UserError: it cannot be read.
    """
    return _state(path, read_file(path.resolve()), text)


def save_design(path: Path, text: str, digest: str) -> FileState:
    """Write a text into its file if that is as it was. Else nothing is written, and the difference says what changed.

    Args:
        path: the file; a link is followed.
        text: the whole of what it is to have.
        digest: of the file as it was when it was opened, saved or looked at last; "" = there was none.

    Raises:
        WorkloadError, UserError: it cannot be read or written; it is as it was.
    """
    real = path.resolve()
    now = read_file(real)
    if ("" if now is None else now.digest) != digest:
        return _state(path, now, text)
    data = _written(text, now)
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: expected at most {MAX_BYTES} bytes, found {len(data)}; nothing was written")
    new = Content(data, 0o666 & ~_umask(), os.geteuid(), os.getegid()) if now is None else now._replace(data=data)
    try:
        replace_file(real, new)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UserError(f"{path}: cannot be written: {why}; it is as it was") from None
    return FileState(hashlib.sha256(data).hexdigest(), text, (), saved=True)


def design_path(root: Path, name: str) -> Path:
    """Return the file of this name below a folder.

    Raises:
        UserError: it leads out of the folder, is no YAML file by its name, or has no folder to lie in.
    """
    path = Path(name)
    if not name or any(not character.isprintable() for character in name):
        raise UserError("expected the name of a file, such as my-pipeline.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f'expected a name that ends in .yaml, found "{name}"')
    if path.is_absolute() or ".." in path.parts or not (root / path).resolve().is_relative_to(root.resolve()):
        raise UserError(f'expected a name below the folder {root.resolve()}, found "{name}"')
    if any(part.startswith(".") for part in path.parts):
        raise UserError(f'expected a name that does not begin with a dot, found "{name}"')
    if not (root / path).parent.is_dir():
        raise UserError(f"there is no folder {path.parent} below {root.resolve()}; make it first")
    return path


def _state(path: Path, now: Content | None, text: str) -> FileState:
    if now is None:
        return FileState("", "", ())
    there = read_text(path).replace("\r\n", "\n")
    if there == text:
        return FileState(now.digest, there, ())
    lines = list(
        difflib.unified_diff(there.splitlines(), text.splitlines(), "in the file", "on the page", lineterm="", n=2)
    )
    if len(lines) > MOST_SHOWN:
        lines = [*lines[:MOST_SHOWN], f"... and {len(lines) - MOST_SHOWN} more lines"]
    return FileState(now.digest, there, tuple(lines) or ("only the end of the last line differs",))


def _written(text: str, now: Content | None) -> bytes:
    """Return the text as the file has its lines."""
    before = b"" if now is None else now.data
    if b"\r\n" in before and before.count(b"\r\n") == before.count(b"\n"):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return (_BOM if before.startswith(_BOM) else b"") + text.encode()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
