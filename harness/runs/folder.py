"""A run on disk, both directions: written record by record while it happens, read back whole.

    workload.yaml       the resolved workload
    environment.json    what was run, on what, with which options; the version of this format
    calls.jsonl         one line per call, appended and flushed as it ends
    jobs.jsonl, delays.jsonl, trials.jsonl
    cut/                records of trials that were cut and measured again (harness.runs.resume)
    summary.json, report.md, charts/    rendered from the above (harness.report)

A trial's line is written when it has ended, so a run that was killed holds everything up to that instant, and what is
missing shows. Nothing in the folder names the folder: it may be moved.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from harness.core.records import CallRecord, DelayRecord, JobRecord, TrialRecord
from harness.errors import UserError
from harness.runs.lines import known, leave_out, read_lines
from harness.runs.model import Run, ServerFacts
from harness.units import safe_text, safe_url
from harness.workload.schema import Workload

__all__ = [
    "RECORD_FILES",
    "SCHEMA_VERSION",
    "RunFolder",
    "read_head",
    "read_run",
    "without_credentials",
    "write_bytes",
    "write_text",
]

SCHEMA_VERSION = 1
_ROOM_BYTES = 1 << 20  # a run folder that cannot take this much at the start will not last
_LARGEST_FILE_BYTES = 16 << 20  # of workload.yaml and environment.json; a larger one is not ours
RECORD_FILES = ("calls", "jobs", "delays", "trials")

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
        self._files: dict[str, FileIO] = {}
        self._lock: int | None = None
        try:
            self._lock = _locked(path)
            before(path)
            for kind in RECORD_FILES:
                self._files[kind] = FileIO(path / f"{kind}.jsonl", "a")
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
            raise _cannot_write(parent, error) from error
        return cls(path)

    def write_header(self, run: Run) -> None:
        """Write `workload.yaml` and `environment.json` from everything of `run` but its records.

        Called once before the first trial with `partial=True`, and again at the end with what is then known (notes,
        `partial`): a killed process leaves the first version behind, and so a run that says it is partial.
        """
        header = {
            "schema_version": SCHEMA_VERSION,
            "name": run.name,
            "origin": run.origin,
            "started_at": run.started_at,
            "seed": run.workload.seed,
            "command": safe_text(run.command),
            "options": _masked(dict(run.options)),
            "candidates": run.candidates,
            "plans": [{**plan._asdict(), "lanes": [lane._asdict() for lane in plan.lanes]} for plan in run.plans],
            "machine": run.machine,
            "servers": [_server_to_json(server) for server in run.servers],
            "output_tokens": dict(run.output_tokens),
            "resampled": run.resampled and {**run.resampled._asdict(), "factors": dict(run.resampled.factors)},
            "notes": [safe_text(note) for note in run.notes],
            "partial": run.partial,
            "work": dict(run.work),
            "file": run.file,
        }
        plain = without_credentials(run.workload.to_plain())
        self.write_text("workload.yaml", yaml.dump(plain, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True))
        self.write_text("environment.json", json.dumps(header, indent=2) + "\n")

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

    def write_text(self, name: str, text: str) -> None:
        """Write a whole file, such as `report.md` or `charts/pipeline-time.svg`, at once or not at all."""
        write_text(self.path, name, text)

    def close(self) -> None:
        """Close the record files; writing is over."""
        for file in self._files.values():
            file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, kind: str, record: dict[str, Any]) -> None:
        line = _encode(record).encode() + b"\n"
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


def write_bytes(folder: Path, name: str, data: bytes) -> None:
    """Write a file that is no text, such as `charts/throughput.png`, as `write_text` does."""
    target = folder / name
    scratch = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(exist_ok=True)
        scratch.write_bytes(data)
        scratch.replace(target)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise _cannot_write(folder, error) from error


def read_head(folder: Path) -> Run:
    """Read everything of a run but its records. Raises UserError like `read_run`."""
    header = _read_header(folder / "environment.json")
    return _run(header, _read_workload(folder / "workload.yaml"), folder / "environment.json")


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
        leave_out(lines, "node", lambda record: (record.pipeline, record.node) in nodes)
    leave_out(jobs, "pipeline", lambda record: record.pipeline in run.workload.pipelines)
    notes = tuple(note for lines in (calls, jobs, delays, trials) for note in lines.notes)
    return run._replace(
        notes=(*run.notes, *notes),
        calls=tuple(calls.records),
        jobs=tuple(jobs.records),
        delays=tuple(delays.records),
        trials=tuple(trials.records),
    )


# --- writing ----------------------------------------------------------------------------------------------------------


class _PlainDumper(yaml.SafeDumper):
    """No anchors and aliases: a person reads this file, and the reader below refuses them."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _locked(path: Path) -> int:
    """Lock a run's folder until the returned descriptor is closed, or this process is gone in whatever way."""
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(f"{path}: another process is writing this run; wait for it, or end it") from None
    except OSError:
        pass  # a file system without locks
    return lock


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
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "Free some space or choose" if full else "Choose"
    return UserError(
        f"{path}: the run folder cannot be written: {error.strerror or error}. "
        f"{advice} another folder with --out; what was written so far is kept."
    )


