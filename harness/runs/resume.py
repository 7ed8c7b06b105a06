"""Going on with a run that was interrupted or killed: which trials are whole, and what becomes of the rest.

A trial is whole where its own line is there and every call and job that it stands for is. Everything else, half a last
line included, is moved to `cut/` word for word before anything is appended: nothing that was on disk is lost, nothing
is counted twice, and the trial is run again from its beginning.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import UserError
from harness.runs.folder import RECORD_FILES, RunFolder, read_run
from harness.runs.model import Run
from harness.runs.plans import kept_plan
from harness.workload.load import Loaded
from harness.workload.schema import Workload

__all__ = ["check_same", "reopen", "whole_trials"]

Trial = tuple[str, int]  # candidate, repeat


def whole_trials(run: Run) -> frozenset[Trial]:
    """Return the trials that ended and of which everything could be read."""
    ended = Counter((trial.candidate, trial.repeat) for trial in run.trials if trial.complete)
    calls = Counter((call.candidate, call.repeat, call.pipeline, call.job) for call in run.calls)
    jobs = {(job.candidate, job.repeat, job.pipeline, job.job): job.calls for job in run.jobs}
    damaged = {key[:2] for key in calls if key not in jobs}
    damaged |= {key[:2] for key, made in jobs.items() if calls[key] < made}
    return frozenset(trial for trial, times in ended.items() if times == 1 and trial not in damaged)


def reopen(path: Path, whole: Collection[Trial]) -> RunFolder:
    """Open the folder of a run to append the trials that are not in `whole`; what there is of those is set aside.

    Raises:
        UserError: another process is writing the run, or has just ended it, or the folder cannot be written. Nothing
            was changed then that a second attempt would not do again.
    """

    def set_aside(folder: Path) -> None:
        if whole_trials(read_run(folder)) != frozenset(whole):  # nobody else can write any more, but could until now
            raise UserError(f"{path}: another process has just gone on with this run; look again, it may be complete")
        _set_aside(folder, whole)

    return RunFolder(path, before=set_aside)


def _set_aside(path: Path, whole: Collection[Trial]) -> None:
    # A trial's mark goes first: should this be the last thing that happens, its records are those of a cut trial.
    for kind in reversed(RECORD_FILES):
        file = path / f"{kind}.jsonl"
        kept: list[bytes] = []
        cut: list[bytes] = []
        for line in file.read_bytes().split(b"\n") if file.exists() else ():
            if line:
                (kept if _trial_of(line) in whole else cut).append(line + b"\n")
        if cut:
            (path / "cut").mkdir(exist_ok=True)
            with (path / "cut" / file.name).open("ab") as aside:
                aside.write(b"".join(cut))
            scratch = path / f".{file.name}.part"
            scratch.write_bytes(b"".join(kept))
            scratch.replace(file)
        elif kept and not file.read_bytes().endswith(b"\n"):  # cut between a record and the end of its line
            with file.open("ab") as whole_file:
                whole_file.write(b"\n")


def _trial_of(line: bytes) -> Trial | None:
    """Return the trial that a line belongs to; None where the line cannot be read."""
    try:
        flat = json.loads(line)
        return str(flat["candidate"]), int(flat["repeat"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def check_same(path: Path, run: Run, loaded: Loaded) -> None:
    """Raise UserError, naming what differs, unless `loaded` is the workload that the run was begun with.

    Where a running server is found may differ: it is the same server with another address, or it is said to be another.
    """
    before, now = _plain(run.workload), _plain(loaded.resolved())
    if "until" in run.options:  # as many repeats as it took
        for plain in (before, now):
            plain["measure"].pop("repeats")
    differ = [key for key in dict.fromkeys((*before, *now)) if before.get(key) != now.get(key)]
    work = loaded.work()
    differ += [part for part in run.work if run.work[part] != work.get(part) and part not in differ]
    if not differ and [kept_plan(plan) for plan in run.plans] != [kept_plan(plan) for plan in loaded.plans]:
        differ = ["the candidates that this version derives"]
    if differ:
        raise UserError(
            f"{path}: {loaded.path} is not the workload that this run was begun with ({', '.join(differ)}). Repeats of "
            "both could not be compared: undo the change, or start a new run."
        )


def _plain(workload: Workload) -> dict[str, Any]:
    """Return the workload with every default, and without the places of what it names: they are no part of it."""
    plain: dict[str, Any] = workload.model_dump(mode="json", by_alias=True, exclude_none=True)
    for server in plain["servers"].values():
        if "url" in server:
            server["url"] = ""
        if "profile" in server:
            server["profile"] = PurePosixPath(server["profile"]).stem
    for spec in plain["inputs"].values():
        if "files" in spec:
            spec["files"] = ""  # what is in them is part of the work
    return plain
