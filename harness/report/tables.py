"""The calls of a run as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

from harness.report.text import plain
from harness.runs.model import Run
from harness.runs.rows import COLUMNS, call_rows

__all__ = ["csv_lines", "json_lines"]

_FORMULA = ("=", "+", "-", "@")


def csv_lines(run: Run, candidates: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the calls as CSV (RFC 4180, comma, dot, UTF-8), the names of the columns first; what is not known is empty.

    Texts lose control characters, and one that a spreadsheet would take for a formula begins with an apostrophe.
    """
    yield _csv(COLUMNS)
    for row in call_rows(run, candidates):
        yield _csv([_cell(row[name]) for name in COLUMNS])


def json_lines(run: Run, candidates: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the calls as JSON, a line each."""
    for row in call_rows(run, candidates):
        yield json.dumps(row, separators=(",", ":"))


def _csv(cells: Iterable[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
