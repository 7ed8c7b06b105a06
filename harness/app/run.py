"""Measure a workload."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.facts import MeasuredUntil
from harness.app.measuring import Measured, measure_into_folder, measured
from harness.app.options import RunOptions
from harness.app.workload import Written, load
from harness.measure.progress import SILENT, Progress
from harness.measure.until import Until
from harness.wording.questions import until_text
from harness.workload.load import Loaded

__all__ = ["run", "say_end", "until_of"]


def run(workload: Path | Written | Loaded, options: RunOptions = RunOptions(), progress: Progress = SILENT) -> Measured:
    """Measure every candidate of a workload on real servers, which are started and stopped as it says.

    Ctrl-C, and a failure once servers are being started, end it early: the result says so, and holds what was
    measured until then. With `options.until` it goes on until every question is settled, or the time is out: see
    `harness.analysis.questions`. `harness.app.report.keep_report` writes its report, `harness.app.resume.resume` goes
    on.

    Args:
        workload: its file, or what `harness.app.workload.load` made of it with the changes of these options.
        options: what is to be different, and where the run gets its folder.
        progress: is told what goes on.

    Raises:
        WorkloadError, PolicyError, UserError: the workload cannot be used as it was asked for, or the folder cannot be
            made.
    """
    loaded = (
        workload
        if isinstance(workload, Loaded)
        else load(workload, options.changes, repeats=options.repeats, warmup=options.warmup, asking=True)
    )
    found = measured(
        measure_into_folder(loaded, options, progress, until_of(options.until, options.at_most_s, progress))
    )
    say_end(found, progress)
    return found


def until_of(until: str | None, at_most_s: float, progress: Progress) -> Until | None:
    """Return what ends a measurement as soon as every question is settled, from now on; None: its repeats do."""
    if until is None:
        return None
    progress.expect({}, at_most_s)
    return Until(at_most_s, say=progress.say)


def say_end(found: Measured, progress: Progress) -> None:
    """Say whether every question is settled, where that was what a measurement went on for."""
    for notice in found.analysis.notices if found.analysis else ():
        if isinstance(notice, MeasuredUntil):
            progress.say(until_text(notice))
