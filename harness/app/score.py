"""Predict a workload, run it for real, and join both figure by figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.app.measuring import Measured, measure_into_folder, measured, options_of
from harness.app.options import RunOptions, ScoreOptions
from harness.app.prediction import check_assumed, profiles_of, with_levers
from harness.app.report import keep_report, report
from harness.app.workload import Written, load
from harness.errors import UserError
from harness.measure.progress import SILENT, Progress
from harness.own_policies import policies_again
from harness.predict import score as figures
from harness.predict.history import remember
from harness.predict.score import Score, replay
from harness.predict.simulation import predict
from harness.report.score_file import SavedScore, write_score
from harness.runs.head import read_head
from harness.runs.model import Run
from harness.workload.load import Loaded

__all__ = ["Scored", "keep_score", "score"]


class Scored(NamedTuple):
    """A prediction beside the run that it was of."""

    measured: Measured
    score: Score | None  # None: the measurement ended early. What there is can be scored by its folder
    profile: str
    lengths: str  # of calls, in the prediction: "as observed" or "forecast"
    notes: tuple[str, ...]  # of the prediction
    recommended: str | None = None  # by the prediction


def score(file: Path | Written, options: ScoreOptions, progress: Progress = SILENT) -> Scored:
    """Predict a workload, measure it, and join both; its errors are remembered for the next prediction.

    `keep_score` writes the result into the run's folder.

    Args:
        file: the workload.
        options: the profile, what is to be different, and the run to score against where there is one already.
        progress: is told what goes on.

    Raises:
        WorkloadError, PolicyError, UserError: the workload or the profile cannot be used as it was asked for, or the
            run is one of another workload.
    """
    check_assumed(options.assumptions.assume)
    loaded = _loaded(file, options)
    profiles = profiles_of(options.assumptions.profiles, loaded.path.parent, loaded)
    first, by_model, by_machine = profiles
    given, extrapolate = options.assumptions.assume, options.assumptions.extrapolate
    to_predict = with_levers(loaded, options.changes.levers)
    # What cannot be predicted shows now, before anything is measured.
    forecast = predict(
        to_predict, first, repeats=1, given=given, extrapolate=extrapolate, by_model=by_model, by_machine=by_machine
    )
    lengths = "forecast" if options.forecast else "as observed"

    folder = options.run
    if folder is None:
        progress.expect({trial.candidate: trial.makespan_s for trial in forecast.run.trials})
        asked = RunOptions(changes=options.changes, repeats=options.repeats, out=options.out, command=options.command)
        ended = measure_into_folder(loaded, asked, progress)
        if ended.interrupted or ended.failure is not None:
            return Scored(measured(ended), None, profiles.name, lengths, ())
        folder = ended.folder
    run, analysis = report(folder)
    _check_same(loaded, run, folder)
    predicted = predict(
        to_predict,
        first,
        repeats=max((trial.repeat for trial in run.trials), default=0) + 1,
        tokens_of=None if options.forecast else replay(run, loaded.pipelines),
        given=given,
        extrapolate=extrapolate,
        by_model=by_model,
        by_machine=by_machine,
    ).run
    foreseen = analyse(predicted)
    found = figures.score(analysis, foreseen, run, predicted)
    if not found.rows:
        raise UserError(f"{folder}: nothing in this run can be compared with the prediction")
    if run.origin != "emulated":  # against a simulated server it says nothing of the machine
        remember(_entry(profiles.name, loaded, found, run, lengths))
    notes = tuple(note.text for note in predicted.notes)
    name = foreseen.choice.candidate
    known = f"{profiles.name} (estimated)" if profiles.origin == "estimated" else profiles.name
    return Scored(Measured(folder, run, analysis), found, known, lengths, notes, name)


def keep_score(scored: Scored) -> None:
    """Write a score into the folder of its run, and the run's report again, with the score in it.

    Raises:
        UserError: a file cannot be written.
    """
    folder, run, analysis = scored.measured[:3]
    assert scored.score is not None and analysis is not None
    saved = SavedScore(scored.profile, scored.lengths, scored.score.rows, scored.notes)
    write_score(folder, scored.score, run.origin, saved)
    keep_report(folder, analysis, run)


def _loaded(file: Path | Written, options: ScoreOptions) -> Loaded:
    """Load the workload; of a run that is there, on the run's own servers, and with what was changed for it.

    Raises:
        UserError: servers are named beside a run.
    """
    changes = options.changes
    if options.run is None:
        return load(file, changes, repeats=options.repeats, asking=True)
    given = [flag for flag in ("engine", "model", "servers") if getattr(changes, flag)]
    if given:
        raise UserError(
            f"--{given[0].rstrip('s')}: {options.run} has servers and models of its own, which are taken; leave it out"
        )
    head = read_head(options.run)
    policies = policies_again(options.run, head.policy_files, changes.policies)
    was = options_of(head).changes
    again = replace(changes, engine=was.engine, model=was.model, servers=was.servers, scale=was.scale, seed=was.seed)
    return load(file, again, repeats=options.repeats, policies=policies, measured=head.workload.servers)


def _check_same(loaded: Loaded, run: Run, folder: Path) -> None:
    """UserError unless the folder holds a run of this workload: other graphs cannot be compared call by call."""
    servers = (loaded.workload.servers, loaded.resolved().servers)  # as here, and as a run's folder names profiles
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
