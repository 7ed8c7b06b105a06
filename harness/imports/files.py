"""A file of traces or of rows, whatever its form: what it is, is seen from its content, never from its name."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.imports.exports import form_of
from harness.imports.json_stream import JsonStream, ReadsBytes, printable
from harness.imports.otlp import GROUPS, spans_of_groups
from harness.imports.rows import CallRow, is_row, row_of
from harness.imports.spans import Span, SpansFound

__all__ = ["read_file", "read_spans"]

MAX_BYTES = 1 << 34  # unpacked
WANTED = "traces or rows of calls"
_LISTS = ("data", "spans", "observations", "runs", "traces", "items", "child_runs", "requests")
_ENTERED = frozenset((*GROUPS, *_LISTS, "trace"))
_DEEPEST = 8  # lists within each other, before what they hold
_OTHER_SIGNALS = ("resourceMetrics", "resourceLogs", "resource_metrics", "resource_logs")
_PACKED = {
    b"PAR1": "a Parquet file; write it as JSON lines first: pandas.read_parquet(FILE).to_json(OUT, orient='records', "
    "lines=True)",
    b"PK\x03\x04": "a zip file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file; unpack it first: zstd -d FILE",
    b"BZh": "a bzip2 file; unpack it first: bunzip2 FILE",
    b"SQLite format 3": "a database of SQLite; export its spans as JSON",
}
_HELP = (
    "read are OTLP JSON, spans of OpenTelemetry's SDKs, Jaeger, Tempo, Zipkin, Phoenix, Langfuse and LangSmith, and "
    "rows with tokens of prompts and answers: export one of these"
)


def read_spans(path: Path, found: SpansFound) -> Iterator[Span]:
    """Yield the spans of a file; `found` counts along. Raises UserError as `read_file`, and where there are rows."""
    for one in read_file(path, found):
        if isinstance(one, Span):
            yield one


def read_file(path: Path, found: SpansFound, unit: str = "") -> Iterator[Span | CallRow]:
    """Yield what a file holds; a span without ids or times has no `trace`.

    The last of several values may break off: that is said in `found.truncated`, and what stands before it is whole.

    Args:
        path: JSON or CSV, packed with gzip or not.
        found: counts along, and knows the form afterwards.
        unit: of the times of rows, where somebody said so.

    Raises:
        UserError: with line and column, what is no JSON; with what was found, a form that is not known.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(16)
            raw.seek(0)
            for mark, what in _PACKED.items():
                if start.startswith(mark):
                    raise UserError(f"{path}: expected {WANTED}, found {what}")
            if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise UserError(f"{path}:1: expected text in UTF-8, found the byte {start[0]:#04x} (UTF-16)")
            if start[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield from _read(path, _Bounded(path, unpacked), found, unit)
            else:
                yield from _read(path, _Bounded(path, raw), found, unit)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path}: expected a whole gzip file, found a damaged one; export the traces again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


class _Bounded:
    """A file that gives up where it is unpacked to more than anybody has."""

    def __init__(self, path: Path, file: ReadsBytes) -> None:
        self._path, self._file, self._left = path, file, MAX_BYTES
        self._head = file.read(4096)

    def first(self) -> str:
        """Return the first character that is no space."""
        return self._head.decode("utf-8-sig", "replace").lstrip()[:1]

    def read(self, size: int, /) -> bytes:
        head, self._head = self._head, b""
        got = head or self._file.read(size)
        self._left -= len(got)
        if self._left < 0:
            raise UserError(f"{self._path}: expected at most 16 GB, found more; import a part of it")
        return got


def _read(path: Path, file: _Bounded, found: SpansFound, unit: str) -> Iterator[Span | CallRow]:
    if file.first() not in ("{", "[", '"', "") and (rows := _csv(path, file, found, unit)) is not None:
        yield from rows
        return
    stream = JsonStream(file, str(path), WANTED)
    if not stream.next():
        raise stream.wrong(cut=True)
    values = _Values(path, found, unit)
    many = False
    while stream.next():
        try:
            yield from values.next(stream)
        except UserError as error:
            if not many or not stream.cut:
                raise
            found.truncated = str(error)  # only the last value has no end: its writer was interrupted
            return
        many = True


