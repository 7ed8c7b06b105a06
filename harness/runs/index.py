"""The index of a folder of runs: one SQLite file in it that makes ten thousand runs listable at once.

The run folders are the truth and the index is a cache of them: every look compares it with what is there, by a
`stat` a folder, and mends it. Deleting it costs nothing but the time of the next look. It lies beside the runs, so it
moves with them and knows no other place.

Nothing heavy is imported here: a list has to be there at once.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import SlotwiseError, UserError
from harness.units import safe_text

__all__ = ["INDEX_NAME", "INDEX_VERSION", "Filters", "RunRow", "find_runs", "note_run"]

INDEX_NAME = ".slotwise-index.sqlite"
INDEX_VERSION = 1
_PATIENCE_S = 5.0  # for another process that is writing
_LARGEST_FILE_BYTES = 64 << 20  # of environment.json and summary.json; a larger one is not ours


class RunRow(NamedTuple):
    """What the index says of one run."""

    folder: str  # its name within the folder of runs
    workload: str
    origin: str
    started_at: str  # RFC 3339, as it was written
    # complete, partial, or damaged: its header cannot be read, and nothing else is known; `harness.app.runs` also says
    # which partial ones are running, or perhaps running: on another machine
    state: str
    machine: str
    cores: int | None
    engine: str  # kinds of servers with their versions
    model: str
    candidates: str  # names, joined
    repeats: int | None  # asked for, where the command line did
    trials: int  # that ended
    seed: int | None
    chosen: str | None  # the candidate to take; None in a trade, or where no report was written yet


class Filters(NamedTuple):
    """Which runs are wanted; None and empty: any. Texts are looked for anywhere, in upper and lower case."""

    name: str | None = None  # in the folder or the workload
    machine: str | None = None
    model: str | None = None
    origin: str | None = None  # exactly
    since: datetime | None = None  # with a time zone


_COLUMNS = ", ".join(RunRow._fields)
_SCHEMA = f"""
CREATE TABLE runs ({_COLUMNS}, started_s REAL, stamp TEXT, PRIMARY KEY (folder)) WITHOUT ROWID;
CREATE INDEX by_start ON runs (started_s);
PRAGMA user_version = {INDEX_VERSION};
"""
_PUT = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * (len(RunRow._fields) + 2))})"  # noqa: S608 - names of our own


def find_runs(root: Path, filters: Filters = Filters(), limit: int | None = None) -> tuple[list[RunRow], int]:  # noqa: B008 - a tuple
    """Return the runs below `root` that are wanted, the latest first, and how many there are in all.

    Raises:
        UserError: `root` is no folder, or its index was written by a newer Slotwise.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; expected one that holds runs, as `slotwise run --out` makes it")
    try:
        return _find(_open(root), root, filters, limit)
    except sqlite3.OperationalError:  # read-only, no room, or locked for too long
        return _find(_in_memory(), root, filters, limit)
    except sqlite3.DatabaseError:
        _discard(root)
        return _find(_open(root), root, filters, limit)


def note_run(folder: Path) -> None:
    """Put a run that has just been written into the index of the folder that it lies in, where there is one.

    Never fails: the next look finds it anyway, and says what is wrong with the index.
    """
    if not (folder.parent / INDEX_NAME).exists():  # the first `slotwise runs` makes it
        return
    with suppress(SlotwiseError, sqlite3.Error, OSError), closing(_open(folder.parent)) as index:
        if (found := _read(folder.parent, folder.name)) is not None:
            with index:
                index.execute(_PUT, found)


def _find(index: sqlite3.Connection, root: Path, filters: Filters, limit: int | None) -> tuple[list[RunRow], int]:
    with closing(index):
        _mend(index, root)
        where, values = _where(filters)
        order = f"SELECT {_COLUMNS} FROM runs{where} ORDER BY started_s DESC, folder LIMIT ?"  # noqa: S608 - all values are bound
        rows = [RunRow(*row) for row in index.execute(order, (*values, -1 if limit is None else limit))]
        (total,) = index.execute(f"SELECT count(*) FROM runs{where}", values).fetchone()  # noqa: S608 - as above
        return rows, int(total)


def _open(root: Path) -> sqlite3.Connection:
    """Open the index, or make it."""
    connection = sqlite3.connect(root / INDEX_NAME, timeout=_PATIENCE_S)
    try:
        _prepare(connection, root / INDEX_NAME)
    except BaseException:
        connection.close()
        raise
    return connection


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SCHEMA)
    return connection


def _discard(root: Path) -> None:
    """Remove an index that is none, or is damaged."""
    for name in (INDEX_NAME, f"{INDEX_NAME}-wal", f"{INDEX_NAME}-shm"):
        with suppress(OSError):
            (root / name).unlink()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > INDEX_VERSION:
        raise UserError(
            f"{path}: written by a newer Slotwise (index version {version}, this one knows {INDEX_VERSION}); use that "
            "one, or delete the file: it holds nothing that is not in the run folders"
        )
    if version == INDEX_VERSION:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been faster.
    if connection.execute("PRAGMA user_version").fetchone()[0] != INDEX_VERSION:
        connection.execute("DROP TABLE IF EXISTS runs")
        for statement in _SCHEMA.strip().split(";\n"):
            connection.execute(statement.rstrip(";"))
    connection.commit()


