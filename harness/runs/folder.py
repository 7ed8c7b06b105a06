"""A run on disk, both directions: written record by record while it happens, read back whole.

    workload.yaml       the workload as it was run; it loads, and runs again
    inputs/, profiles/  copies of the documents and profiles that it names
    numbers/            lists that are too long for it
    environment.json    what was run, on what, with which options; the version of this format
    calls.jsonl         one line per call, appended and flushed as it ends; packed with gzip it is calls.jsonl.gz
    jobs.jsonl, delays.jsonl, trials.jsonl
    slots.jsonl         slots and prompt tokens found again, of calls to servers whose log tells them
    cut/                records of interrupted trials, which were measured again (harness.runs.resume)
    summary.json, report.md, charts/    rendered from the above (harness.report)

A trial's line is written when it has ended, so a run that was killed holds everything up to that instant, and what is
missing shows. Nothing in the folder names the folder: it may be moved.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.core.records import CallRecord, DelayRecord, JobRecord, SlotRecord, TrialRecord
from harness.errors import LostRun, UserError
from harness.runs.head import head_files, read_head
from harness.runs.lines import PACKED, known, leave_out, once, read_lines
from harness.runs.model import Run
from harness.runs.writer import WRITER_NAME, forget_writer, note_writer, writer_of
from harness.units import safe_text

__all__ = ["RECORD_FILES", "RunFolder", "read_run", "write_bytes", "write_text"]

_ROOM_BYTES = 1 << 20  # a run folder that cannot take this much at the start will not last
_TRIES, _LOOK_S = 3, 0.005
RECORD_FILES = ("calls", "jobs", "delays", "slots", "trials")

_encode = json.JSONEncoder(separators=(",", ":")).encode


class RunFolder:
    """The folder of one run, open for writing by this process alone. Use as a context manager, or call `close`.

    Every `add_*` appends one line and hands it to the operating system before it returns. They raise UserError where
    that fails (a full disk): what was written before stays readable.

    Args:
        before: called with the folder locked and before anything is appended.
    """

    def __init__(self, path: Path, before: Callable[[Path], None] = lambda path: None) -> None:
        self.path = path
        self.moved = ""  # in words, where the folder vanished while it was written
        self._files: dict[str, FileIO] = {}
        self._lock: int | None = None
        self._header: Run | None = None
        try:
            self._lock = _locked(path)
            for packed in path.glob(f"*.jsonl{PACKED}"):
                raise UserError(f"{packed}: packed records cannot be added to; unpack them first: gunzip {packed.name}")
            note_writer(path)
            before(path)
            for kind in RECORD_FILES:
                self._files[kind] = FileIO(path / f"{kind}.jsonl", "a+")
        except OSError as error:
            self.close()
            raise _cannot_write(path, error) from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, parent: Path, workload_name: str, started_at: datetime) -> RunFolder:
        """Make `<parent>/<workload>-<YYYYmmdd-HHMMSS>/`, or the same with -2, -3, ...: nothing is overwritten.

        Raises UserError where the folder cannot be made or has no room, so that this shows before anything is measured.
        """
        stem = f"{workload_name}-{started_at:%Y%m%d-%H%M%S}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = _new_folder(parent, stem)
            try:
                _check_room(path / ".room")
            except OSError:
                path.rmdir()
                raise
        except OSError as error:
            raise _cannot_create(parent, error) from error
        return cls(path)

    def write_header(self, run: Run) -> None:
        """Write `workload.yaml`, what it names, and `environment.json` from everything of `run` but its records.

        Called once before the first trial with `partial=True`, and again at the end with what is then known (notes,
        `partial`): a killed process leaves the first version behind, and so a run that says it is partial.
        """
        self._header = run
        self._stay()
        for name, data in run.copies.items():
            if not (self.path / name).exists():
                write_bytes(self.path, name, data)
        for name, text in head_files(run).items():
            write_bytes(self.path, name, text.encode(), durable=True)

    def add_call(self, record: CallRecord) -> None:
        """Append one call."""
        flat = record.to_json()
        if flat["error"] is not None:
            flat["error"] = safe_text(flat["error"])
        self._append("calls", flat)

    def add_job(self, record: JobRecord) -> None:
        """Append one job."""
        flat = record._asdict()
        if flat["error"] is not None:
            flat["error"] = safe_text(flat["error"])
        self._append("jobs", flat)

    def add_delay(self, record: DelayRecord) -> None:
        """Append one tool delay."""
        self._append("delays", record._asdict())

    def add_slot(self, record: SlotRecord) -> None:
        """Append what a server's log says of a call."""
        self._append("slots", record._asdict())

    def add_trial(self, record: TrialRecord) -> None:
        """Append one trial: the mark that everything of it has been written."""
        self._append("trials", record._asdict())

    def sync(self) -> None:
        """Have all that was written carried to the disk: what a trial's mark stands for survives a loss of power."""
        try:
            for file in self._files.values():
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def add_records(self, run: Run) -> None:
        """Append all records of a run that happened elsewhere: in virtual time."""
        for call in run.calls:
            self.add_call(call)
        for job in run.jobs:
            self.add_job(job)
        for delay in run.delays:
            self.add_delay(delay)
        for trial in run.trials:
            self.add_trial(trial)

    def _stay(self) -> None:
        """Go on in a new folder beside it where the folder has vanished; what was written is still in the open files.

        Raises LostRun where none can be made.
        """
        if self._lock is None or _is_there(self.path, self._lock):
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            path = _new_folder(self.path.parent, f"{self.path.name}-again")
            lock = _locked(path)
            note_writer(path)
            files = {kind: FileIO(path / f"{kind}.jsonl", "a+") for kind in RECORD_FILES}
            for kind, file in files.items():
                _copy(self._files[kind], file)
        except OSError as error:
            raise LostRun(
                f"{self.path}: the run folder has vanished, and no other can be made beside it: {_why(error)}; what "
                "was measured is lost"
            ) from error
        gone = self.path
        self.close()
        self.path, self._files, self._lock = path, files, lock
        self.moved = f"{gone} has vanished while the run was written; everything is in {path}"
        if self._header is not None:
            self.write_header(self._header)

    def write_text(self, name: str, text: str) -> None:
        """Write a whole file, such as `report.md` or `charts/pipeline-time.svg`, at once or not at all."""
        write_text(self.path, name, text)

    def close(self) -> None:
        """Close the record files; writing is over."""
        for file in self._files.values():
            file.close()
        if self._lock is not None:
            forget_writer(self.path)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, kind: str, record: dict[str, Any]) -> None:
        line = _encode(record).encode() + b"\n"
        self._stay()
        try:
            written = self._files[kind].write(line)
            while written < len(line):  # a disk that has just filled up takes a part and then refuses the rest
                written += self._files[kind].write(line[written:])
        except OSError as error:
            raise _cannot_write(self.path, error) from error


