"""What `slotwise run` does, apart from its options: load, measure, analyse, report, and what to exit with."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.cli.options import Options
from harness.errors import SlotwiseError
from harness.measure.machine import machine_facts
from harness.measure.progress import Progress
from harness.measure.session import measure
from harness.report.files import write_report
from harness.report.progress import progress_for
from harness.report.summary import summary_text
from harness.report.terminal import print_report
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import note_run
from harness.runs.model import Note, Run
from harness.servers.machine import busy_cores
from harness.units import safe_url
from harness.workload.load import Loaded

__all__ = ["Done", "conclude", "keep_report", "machine_notes", "measure_in", "measure_into_folder", "run_workload"]

INTERRUPTED = 130
BUSY_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy


class Done(NamedTuple):
    """How a measurement ended: 0, or the exit code and, where it was not the user's Ctrl-C, the error."""

    folder: Path
    code: int
    failure: SlotwiseError | None


def run_workload(loaded: Loaded, options: Options) -> int:
    """Measure, report, and return the exit code."""
    with progress_for(sys.stderr) as progress:
        done = measure_into_folder(loaded, options, progress)
    return conclude(done, options)


def conclude(done: Done, options: Options) -> int:
    """Analyse and report what a folder holds, and return the exit code."""
    run = read_run(done.folder)
    if not run.calls:  # there is nothing to show
        if not (done.folder / "cut").exists():  # and nothing to keep
            shutil.rmtree(done.folder, ignore_errors=True)
        if done.failure is not None:
            raise done.failure
        return done.code
    analysis = analyse(run, done.folder)
    show(analysis, as_json=options.as_json)  # first: what comes now can fail, or be interrupted again
    try:
        keep_report(done.folder, analysis, run)
        print(f"\nReport, charts and every call: {done.folder}", file=sys.stderr)
        if run.partial and run.file:
            print(f"slotwise run --resume {shlex.quote(str(done.folder))} measures what is missing", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\nEvery call: {done.folder}; slotwise report {done.folder} writes the rest", file=sys.stderr)
        return INTERRUPTED
    except SlotwiseError:
        if done.failure is None:
            raise
    if done.failure is not None:
        raise done.failure  # a full disk, say, of which the report could only say the same
    return done.code or int(_named(options.fail_on, analysis))


def keep_report(folder: Path, analysis: Analysis, run: Run) -> None:
    """Write the report into the run's folder, and the run into the index of the folder that this lies in."""
    write_report(folder, analysis, run)
    note_run(folder)


def measure_into_folder(
    loaded: Loaded, options: Options, progress: Progress, enough: Callable[[Path], bool] | None = None
) -> Done:
    """Measure a workload into a new run folder. What was measured is kept, however it ended.

    `enough` looks at the folder after every trial, and may end the run; such a run cannot be resumed from its file.
    """
    started_at = datetime.now().astimezone()
    header = _header(loaded, options, started_at)
    if enough is not None:
        header = header._replace(file="")
    with RunFolder.create(options.out, loaded.workload.name, started_at) as folder:
        return measure_in(folder, loaded, header, progress, enough=enough)


def measure_in(
    folder: RunFolder,
    loaded: Loaded,
    header: Run,
    progress: Progress,
    done: Collection[tuple[str, int]] = (),
    enough: Callable[[Path], bool] | None = None,
) -> Done:
    """Measure into an open run folder what is not in `done`. What was measured is kept, however it ended."""
    folder.write_header(header)
    progress.say(f"run folder: {folder.path}")
    # A polite kill is a Ctrl-C: stop the servers, keep what was measured.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        header = asyncio.run(measure(loaded, folder, header, progress, done, enough))
        folder.write_header(header)
    except KeyboardInterrupt:
        progress.say("interrupted: servers stopped, what was measured is kept")
        return Done(folder.path, INTERRUPTED, None)
    except SlotwiseError as error:
        return Done(folder.path, error.exit_code, error)
    finally:
        signal.signal(signal.SIGTERM, before)
    return Done(folder.path, 0, None)


def show(analysis: Analysis, *, as_json: bool) -> None:
    """Print the answer to stdout."""
    if as_json:
        print(summary_text(analysis), end="")
    else:
        print_report(analysis, Console(highlight=False))


def _named(fail_on: tuple[str, ...], analysis: Analysis) -> bool:
    """Whether something happened that `--fail-on` names."""
    failed = any(p.jobs_failed for candidate in analysis.candidates for p in candidate.pipelines)
    # Without a choice it is missed where every candidate misses one.
    chosen = [c for c in analysis.candidates if analysis.choice.candidate in (None, c.name)]
    missed = all(any(goal.state == "missed" for p in c.pipelines for goal in p.goals) for c in chosen)
    return ("failures" in fail_on and failed) or ("goals" in fail_on and missed)


def machine_notes() -> tuple[Note, ...]:
    """Say where other programs keep the machine busy as a measurement begins."""
    busy = busy_cores()
    if busy is None or busy < BUSY_CORES:
        return ()
    text = (
        f"Other programs kept {busy:.1f} cores busy when this run began. An engine that spreads over all cores waits "
        "for them in every step, so all times are too long: measure again on an idle machine."
    )
    return (Note("busy at start", text),)


def _header(loaded: Loaded, options: Options, started_at: datetime) -> Run:
    changed: dict[str, Any] = {
        name: [safe_url(item) for item in value] if isinstance(value, tuple) else value
        for name, value in options._asdict().items()
        if value not in (None, ()) and name not in ("out", "as_json", "fail_on") and (name, value) != ("scale", 1)
    }
    return Run(
        name=loaded.workload.name,
        origin="emulated" if any(spec.simulated for spec in loaded.servers.values()) else "measured",
        started_at=started_at.isoformat(timespec="seconds"),
        workload=loaded.resolved(),
        candidates=tuple(plan.name for plan in loaded.plans),
        machine=machine_facts(),
        servers=(),
        notes=machine_notes(),
        partial=True,
        trials=(),
        calls=(),
        jobs=(),
        delays=(),
        plans=loaded.plans,
        command=safe_url(shlex.join(["slotwise", *sys.argv[1:]])),
        options=changed,
        output_tokens={
            f"{pipeline}/{node}": agent.output_tokens
            for (pipeline, node), agent in loaded.agents.items()
            if agent.exact_output and isinstance(agent.output_tokens, int)
        },
        work=loaded.work(),
        file=str(loaded.path),
        copies=loaded.copies(),
    )
