"""Go on with a run: the same workload, the same draws and order, only the trials that are missing."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from harness.app.measuring import Ended, Measured, machine_notes, measure_in, measured, options_of
from harness.app.options import ResumeOptions
from harness.app.workload import load
from harness.errors import UserError
from harness.measure.machine import machine_facts
from harness.measure.progress import SILENT, Progress
from harness.own_policies import policies_again
from harness.runs.changes import changes
from harness.runs.folder import read_run
from harness.runs.head import read_head
from harness.runs.model import Note, Run
from harness.runs.resume import check_same, reopen, whole_trials
from harness.units import count
from harness.wording.changes import changed_notes
from harness.workload.load import Loaded

__all__ = ["Resumed", "resume"]


class Resumed(NamedTuple):
    """A run that was gone on with."""

    measured: Measured
    trials: int  # of the whole run
    missing: int  # before; 0: there was nothing to do


def resume(folder: Path, options: ResumeOptions = ResumeOptions(), progress: Progress = SILENT) -> Resumed:
    """Measure what is missing or was cut in the run in a folder. It ends as `harness.app.run.run` does.

    Args:
        folder: the run's.
        options: where its workload file, its policies file and running servers are now, if they are elsewhere.
        progress: is told what goes on.

    Raises:
        UserError: the workload or its policies are not those that the run was begun with, or another process is
            writing the run.
    """
    head = read_head(folder)
    if head.origin == "predicted":
        raise UserError(f"{folder}: a prediction, which is made in seconds: `slotwise simulate` makes it again")
    loaded = _load(folder, head, options)
    run = read_run(folder)
    check_same(folder, run, loaded)
    whole = whole_trials(run)
    asked = {(plan.name, repeat) for plan in loaded.plans for repeat in range(loaded.workload.measure.repeats)}
    begun = {(call.candidate, call.repeat) for call in run.calls} | {(t.candidate, t.repeat) for t in run.trials}
    with reopen(folder, whole) as opened:
        if asked <= whole:
            opened.write_header(head._replace(partial=False))
            ended = Ended(folder)
        else:
            head = head._replace(
                partial=True, notes=(*_notes(head, asked, whole, begun), *head.notes, *machine_notes(loaded))
            )
            head = head._replace(machine=machine_facts(), workload=loaded.resolved(), copies=loaded.copies())
            ended = measure_in(opened, loaded, head, progress, whole)
    return Resumed(measured(ended), len(asked), len(asked - whole))


def _load(folder: Path, head: Run, options: ResumeOptions) -> Loaded:
    """Load the workload as it was loaded for the run: what was changed in it, and its policies, are part of it."""
    if options.file is None and not head.file:
        raise UserError(
            f"{folder}: it names no workload file to go on with. What `slotwise recommend` measured ends by itself; of "
            f"an older Slotwise's run name the file: slotwise run FILE --resume {shlex.quote(str(folder))}"
        )
    path = options.file or Path(head.file)
    if not path.is_file():
        raise UserError(
            f"{folder}: its workload file {path} is not there; name it: slotwise run FILE --resume "
            f"{shlex.quote(str(folder))}"
        )
    was = options_of(head)
    servers = {**was.changes.servers, **options.servers}
    policies = policies_again(folder, head.policy_files, options.policies)
    again = replace(was.changes, servers=servers)
    return load(path, again, repeats=was.repeats, warmup=was.warmup, policies=policies)


def _notes(
    head: Run, asked: set[tuple[str, int]], whole: frozenset[tuple[str, int]], begun: set[tuple[str, int]]
) -> list[Note]:
    """Say what a reader of a resumed run has to know."""
    there, cut = len(asked & whole), len((asked & begun) - whole)
    again = f" {count(cut, 'trial that was', 'trials that were')} cut ran again from the beginning." if cut else ""
    halves = {repeat for _, repeat in asked & whole} & {repeat for _, repeat in asked - whole}
    apart = (
        f" In {count(len(halves), 'repeat')} the candidates did not follow one another: between them lies the "
        "interruption."
        if halves
        else ""
    )
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    resumed = (
        f"Resumed on {now}: {there} of {count(len(asked), 'trial')} had been measured before, the others after it, "
        f"with the same draws and in the same order.{again}{apart}"
    )
    return [Note("resumed", resumed), *changed_notes(changes(head.machine, machine_facts()))]
