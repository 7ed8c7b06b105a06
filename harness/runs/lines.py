"""The record files of a run, line by line: what can be read is used, what cannot is named."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic_core import from_json

from harness.errors import UserError
from harness.runs.model import Note
from harness.units import count, size

__all__ = ["PACKED", "Lines", "known", "leave_out", "once", "read_bytes", "read_lines"]

T = TypeVar("T")
MOST = 1e12  # seconds, tokens, or numbers of a thing: beyond that a line is damaged, whatever its types are
LEAST = -1e6
PACKED = ".gz"  # after the name of a file of records that is kept small: whoever reads a run reads it too
_MOST_BYTES = 1 << 30  # of a file that was packed


class Lines(NamedTuple):
    """The records of one file, and what has to be said of it."""

    records: list[Any]
    notes: list[Note]


def leave_out(lines: Lines, what: str, is_known: Callable[[Any], bool]) -> None:
    """Take out, and say so, what the workload does not know: an edited or a mixed-up folder."""
    kept = [record for record in lines.records if is_known(record)]
    if len(kept) < len(lines.records):
        left = count(len(lines.records) - len(kept), "record")
        lines.notes.append(Note("records", f"{left} left out: the workload has no {what} of that name."))
        lines.records[:] = kept


def once(lines: Lines, file: str, key: Callable[[Any], Hashable]) -> None:
    """Take out, and say so, what stands in a file twice: each thing counts once, as it stands there first."""
    kept = list({key(record): record for record in reversed(lines.records)}.values())
    if twice := len(lines.records) - len(kept):
        repeat = "repeats" if twice == 1 else "repeat"
        lines.notes.append(Note("records", f"{file}: {count(twice, 'line')} {repeat} a record: left out."))
        lines.records[:] = reversed(kept)


def known(flat: dict[str, Any], record: Any) -> dict[str, Any]:
    """The fields of a record; what older runs don't have keeps its default."""
    if record._fields == tuple(flat):
        return flat
    return {name: flat[name] for name in record._fields if name in flat or name not in record._field_defaults}


def _can_be(value: object) -> bool:
    return not isinstance(value, int | float) or LEAST < value < MOST


def read_bytes(path: Path) -> bytes:
    """Return what is in a file, or in the packed one that stands in its place.

    Raises:
        UserError: the packed one is damaged, or too large.
    """
    packed = path.with_name(path.name + PACKED)
    if path.exists() or not packed.exists():
        return path.read_bytes()
    try:
        with gzip.open(packed) as file:
            raw = file.read(_MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{packed}: expected a whole gzip file, found a damaged one; copy it again") from None
    if len(raw) > _MOST_BYTES:
        raise UserError(f"{packed}: expected at most {size(_MOST_BYTES)} unpacked, found more")
    return raw


def read_lines(path: Path, parse: Callable[[dict[str, Any]], T]) -> Lines:
    """Read a file of JSON lines, packed or not; lines that cannot be parsed are left out and named in a note."""
    try:
        raw = read_bytes(path)
    except FileNotFoundError:
        return Lines([], [Note("records", f"{path.name} is missing: its records are not in this report.")])
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    records: list[T] = []
    damaged: list[int] = []
    lines = raw.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            flat = from_json(line, allow_inf_nan=False)  # twice as fast as json, and of one mind with it
            if not all(map(_can_be, flat.values())):
                raise ValueError("a number that cannot be")
            records.append(parse(flat))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            damaged.append(number)
    if not damaged:
        return Lines(records, [])
    if damaged == [len(lines)]:
        cut = f"{path.name}: the last line is damaged and was left out; the run was interrupted there."
        return Lines(records, [Note("records", cut)])
    first = ", ".join(str(number) for number in damaged[:5]) + (", ..." if len(damaged) > 5 else "")
    lost = f"{path.name}: {count(len(damaged), 'line')} of {len(lines)} damaged and left out (line {first})."
    return Lines(records, [Note("records", lost)])
