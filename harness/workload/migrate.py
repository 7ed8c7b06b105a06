"""Workloads with old names of keys, rewritten in place: only the names change, no comment, quote or line break.

The text is edited where the parser says that a key stands, and is written only where it then reads as the same data
with the keys renamed.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from harness.content import check_inside
from harness.errors import WorkloadError
from harness.units import count
from harness.workload.mistakes import found
from harness.workload.renamed import RENAMED, candidates_of, settings_without_effect, workload_of_today
from harness.workload.source import Loc, Source, parse_yaml, read_text

__all__ = ["Migrated", "Rewritten", "migrate", "rewrite"]

_RECORDS = ("environment.json", "calls.jsonl", "summary.json")  # a `workload.yaml` beside one of them is a run's
_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|\Z)")  # as the parser counts them


class Rewritten(NamedTuple):
    """A workload's text with today's names."""

    text: str
    renamed: int  # how many keys
    left_out: tuple[str, ...]  # settings at their default that have no effect, one for each time


class Migrated(NamedTuple):
    """What became of one file."""

    said: str  # in a line
    changes: bool  # it was rewritten, or would be
    failed: bool  # it could not be read or written; `said` is the reason


def migrate(path: Path, *, check: bool = False) -> Iterator[Migrated]:
    """Rewrite the workload at `path`, or each in the folder at `path`, and yield what became of it.

    `check`: say what would happen and change nothing.
    """
    if not path.is_dir():
        yield _migrated(path, check)
    elif _is_record(path / "workload.yaml"):
        yield _migrated(path / "workload.yaml", check)
    else:
        try:
            files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml") and not file.is_dir())
        except OSError as error:
            yield Migrated(f"{path}: cannot be read: {_why(error)}", changes=False, failed=True)
            return
        workloads = [file for file in files if _may_be_workload(file)]
        if not workloads:
            said = f"{path}: no workload in this folder; name the files, or the folder that they are in"
            yield Migrated(said, changes=False, failed=True)
        for file in workloads:
            yield _migrated(file, check)


def rewrite(text: str, name: str) -> Rewritten:
    """Return the text of a workload with today's names; `name` says in messages where it came from.

    Raises:
        WorkloadError: it cannot be read, is no workload, or has a key that cannot be renamed in place.
    """
    source = parse_yaml(text, name)
    if not _is_workload(source.data):
        shown = ", ".join(f"`{key}`" for key in list(source.data)[:4]) if isinstance(source.data, dict) else ""
        raise WorkloadError(
            name, f"no workload: expected the keys `version` and `pipelines`, found {shown or found(source.data)}"
        )
    lines = _LINE.findall(text)
    starts = [0, *accumulate(map(len, lines))]
    # By where it begins: where it ends, and what takes its place. An alias of a candidate gives the same ones again.
    edits: dict[int, tuple[int, str]] = {}
    left_out: dict[int, str] = {}
    for candidate, routing in candidates_of(source.data):
        idle = settings_without_effect(routing)
        for key in routing:
            at: Loc = ("compare", candidate, key)
            line, column = source.keys[at]
            begins = starts[line - 1] + column - 1
            if key in RENAMED:
                begins = _begins(source, at, text, begins)
                edits[begins] = (begins + len(key), RENAMED[key])
            elif key in idle and _alone(lines[line - 1], key):
                edits[starts[line - 1]] = (starts[line], "")
                left_out[line] = key
    for begins, (ends, new) in sorted(edits.items(), reverse=True):
        text = text[:begins] + new + text[ends:]
    _check(source, text)
    return Rewritten(text, len(edits) - len(left_out), tuple(left_out.values()))


def _begins(source: Source, at: Loc, text: str, begins: int) -> int:
    """Return where the name of an old key begins whose key begins at `begins`. WorkloadError where it is not there."""
    key = str(at[-1])
    called = f"`{key}` is called `{RENAMED[key]}` now"
    if RENAMED[key] in source.data["compare"][at[1]]:
        raise WorkloadError(source.where(at, key=True), f"{called}, and both are there; remove one of them")
    for quote in ("", "'", '"'):
        if text.startswith(f"{quote}{key}{quote}", begins):
            return begins + len(quote)
    message = f"{called}, but an anchor, a tag or an escape in the key is in the way; rename it by hand"
    raise WorkloadError(source.where(at, key=True), message)


def _alone(line: str, key: str) -> bool:
    """Whether a line holds a key with a number and nothing else; a comment is kept."""
    return re.fullmatch(rf" +{key}:[ \t]+[0-9.]+\s*", line) is not None


def _check(source: Source, rewritten: str) -> None:
    """Raise WorkloadError unless the new text reads as the old one's data with the keys renamed."""
    try:
        data = parse_yaml(rewritten, source.name).data
    except WorkloadError:
        data = None
    left = any(key in RENAMED for _, routing in candidates_of(data) for key in routing)
    if left or workload_of_today(data) != workload_of_today(source.data):
        # Such as an anchor that stands for a candidate here and for something else there.
        names = ", ".join(f"`{new}` for `{old}`" for old, new in RENAMED.items())
        message = f"renaming here would change more than the candidates; write by hand {names}"
        raise WorkloadError(source.where(("compare",), key=True), message)


# --- files --------------------------------------------------------------------------------------------------


def _migrated(path: Path, check: bool) -> Migrated:
    if _is_record(path):
        said = "left alone: the record of a run, which is read as it is; to run it again, migrate a copy elsewhere"
        return Migrated(f"{path}: {said}", changes=False, failed=False)
    try:
        text = read_text(path)
        check_inside(path, path.parent)
        done = rewrite(text, str(path))
        changes = bool(done.renamed or done.left_out)
        if changes and not check:
            _write(path, done.text)
    except WorkloadError as error:
        return Migrated(str(error), changes=False, failed=True)
    return Migrated(f"{path}: {_said(done, check)}", changes, failed=False)


def _said(done: Rewritten, check: bool) -> str:
    parts = []
    if done.renamed:
        parts.append(f"{count(done.renamed, 'key')} {'to rename' if check else 'renamed'}")
    if done.left_out:
        settings = count(len(done.left_out), "default setting")
        names = ", ".join(dict.fromkeys(done.left_out))
        parts.append(f"{settings} without effect {'to leave out' if check else 'left out'} ({names})")
    return ", ".join(parts) or "nothing to rename"


def _is_record(path: Path) -> bool:
    """Whether this is the workload that a run wrote down."""
    return path.name == "workload.yaml" and path.is_file() and any((path.parent / name).exists() for name in _RECORDS)


def _is_workload(data: Any) -> bool:
    return isinstance(data, dict) and "version" in data and "pipelines" in data


def _may_be_workload(path: Path) -> bool:
    """Whether a file in a folder is a workload, or cannot be read, which has to be said."""
    try:
        return _is_workload(parse_yaml(read_text(path), str(path)).data)
    except WorkloadError:
        return True


def _write(path: Path, text: str) -> None:
    """Put the text in place of the old one, at once or not at all, with the same rights; a link stays a link."""
    target = path.resolve()
    scratch = None
    try:
        with target.open("rb") as file:
            mark = codecs.BOM_UTF8 if file.read(3) == codecs.BOM_UTF8 else b""
        handle, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(mark + text.encode())
        shutil.copymode(target, scratch)
        Path(scratch).replace(target)
    except OSError as error:
        if scratch is not None:
            with suppress(OSError):
                Path(scratch).unlink()
        raise WorkloadError(str(path), f"cannot be written: {_why(error)}; it is as it was") from None


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
