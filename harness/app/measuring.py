"""A workload measured into a run folder: what `run`, `resume`, `score` and `recommend` have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.app.loops import finished, terminable
from harness.app.machine import others_busy
from harness.app.options import AT_MOST_S, Changes, RunOptions
from harness.app.workload import file_notes
from harness.errors import SlotwiseError, UserError
from harness.measure.machine import machine_facts
from harness.measure.progress import Progress
from harness.measure.session import measure
from harness.measure.until import MOST_REPEATS
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Note, Run
from harness.units import read_seconds, read_server, safe_url, time_text
from harness.workload.load import Loaded
from harness.workload.longest import needs_of
from harness.workload.machines import started_on

__all__ = [
    "Ended",
    "Measured",
    "check_started",
    "machine_notes",
    "measure_in",
    "measure_into_folder",
    "measured",
    "options_of",
    "until_options",
]


class Ended(NamedTuple):
    """How a measurement ended. Whatever it was, what had been measured is in the folder."""

    folder: Path
    interrupted: bool = False  # by Ctrl-C
    failure: SlotwiseError | None = None  # what ended it early; None: nothing, or Ctrl-C


class Measured(NamedTuple):
    """A measurement that has ended, and what is in its folder."""

    folder: Path  # not there any more where nothing was measured and nothing is kept
    run: Run
    analysis: Analysis | None  # None: nothing was measured
    interrupted: bool = False  # by Ctrl-C
    failure: SlotwiseError | None = None  # what ended it early; None: nothing, or Ctrl-C


def measured(ended: Ended) -> Measured:
    """Analyse what a measurement left; where that is nothing, its folder is removed.

    Raises:
        UserError: the folder cannot be read.
    """
    run = read_run(ended.folder)
    if run.calls:
        return Measured(ended.folder, run, analyse(run, ended.folder), ended.interrupted, ended.failure)
    if not (ended.folder / "cut").exists():
        shutil.rmtree(ended.folder, ignore_errors=True)
    return Measured(ended.folder, run, None, ended.interrupted, ended.failure)


def measure_into_folder(
    loaded: Loaded,
    options: RunOptions,
    progress: Progress,
    enough: Callable[[Path], bool] | None = None,
    *,
    resumable: bool = True,
) -> Ended:
    """Measure a workload into a new run folder. What was measured is kept, however it ended.

    Args:
        loaded: the workload, with the changes of the options in it.
        options: where the folder goes, and what is kept of them with the run.
        progress: is told what goes on.
        enough: looks at the folder after every trial, and may end the run.
        resumable: the run can be gone on with from its workload's file.

    Raises:
        UserError: the folder cannot be made, or servers that are started here are to stand on several machines.
    """
    check_started(loaded)
    started_at = datetime.now().astimezone()
    header = _header(loaded, options, started_at, progress)
    if not resumable:
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
) -> Ended:
    """Measure into an open run folder what is not in `done`. What was measured is kept, however it ended.

    Where `header` says that it goes on until enough is known, it ends after `MOST_REPEATS`, else after the workload's.
    """
    repeats = MOST_REPEATS if "until" in header.options else None
    folder.write_header(header)
    progress.say(f"run folder: {folder.path}")
    try:
        with terminable():
            header = finished(measure(loaded, folder, header, progress, done, enough, repeats))
            folder.write_header(header)
            if folder.moved:
                folder.write_header(header._replace(notes=(*header.notes, Note("records", folder.moved))))
                progress.say(folder.moved)
    except KeyboardInterrupt:
        progress.say("interrupted: servers stopped, what was measured is kept")
        return Ended(folder.path, interrupted=True)
    except SlotwiseError as error:
        return Ended(folder.path, failure=error)
    return Ended(folder.path)


def check_started(loaded: Loaded) -> None:
    """Raise UserError where servers that are started here are said to stand on several machines."""
    machines = started_on(loaded.servers)
    if len(machines) < 2:
        return
    places = "; ".join(f"{', '.join(names)}: {machine or 'none named'}" for machine, names in machines.items())
    raise UserError(
        f"servers without `url` are started here, so they all stand on this machine, but the file names several "
        f"({places}). Start them where they belong (on a GPU each: ollama serve with CUDA_VISIBLE_DEVICES and a port "
        "of its own) and name them by `url`, or predict: slotwise simulate or slotwise recommend --no-measure"
    )


def machine_notes(loaded: Loaded, progress: Progress) -> tuple[Note, ...]:
    """Say where other programs keep the machine busy as a measurement begins; not where every server is elsewhere.

    Progress is told at once: who hears of it only with the answer has waited for figures of no use.
    """
    if all(spec.running and spec.machine is not None for spec in loaded.servers.values()):
        return ()
    busy = others_busy()
    if busy is None:
        return ()
    progress.say(f"other programs keep {busy:.1f} cores busy: times of a model on the cores will be too long by that")
    text = (
        f"Other programs kept {busy:.1f} cores busy when this run began. An engine that spreads over all cores waits "
        "for them in every step, so all times are too long: measure again on an idle machine."
    )
    return (Note("busy at start", text),)


def options_of(run: Run) -> RunOptions:
    """Return the options that a run was begun with, as far as they are kept; without its policies file."""
    kept = run.options
    return RunOptions(
        changes=Changes(
            scale=kept.get("scale", 1),
            only=tuple(kept.get("only", ())),
            engine=kept.get("engine"),
            model=kept.get("model"),
            servers=dict(map(read_server, kept.get("servers", ()))),
            seed=kept.get("seed"),
        ),
        repeats=None if "until" in kept else kept.get("repeats"),
        until="resolved" if "until" in kept else None,
        at_most_s=read_seconds(str(kept.get("at_most", ""))) or AT_MOST_S,
        warmup=kept.get("warmup"),
    )


def until_options(until: str | None, at_most_s: float) -> dict[str, str]:
    """Return what is kept with a run that goes on until every question is settled; nothing where it does not."""
    return {} if until is None else {"until": until, "at_most": time_text(at_most_s)}


def _kept(options: RunOptions) -> dict[str, Any]:
    """Return what of the options changes what is measured, as plain data: `options_of` reads it."""
    changes = options.changes
    kept: dict[str, Any] = {
        "repeats": options.repeats,
        **until_options(options.until, options.at_most_s),
        "warmup": options.warmup,
        "scale": None if changes.scale == 1 else changes.scale,
        "only": [safe_url(name) for name in changes.only],
        "engine": changes.engine,
        "model": changes.model,
        "servers": [safe_url(f"{name}={url}" if name else url) for name, url in changes.servers.items()],
        "seed": changes.seed,
    }
    return {name: value for name, value in kept.items() if value not in (None, [])}


def _header(loaded: Loaded, options: RunOptions, started_at: datetime, progress: Progress) -> Run:
    return Run(
        name=loaded.workload.name,
        origin="emulated" if any(spec.simulated for spec in loaded.servers.values()) else "measured",
        started_at=started_at.isoformat(timespec="seconds"),
        workload=loaded.resolved(),
        candidates=tuple(plan.name for plan in loaded.plans),
        machine=machine_facts(),
        servers=(),
        notes=(*file_notes(loaded), *machine_notes(loaded, progress)),
        partial=True,
        trials=(),
        calls=(),
        jobs=(),
        delays=(),
        plans=loaded.plans,
        command=safe_url(options.command),
        options=_kept(options),
        output_tokens={
            f"{pipeline}/{node}": agent.pinned_tokens
            for (pipeline, node), agent in loaded.agents.items()
            if agent.pinned_tokens is not None
        },
        needs=needs_of(loaded),
        work=loaded.work(),
        file=str(loaded.path),
        copies=loaded.copies(),
    )