class _Values:
    """Reads the values of one file."""

    def __init__(self, path: Path, found: SpansFound, unit: str) -> None:
        self.path, self.found, self.unit = path, found, unit

    def next(self, stream: JsonStream, depth: int = 0) -> Iterator[Span | CallRow]:
        """Read the next value: enter what holds many, take everything else as a whole."""
        opens = stream.next()
        if depth > _DEEPEST:
            raise UserError(f"{self.path}:{stream.line}: expected {WANTED}, found a nesting that no exporter writes")
        if opens == "[":
            for _ in stream.items():
                yield from self.next(stream, depth + 1)
        elif opens == "{" and stream.first_key() in _ENTERED:
            yield from self._enter(stream, depth)
        else:
            line = stream.line
            raw = stream.whole()
            if not isinstance(raw, dict):
                raise self._refused(line, raw)
            yield from self._spread(raw, line)

    def _enter(self, stream: JsonStream, depth: int) -> Iterator[Span | CallRow]:
        line, keys, before = stream.line, list[str](), self.found.spans
        rest: dict[str, Any] = {}
        for key in stream.members():
            keys.append(key)
            opens = stream.next()
            if key in GROUPS and opens == "[":
                self.found.form = self.found.form or "OTLP JSON"
                yield from spans_of_groups(stream, self.found)
            elif (key in _LISTS and opens == "[") or (key == "trace" and opens == "{"):
                yield from self.next(stream, depth + 1)
            else:
                rest[key] = stream.whole()
        if self.found.spans == before and not any(
            key in (*GROUPS, *_LISTS, "trace") for key in keys if key not in rest
        ):
            yield from self._spread(rest, line)

    def _spread(self, raw: dict[str, Any], line: int) -> Iterator[Span | CallRow]:
        """Yield the spans or the row that an object is or holds."""
        stack: list[tuple[Any, Mapping[str, Any]]] = [(raw, {})]
        while stack:
            one, context = stack.pop()
            if not isinstance(one, dict):
                raise self._refused(line, one)
            if form := form_of(one):
                self.found.form = self.found.form or form.name
                self.found.spans += 1
                yield form.read(_with(one, context), self.found)
                runs = one.get("child_runs")
                stack += [(run, {}) for run in runs] if isinstance(runs, list) else []
            elif key := next((key for key in GROUPS if isinstance(one.get(key), list)), ""):
                self.found.form = self.found.form or "OTLP JSON"
                inner = JsonStream(io.BytesIO(json.dumps(one[key]).encode()), f"{self.path}:{line}", WANTED)
                yield from spans_of_groups(inner, self.found)
            elif isinstance(one.get("trace"), dict):
                stack.append((one["trace"], {}))
            elif key := next((key for key in _LISTS if isinstance(one.get(key), list)), ""):
                stack += [(part, {**one, key: None}) for part in reversed(one[key])]
            elif (row := row_of(one, self.unit)) is not None:
                self._is_row(row)
                yield row
            elif not any(key in one for key in _OTHER_SIGNALS):  # some collectors write all signals to one file
                raise self._refused(line, one)

    def _is_row(self, row: CallRow) -> None:
        self.found.form, self.found.what = self.found.form or row.form, "row"
        self.found.spans += 1

    def _refused(self, line: int, value: Any) -> UserError:
        return UserError(f"{self.path}:{line}: expected {WANTED}, found {_shown(value)}; {_HELP}")


def _with(span: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a span what only the trace around it tells: Jaeger's process, Langfuse's ids."""
    if not context:
        return span
    processes = context.get("processes")
    if isinstance(processes, dict) and isinstance(span.get("processID"), str):
        span = {**span, "process": processes.get(span["processID"])}
    if "observations" in context:
        more = {"traceId": context.get("id"), "sessionId": context.get("sessionId")}
        span = {**{key: value for key, value in more.items() if value}, **span}
    return span


def _csv(path: Path, file: _Bounded, found: SpansFound, unit: str) -> Iterator[CallRow] | None:
    """Return the rows of a CSV file; None where its first line names no columns of calls."""
    text = io.TextIOWrapper(io.BufferedReader(_Raw(file)), encoding="utf-8-sig", newline="")
    reader = csv.DictReader(text)
    try:
        names = reader.fieldnames or []
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}:1: expected {WANTED}, found {_shown_error(error)}; {_HELP}") from None
    if not is_row(dict.fromkeys(names, "")):
        what = f"columns {', '.join(names[:6])}" if len(names) > 1 else f'"{(names or [""])[0][:20]}"'
        raise UserError(f"{path}:1:1: expected {WANTED}, found {printable(what[:160])}; {_HELP}")
    return _csv_rows(path, reader, found, unit)


def _csv_rows(path: Path, reader: csv.DictReader[str], found: SpansFound, unit: str) -> Iterator[CallRow]:
    found.what = "row"
    try:
        for cells in reader:
            row = row_of({key: value for key, value in cells.items() if key is not None}, unit)
            if row is not None:
                found.spans += 1
                found.form = found.form or row.form
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        where = f"{path}:{reader.line_num + 1}"
        raise UserError(f"{where}: expected a line of CSV in UTF-8, found {_shown_error(error)}") from None


class _Raw(io.RawIOBase):
    """A bounded file for the readers of the standard library."""

    def __init__(self, file: _Bounded) -> None:
        self._file, self._left = file, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._left = self._left or self._file.read(len(buffer))
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _shown_error(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"the byte {error.object[error.start]:#04x}"
    return str(error)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        keys = printable(", ".join(str(key) for key in list(value)[:4]))
        return f"an object with {keys[:80] or 'nothing in it'}"
    return {list: "a list", str: "a text", type(None): "null", bool: "a truth value"}.get(type(value), "a number")