def _mend(index: sqlite3.Connection, root: Path) -> None:
    """Bring the index to what is there; what it holds of folders that are gone, moved or older goes."""
    rows_there = index.execute("SELECT folder, stamp, state = 'complete' AND chosen IS NOT NULL FROM runs")
    known = {folder: (stamp, bool(settled)) for folder, stamp, settled in rows_there}
    stamps = _stamps(root, known)
    stale = [name for name, stamp in stamps.items() if name not in known or known[name][0] != stamp]
    gone = known.keys() - stamps.keys()
    if not stale and not gone:
        return
    rows = [(name, _read(root, name)) for name in stale]  # before the lock: this may take a while
    index.execute("BEGIN IMMEDIATE")
    # What is no run is not listed.
    forget = [(name,) for name in (*gone, *(name for name, row in rows if row is None))]
    index.executemany("DELETE FROM runs WHERE folder = ?", forget)
    index.executemany(_PUT, [row for _, row in rows if row is not None])
    index.commit()


def _stamps(root: Path, known: dict[str, tuple[str, bool]]) -> dict[str, str]:
    """Return every run folder with what changes when it does."""
    try:
        names = os.listdir(root)  # noqa: PTH208 - a Path of each is not needed
        at = os.open(root, os.O_RDONLY)  # names relative to it are found in half of the time
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror or error}") from error
    new = ("", False)
    found = {}
    try:
        for name in names:
            if not name.startswith("."):
                stamp = _stamp(at, name, settled=known.get(name, new)[1])
                if stamp is not None:
                    found[name] = stamp
    finally:
        os.close(at)
    return found


def _stamp(at: int, name: str, *, settled: bool) -> str | None:
    """Return what changes when a run does; None where it is no run.

    Of a run that is settled that is its header, which is written beside the old one and renamed; an editor may write in
    place. Of one that goes on, was interrupted, or has no report yet it is also its trials and whatever appears in it.
    """
    try:
        header = os.stat(f"{name}/environment.json", dir_fd=at)
        stamp = f"{header.st_ino}.{header.st_mtime_ns}.{header.st_size}"
        if settled:
            return stamp
        return f"{stamp}.{os.stat(name, dir_fd=at).st_mtime_ns}.{os.stat(f'{name}/trials.jsonl', dir_fd=at).st_size}"
    except FileNotFoundError as error:
        return stamp if str(error.filename).endswith("trials.jsonl") else None
    except OSError:
        return None


def _read(root: Path, name: str) -> tuple[Any, ...] | None:
    """Read a run folder into the columns of the table; None where it is none."""
    folder = root / name
    before = _stamps_of(root, name)  # first: what changes while it is read shows at the next look
    header = _json(folder / "environment.json")
    if not (folder / "environment.json").is_file():
        return None
    if not isinstance(header, dict) or not isinstance(header.get("name"), str) or _storable(name) != name:
        nothing = RunRow(_storable(name), "", "", "", "damaged", "", None, "", "", "", None, 0, None, None)
        return (*nothing, 0.0, before[0])
    partial = bool(header.get("partial"))
    summary = _json(folder / "summary.json")
    choice = summary.get("choice") if isinstance(summary, dict) else None
    machine, options = _dict(header.get("machine")), _dict(header.get("options"))
    servers = [server for server in _list(header.get("servers")) if isinstance(server, dict)]
    models = [server.get("model") for server in servers]
    models += [
        model.get("model") for server in servers for model in _list(server.get("models")) if isinstance(model, dict)
    ]
    started_at = str(header.get("started_at"))
    row = RunRow(
        folder=name,
        workload=header["name"],
        origin=str(header.get("origin")),
        started_at=started_at,
        state="partial" if partial else "complete",
        machine=str(machine.get("cpu", "")),
        cores=_whole(machine.get("cores")),
        engine=_joined(f"{server.get('kind')} {server.get('version') or ''}".strip() for server in servers),
        model=_joined(str(model) for model in models if model),
        candidates=_joined(str(candidate) for candidate in _list(header.get("candidates"))),
        repeats=_whole(options.get("repeats")),
        trials=_lines(folder / "trials.jsonl"),
        seed=_whole(header.get("seed")),
        chosen=str(choice["candidate"]) if isinstance(choice, dict) and choice.get("candidate") else None,
    )
    plain = (_storable(safe_text(value)) if isinstance(value, str) and at else value for at, value in enumerate(row))
    return (*plain, _seconds(started_at), before[row.state == "complete" and row.chosen is not None])


def _stamps_of(root: Path, name: str) -> tuple[str | None, str | None]:
    """Return the stamps of a run that is not settled and of one that is."""
    at = os.open(root, os.O_RDONLY)
    try:
        return _stamp(at, name, settled=False), _stamp(at, name, settled=True)
    finally:
        os.close(at)


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return _packed_lines(path)
    except OSError:
        return 0


def _packed_lines(path: Path) -> int:
    from harness.runs.lines import read_bytes  # late: most runs are not packed

    try:
        return read_bytes(path).count(b"\n")
    except (OSError, UserError):
        return 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and abs(value) < 1 << 63 else None


def _storable(text: str) -> str:
    """Return a text as SQLite takes it: halves of characters become question marks."""
    return text.encode(errors="replace").decode()


def _joined(texts: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _seconds(started_at: str) -> float:
    try:
        return datetime.fromisoformat(started_at).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _where(filters: Filters) -> tuple[str, list[str | float]]:
    terms: list[str] = []
    values: list[str | float] = []
    for text, columns in (
        (filters.name, ("folder", "workload")),
        (filters.machine, ("machine",)),
        (filters.model, ("model",)),
    ):
        if text is not None:
            terms.append("(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns) + ")")
            escaped = "".join(f"\\{character}" if character in "\\%_" else character for character in text)
            values += [f"%{escaped}%"] * len(columns)
    if filters.origin is not None:
        terms.append("origin = ?")
        values.append(filters.origin)
    if filters.since is not None:
        terms.append("started_s >= ?")
        values.append(filters.since.timestamp())
    return (" WHERE " + " AND ".join(terms) if terms else ""), values
