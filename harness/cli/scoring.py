"""What `slotwise score` does, apart from its options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console

from harness.analysis.analyse import analyse
from harness.cli.options import Options as RunOptions
from harness.cli.options import overrides_of
from harness.cli.running import conclude, keep_report, measure_into_folder
from harness.cli.simulating import given_values
from harness.errors import UserError
from harness.predict.history import remember
from harness.predict.score import Score, replay
from harness.predict.score import score as join
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.progress import progress_for
from harness.report.score import score_report
from harness.report.score_file import SavedScore, score_json, write_score
from harness.runs.folder import read_run
from harness.runs.model import Run
from harness.workload.load import Loaded, load_workload

__all__ = ["Options", "score_workload"]


class Options(NamedTuple):
    """The options of `slotwise score`."""

    profile: str
    run: Path | None
    forecast: bool
    repeats: int | None
    only: tuple[str, ...]
    assume: tuple[str, ...]
    extrapolate: bool
    out: Path
    as_json: bool


def score_workload(file: Path, options: Options) -> int:
    """Predict, measure, join, print; remember the errors for the next prediction. Returns the exit code."""
    run_options = RunOptions(
        options.out, options.repeats, None, 1, options.only, None, None, (), None, (), options.as_json
    )
    loaded = load_workload(file, overrides_of(run_options))
    profile = load_profile(options.profile, file.parent)
    given = given_values(options.assume)
    # What cannot be predicted shows now, before anything is measured.
    forecast = predict(loaded, profile, repeats=1, given=given, extrapolate=options.extrapolate)

    folder = options.run
    if folder is None:
        with progress_for(sys.stderr) as progress:
            progress.expect({trial.candidate: trial.makespan_s for trial in forecast.run.trials})
            done = measure_into_folder(loaded, run_options, progress)
        if done.code:  # what there is is kept and shown; who wants it scored nevertheless names it with --run
            return conclude(done, run_options)
        folder = done.folder
    measured_run = read_run(folder)
    _check_same(loaded, measured_run, folder)
    predicted = predict(
        loaded,
        profile,
        repeats=max((trial.repeat for trial in measured_run.trials), default=0) + 1,
        tokens_of=None if options.forecast else replay(measured_run, loaded.pipelines),
        given=given,
        extrapolate=options.extrapolate,
    )
    analysis = analyse(measured_run, folder)
    result = join(analysis, analyse(predicted.run), measured_run, predicted.run)
    if not result.rows:
        raise UserError(f"{folder}: nothing in this run can be compared with the prediction")
    lengths = "forecast" if options.forecast else "as observed"
    if measured_run.origin != "emulated":  # against a simulated server it says nothing of the machine
        remember(_entry(profile.name, loaded, result, measured_run, lengths))
    notes = tuple(note.text for note in predicted.run.notes)
    if options.as_json:
        print(json.dumps(score_json(result, measured_run.origin), indent=2))
    else:
        Console(highlight=False).print(score_report(result, notes, lengths, measured_run.origin))
    saved = SavedScore(profile.name, lengths, result.rows, notes)
    write_score(folder, result, measured_run.origin, saved)
    keep_report(folder, analysis, measured_run)
    print(f"\nReport with the score: {folder / 'report.html'}", file=sys.stderr)
    return 0


def _check_same(loaded: Loaded, run: Run, folder: Path) -> None:
    """UserError unless the folder holds a run of this workload: other graphs cannot be compared call by call."""
    servers = (
        loaded.workload.servers,
        loaded.resolved().servers,
    )  # as it is here, and as a run's folder names profiles
    if run.workload.pipelines != loaded.workload.pipelines or run.workload.servers not in servers:
        raise UserError(f"{folder}: a run of another workload, or of this one before it was changed; run it again")


def _entry(profile: str, loaded: Loaded, result: Score, run: Run, lengths: str) -> dict[str, object]:
    times = sorted(result.errors("pipeline time") + result.errors("reply p50"))
    return {
        "profile": profile,
        "workload": loaded.workload.name,
        "digest": loaded.digest,
        "measured_at": run.started_at,
        "lengths": lengths,
        "cells": len(times),
        "median_error": median(times) if times else None,
        "worst_error": times[-1] if times else None,
    }