def write_text(folder: Path, name: str, text: str) -> None:
    """Write `folder/name` through a temporary file beside it: readers see the old text or the new one.

    Raises UserError where that fails.
    """
    write_bytes(folder, name, text.encode())


def write_bytes(folder: Path, name: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file that is no text, such as `charts/throughput.png`, as `write_text` does.

    `durable`: it has reached the disk before it takes the old one's place, so that a loss of power leaves one of both.
    """
    target = folder / name
    scratch = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        scratch.replace(target)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise UserError(f"{folder}: {target.name} cannot be written: {_why(error)}") from error


def read_run(folder: Path) -> Run:
    """Read a run back, complete or not.

    Lines that cannot be read (a process that was killed leaves half a line) are left out and named in the run's notes.
    Raises UserError where the folder is not a run or was written in another version of this format.
    """
    run = read_head(folder)
    calls = read_lines(folder / "calls.jsonl", _call)
    jobs = read_lines(folder / "jobs.jsonl", lambda flat: _JOB.validate_python(known(flat, JobRecord)))
    delays = read_lines(folder / "delays.jsonl", lambda flat: _DELAY.validate_python(known(flat, DelayRecord)))
    trials = read_lines(folder / "trials.jsonl", lambda flat: _TRIAL.validate_python(known(flat, TrialRecord)))
    nodes = {(name, node) for name, spec in run.workload.pipelines.items() for node in spec.nodes}
    for lines in (calls, delays):
        # A node of a sub-pipeline is recorded under the name of the node that uses it: `refine/critique`.
        leave_out(lines, "node", lambda record: (record.pipeline, record.node.split("/")[0]) in nodes)
    leave_out(jobs, "pipeline", lambda record: record.pipeline in run.workload.pipelines)
    once(calls, "calls.jsonl", lambda call: call[:11])
    once(jobs, "jobs.jsonl", lambda job: (job.candidate, job.repeat, job.pipeline, job.job))
    once(delays, "delays.jsonl", lambda delay: delay)
    once(trials, "trials.jsonl", lambda trial: (trial.candidate, trial.repeat))
    notes = tuple(note for lines in (calls, jobs, delays, trials) for note in lines.notes)
    if any((folder / f"slots.jsonl{end}").exists() for end in ("", PACKED)):  # older runs don't have it
        slots = read_lines(folder / "slots.jsonl", lambda flat: _SLOT.validate_python(known(flat, SlotRecord)))
        notes += tuple(slots.notes)
        _tell(calls.records, slots.records)
    return run._replace(
        notes=(*notes, *run.notes),
        calls=tuple(calls.records),
        jobs=tuple(jobs.records),
        delays=tuple(delays.records),
        trials=tuple(trials.records),
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def _locked(path: Path) -> int:
    """Lock a run's folder until the returned descriptor is closed, or this process is gone in whatever way."""
    for _ in range(_TRIES):
        writer = writer_of(path)
        if writer is not None and not writer.sure:
            raise UserError(
                f"{path}: {safe_text(writer.host)} began to write this run and has not said that it ended; if it does "
                f"not go on there, delete {path / WRITER_NAME} and try again"
            )
        if writer is None:
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                os.close(lock)
            except OSError:
                return lock  # a file system without locks
        time.sleep(_LOOK_S)  # somebody who only looks whether it is locked is gone at once
    raise UserError(f"{path}: another process is writing this run; wait for it, or end it")


def _is_there(path: Path, lock: int) -> bool:
    """Whether a folder is still the one that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except OSError:
        return False


def _copy(source: FileIO, target: FileIO) -> None:
    """Append all of an open file, which may have no name any more, to another."""
    at = 0
    while part := os.pread(source.fileno(), _ROOM_BYTES, at):
        at += len(part)
        while part:
            part = part[target.write(part) :]


def _new_folder(parent: Path, stem: str) -> Path:
    path, number = parent / stem, 2
    while True:
        try:
            path.mkdir()
            return path
        except FileExistsError:
            path, number = parent / f"{stem}-{number}", number + 1


def _check_room(path: Path) -> None:
    """Write and remove a file: only writing tells whether there is room (quotas, read-only mounts, a full disk)."""
    try:
        with path.open("wb", buffering=0) as file:
            room = bytes(_ROOM_BYTES)
            while room:
                room = room[file.write(room) :]
            os.fsync(file.fileno())
    finally:
        if path.is_file():
            path.unlink()


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: the run folder cannot be written: {_why(error)}; what was written so far is kept")


def _cannot_create(parent: Path, error: OSError) -> UserError:
    return UserError(f"{parent}: the run folder cannot be made there: {_why(error)}; choose another folder with --out")


def _why(error: OSError) -> str:
    hint = " (free some space)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{error.strerror or error}{hint}"


# --- reading ----------------------------------------------------------------------------------------------------------

_CALL = TypeAdapter(CallRecord)
_JOB = TypeAdapter(JobRecord)
_DELAY = TypeAdapter(DelayRecord)
_TRIAL = TypeAdapter(TrialRecord)
_SLOT = TypeAdapter(SlotRecord)


def _call(flat: dict[str, Any]) -> CallRecord:
    return _CALL.validate_python(CallRecord.from_json(flat))


def _tell(calls: list[CallRecord], slots: Sequence[SlotRecord]) -> None:
    """Add to calls what the log of their servers said of them."""
    told = {(slot.candidate, slot.repeat, slot.call): slot for slot in slots}
    for place, call in enumerate(calls) if told else ():
        if (slot := told.get((call.candidate, call.repeat, call.call))) is not None:
            reply = call.reply._replace(slot=slot.slot, cached_tokens=slot.cached_tokens)
            calls[place] = call._replace(reply=reply)
