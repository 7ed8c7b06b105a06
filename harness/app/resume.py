"""Go on with a run: the same workload, the same draws and order, only the trials that are missing."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from harness.app.measuring import Ended, Measured, machine_notes, measure_in, measured, options_of, until_options
from harness.app.options import AT_MOST_S, ResumeOptions
from harness.app.run import say_end, until_of
from harness.app.workload import load
from harness.core.records import PREDICTED
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
    trials: int  # of the whole run; of one that goes on until every question is settled those that were there
    missing: int | None  # before; 0: there was nothing to do; None: it went on until every question is settled


def resume(folder: Path, options: ResumeOptions = ResumeOptions(), progress: Progress = SILENT) -> Resumed:
    """Measure what is missing or was interrupted in the run in a folder. It ends as `harness.app.run.run` does.

    With `options.until`, and where an interrupted run was begun with it, it goes on until every question is settled.

    Args:
        folder: the run's.
        options: where its workload file, its policies file and running servers are now, if they are elsewhere.
        progress: is told what goes on.

    Raises:
        UserError: the workload or its policies are not those that the run was begun with, or another process is
            writing the run.
    """
    head = read_head(folder)
    if head.origin in PREDICTED:
        raise UserError(f"{folder}: a prediction cannot be resumed; make it again with `slotwise simulate`")
    loaded = _load(folder, head, options)
    run = read_run(folder)
    check_same(folder, run, loaded)
    whole = whole_trials(run)
    begun = {(call.candidate, call.repeat) for call in run.calls} | {(t.candidate, t.repeat) for t in run.trials}
    was = options_of(head)
    goes_on = options.until or (was.until if head.partial else None)
    at_most_s = options.at_most_s or (was.at_most_s if was.until else AT_MOST_S)
    until = until_of(goes_on, at_most_s, progress)
    if until is None:
        repeats = _repeats_of(head, whole) if was.until else loaded.workload.measure.repeats
        asked = {(plan.name, repeat) for plan in loaded.plans for repeat in range(repeats)}
    else:
        asked = begun | whole
        head = head._replace(options={**head.options, **until_options(goes_on, at_most_s)})
    missing: int | None = 0
    with reopen(folder, whole) as opened:
        kept = run._replace(
            trials=tuple(t for t in run.trials if (t.candidate, t.repeat) in whole), options=head.options
        )
        if until.settled(kept) if until else asked <= whole:
            opened.write_header(head._replace(partial=False))
            ended = Ended(folder)
        else:
            notes = _notes(head, asked, whole, begun, all_known=until is None)
            head = head._replace(partial=True, notes=(*notes, *head.notes, *machine_notes(loaded, progress)))
            head = head._replace(machine=machine_facts(), workload=loaded.resolved(), copies=loaded.copies())
            ended = measure_in(opened, loaded, head, progress, whole, until)
            missing = None if until is not None else len(asked - whole)
    found = measured(ended)
    say_end(found, progress)
    return Resumed(found, len(asked), missing)


def _repeats_of(head: Run, whole: frozenset[tuple[str, int]]) -> int:
    """Return how many repeats a run has that ended as every question was settled, or the time was out."""
    asked = head.options.get("repeats")
    return asked if isinstance(asked, int) else max((repeat for _, repeat in whole), default=-1) + 1


def _load(folder: Path, head: Run, options: ResumeOptions) -> Loaded:
    """Load the workload as it was loaded for the run: what was changed in it, and its policies, are part of it."""
    if options.file is None and not head.file:
        raise UserError(
            f"{folder}: it names no workload file to resume with. What `slotwise recommend` measured is not resumed; "
            f"for a run of an older Slotwise, name the file: slotwise run FILE --resume {shlex.quote(str(folder))}"
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
    return load(path, again, repeats=was.repeats, warmup=was.warmup, policies=policies, asking=True)


def _notes(
    head: Run,
    asked: set[tuple[str, int]],
    whole: frozenset[tuple[str, int]],
    begun: set[tuple[str, int]],
    *,
    all_known: bool = True,
) -> list[Note]:
    """Say what a reader of a resumed run has to know; `all_known`: `asked` are all the trials that there will be."""
    there, cut = len(asked & whole), len((asked & begun) - whole)
    again = f" {count(cut, 'interrupted trial')} ran again from the beginning." if cut else ""
    halves = {repeat for _, repeat in asked & whole} & {repeat for _, repeat in asked - whole}
    apart = (
        f" In {count(len(halves), 'repeat')} the candidates were not measured one after another: the "
        "interruption lies between them."
        if halves
        else ""
    )
    of_all = f"{there} of {count(len(asked), 'trial')}" if all_known else count(there, "trial")
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    resumed = (
        f"Resumed on {now}: {of_all} had been measured before, the others after it, with the same draws and in the "
        f"same order.{again}{apart}"
    )
    return [Note("resumed", resumed), *changed_notes(changes(head.machine, machine_facts()))]
