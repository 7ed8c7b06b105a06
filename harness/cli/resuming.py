"""What `slotwise run --resume` does: the same workload, the same draws and order, only the trials that are missing."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path

from harness.cli.options import Options, overrides_of
from harness.cli.running import Done, conclude, machine_notes, measure_in
from harness.errors import UserError
from harness.measure.machine import machine_facts
from harness.report.progress import progress_for
from harness.runs.changes import changes
from harness.runs.folder import read_run
from harness.runs.head import read_head
from harness.runs.model import Note, Run
from harness.runs.resume import check_same, reopen, whole_trials
from harness.units import count
from harness.wording.changes import changed_notes
from harness.workload.load import Loaded, load_workload

__all__ = ["resume_run"]


def resume_run(folder: Path, file: Path | None, options: Options) -> int:
    """Measure what is missing or was cut in the run in `folder`; return the exit code.

    Args:
        file: where the workload file is now; left out: where it was.
        options: of them only `--server`, `--fail-on` and `--json` may be given; all others are those of the run.

    Raises:
        UserError: the workload is not the one that the run was begun with, or another process is writing the run.
    """
    head = read_head(folder)
    if head.origin == "predicted":
        raise UserError(f"{folder}: a prediction, which is made in seconds: `slotwise simulate` makes it again")
    loaded = _load(folder, head, file, options)
    run = read_run(folder)
    check_same(folder, run, loaded)
    whole = whole_trials(run)
    asked = {(plan.name, repeat) for plan in loaded.plans for repeat in range(loaded.workload.measure.repeats)}
    begun = {(call.candidate, call.repeat) for call in run.calls} | {(t.candidate, t.repeat) for t in run.trials}
    with reopen(folder, whole) as opened:
        if asked <= whole:
            opened.write_header(head._replace(partial=False))
            print(
                f"slotwise: nothing is missing in {folder}: all {count(len(asked), 'trial')} are there", file=sys.stderr
            )
            done = Done(folder, 0, None)
        else:
            head = head._replace(
                partial=True, notes=(*_notes(head, asked, whole, begun), *head.notes, *machine_notes())
            )
            head = head._replace(machine=machine_facts(), workload=loaded.resolved(), copies=loaded.copies())
            with progress_for(sys.stderr) as progress:
                done = measure_in(opened, loaded, head, progress, whole)
    return conclude(done, options)


def _load(folder: Path, head: Run, file: Path | None, options: Options) -> Loaded:
    """Load the workload as it was loaded for the run: its options are part of it."""
    given = options._replace(servers=(), fail_on=(), as_json=False)
    if given != Options(Path("reports"), None, None, 1, (), None, None, (), None, (), False):
        raise UserError(
            "--resume goes on with the options of the run; beside it only --server, --fail-on and --json can be given"
        )
    if file is None and not head.file:
        raise UserError(
            f"{folder}: it names no workload file to go on with. What `slotwise recommend` measured ends by itself; of "
            f"an older Slotwise's run name the file: slotwise run FILE --resume {shlex.quote(str(folder))}"
        )
    path = file or Path(head.file)
    if not path.is_file():
        raise UserError(
            f"{folder}: its workload file {path} is not there; name it: slotwise run FILE --resume "
            f"{shlex.quote(str(folder))}"
        )
    was = dict(head.options)
    asked = Options(
        out=folder.parent,
        repeats=was.get("repeats"),
        warmup=was.get("warmup"),
        scale=was.get("scale", 1),
        only=tuple(was.get("only", ())),
        engine=was.get("engine"),
        model=was.get("model"),
        servers=(*was.get("servers", ()), *options.servers),  # the later one of a name counts
        seed=was.get("seed"),
        fail_on=(),
        as_json=False,
    )
    return load_workload(path, overrides_of(asked))


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
