"""Arrivals that somebody recorded: a file of times, read and checked when the workload is loaded."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.content import check_inside
from harness.errors import WorkloadError
from harness.workload.source import read_text

__all__ = ["COLUMNS", "MAX_ARRIVALS", "read_arrivals"]

MAX_ARRIVALS = 1_000_000
MAX_FILE_BYTES = 64 * 1024 * 1024

# In this order, and in any case of the letters.
COLUMNS = ("time_s", "at_s", "due_s", "arrival_s", "arrived_at", "timestamp", "time")


def read_arrivals(name: str, folder: Path) -> tuple[float, ...]:
    """Read the intended starts, in seconds, from a file below `folder`.

    A CSV file, a file with one time a line, or JSON lines (`.jsonl`, `.ndjson`). The time is the column or the field
    named like one of `COLUMNS`; a CSV file without a header has it first. Times are seconds, or dates with a time
    of day (ISO 8601), which are counted from the first. Rows of Mooncake and AIPerf count milliseconds, and are
    known by their `input_length`.

    Raises:
        WorkloadError: with file:line: no such file, no time where one should be, times that decrease, a negative
            one, numbers and dates mixed, too many.
    """
    if Path(name).is_absolute() or name.startswith(("~", "\\")) or ".." in Path(name).parts:
        raise WorkloadError(name, "expected a path that stays in the workload's folder")
    path = folder / name
    check_inside(path, folder)
    text = read_text(path, MAX_FILE_BYTES)
    cells = _of_json(path, text) if path.suffix in (".jsonl", ".ndjson") else _of_csv(path, text)
    due_s: list[float] = []
    zero: datetime | None = None
    before = None
    for line, cell in cells:
        where = f"{path}:{line}:1"
        if len(due_s) == MAX_ARRIVALS:
            raise WorkloadError(where, f"expected at most {MAX_ARRIVALS} arrivals, found more")
        value = _number(cell)
        if value is None:
            moment = _moment(cell)
            if moment is None:
                raise WorkloadError(where, f"expected a time in seconds or a date with a time, found {_shown(cell)}")
            if due_s and zero is None:
                raise WorkloadError(where, f"expected seconds as in the lines before, found {_shown(cell)}")
            zero = zero or moment
            value = (moment - zero).total_seconds()
        elif zero is not None:
            raise WorkloadError(where, f"expected a date as in the lines before, found {_shown(cell)}")
        if not due_s and value < 0:
            raise WorkloadError(where, f"expected a time of 0 or more, found {_shown(cell)}")
        if due_s and value < due_s[-1]:
            raise WorkloadError(where, f"times must not decrease, found {_shown(cell)} after {_shown(before)}")
        due_s.append(value)
        before = cell
    if not due_s:
        raise WorkloadError(str(path), "expected arrival times, found none")
    return tuple(due_s)


def _of_csv(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Yield line and cell of the time column."""
    reader = csv.reader(line.partition("#")[0] if line.lstrip().startswith("#") else line for line in text.splitlines())
    column = 0
    first = True
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise WorkloadError(f"{path}:{reader.line_num}:1", f"expected a line of CSV: {error}") from None
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if first:
            first = False
            if all(_number(cell) is None and _moment(cell) is None for cell in row):
                column = _column(f"{path}:{reader.line_num}:1", row)
                continue
        yield reader.line_num, row[column].strip() if column < len(row) else ""


def _column(where: str, header: list[str]) -> int:
    names = [cell.strip().lower() for cell in header]
    known = [names.index(name) for name in COLUMNS if name in names]
    if known:
        return known[0]
    if len(names) == 1:
        return 0
    shown = ", ".join(f'"{_cut(cell.strip())}"' for cell in header[:8])
    raise WorkloadError(where, f"expected a column named {_one_of_columns()}, found {shown}")


def _of_json(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}:1"
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise WorkloadError(where, f"expected a line of JSON: {error}") from None
        if isinstance(data, dict):
            lower = {key.lower(): value for key, value in data.items()}
            field = next((name for name in COLUMNS if name in lower), None)
            if field is None:
                shown = ", ".join(f'"{_cut(key)}"' for key in list(data)[:8]) or "an empty object"
                raise WorkloadError(where, f"expected a field named {_one_of_columns()}, found {shown}")
            data = _milliseconds(lower[field]) if _is_mooncake(lower) else lower[field]
        yield number, data


def _is_mooncake(row: dict[str, Any]) -> bool:
    return "input_length" in row and "chat_id" not in row  # Bailian's rows count seconds


def _milliseconds(cell: Any) -> Any:
    number = _number(cell)
    return cell if number is None else number / 1000


def _one_of_columns() -> str:
    return f"{', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}"


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _moment(cell: Any) -> datetime | None:
    """Read a date with a time; one without a zone counts as UTC."""
    if not isinstance(cell, str) or len(cell.strip()) < len("2026-01-01T00"):
        return None
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return f'"{_cut(cell)}"' if cell else "nothing"
    return _cut(json.dumps(cell))


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