def _server_to_json(server: ServerFacts) -> dict[str, Any]:
    flat = server._asdict()
    flat["url"] = safe_url(server.url)
    flat["version"] = safe_text(server.version)
    flat["details"] = _masked(server.details)
    flat["baseline"] = server.baseline._asdict() if server.baseline else None
    flat["models"] = [
        {**of._asdict(), "baseline": of.baseline._asdict() if of.baseline else None} for of in server.models
    ]
    return flat


def _masked(value: Any) -> Any:
    """Strip credentials from every text below a plain value."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return safe_text(value) if isinstance(value, str) else value


def without_credentials(value: Any) -> Any:
    """Strip credentials from every `url:` of the workload; prompts and the like stay word for word."""
    if isinstance(value, dict):
        return {
            key: safe_url(item) if key == "url" and isinstance(item, str) else without_credentials(item)
            for key, item in value.items()
        }
    return value


# --- reading ----------------------------------------------------------------------------------------------------------

_CALL = TypeAdapter(CallRecord)
_JOB = TypeAdapter(JobRecord)
_DELAY = TypeAdapter(DelayRecord)
_TRIAL = TypeAdapter(TrialRecord)
_RUN = TypeAdapter(Run)


class _NoAliases(yaml.SafeLoader):
    """A run folder may come from elsewhere: no aliases means that nothing in it can expand."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not expected here")
        return super().compose_node(parent, index)


def _call(flat: dict[str, Any]) -> CallRecord:
    return _CALL.validate_python(CallRecord.from_json(flat))


def _read_small(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise UserError(f"{path}: larger than any that `slotwise run` writes; this is not a run folder")
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.exists():
            raise UserError(f"{path.parent}: no such folder; `slotwise runs` lists those in reports/") from None
        raise UserError(
            f"{path.parent}: not a run folder: it has no {path.name}; expected a folder that `slotwise run` wrote"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(_read_small(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not the JSON that `slotwise run` writes: {error}") from error
    version = header.get("schema_version") if isinstance(header, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: written in version {version!r} of the run format, this Slotwise reads version {SCHEMA_VERSION}; "
            "render it with the Slotwise that wrote it"
        )
    return dict(header)


def _run(header: dict[str, Any], workload: Workload, path: Path) -> Run:
    fields = {name: header[name] for name in Run._fields if name in header}
    fields["plans"] = [_placed(plan, workload) for plan in fields.get("plans", ())]
    records: dict[str, tuple[()]] = {"trials": (), "calls": (), "jobs": (), "delays": ()}
    try:
        return _RUN.validate_python({**fields, **records, "workload": workload})
    except ValidationError as error:
        raise UserError(f"{path}: {_first(error)}") from error


def _placed(plan: Any, workload: Workload) -> Any:
    """A plan of before nodes could be placed one by one has a lane per pipeline."""
    place = plan.get("place") if isinstance(plan, dict) else None
    if not isinstance(place, list) or len(place) != len(workload.pipelines):
        return plan
    nodes = [len(spec.nodes) for spec in workload.pipelines.values()]
    lanes = [[at] * count if isinstance(at, int) else at for at, count in zip(place, nodes, strict=True)]
    return {**plan, "place": lanes}


def _read_workload(path: Path) -> Workload:
    try:
        # A subclass of SafeLoader: no object of any class can come out of the file.
        return Workload.model_validate(yaml.load(_read_small(path), Loader=_NoAliases))  # noqa: S506
    except ValidationError as error:
        raise UserError(f"{path}: {_first(error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path}: not the YAML that `slotwise run` writes: {error}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
