"""Predict a workload on a profile, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.app.options import SimulateOptions
from harness.app.prediction import check_assumed, profiles_of
from harness.app.workload import Written, file_notes, load
from harness.core.records import PREDICTED
from harness.errors import UserError
from harness.own_policies import policies_again
from harness.predict.forecast import TokensOf
from harness.predict.resampling import with_resampling
from harness.predict.score import replay
from harness.predict.servers import Profiles
from harness.predict.simulation import predict
from harness.runs.folder import read_run
from harness.runs.head import read_head
from harness.runs.model import Run
from harness.units import safe_url
from harness.wording.predictions import lengths_measured
from harness.workload.load import Loaded

__all__ = ["Simulated", "simulate"]


class Simulated(NamedTuple):
    """A predicted run, its analysis, and the profiles that it was predicted on."""

    run: Run
    analysis: Analysis
    profiles: Profiles


def simulate(
    file: Path | Written, options: SimulateOptions, check: Callable[[Loaded], None] = lambda loaded: None
) -> Simulated:
    """Predict every candidate of a workload, without running anything.

    A candidate that cannot be predicted is left out, and a note of the run says why.
    `harness.app.report.keep_prediction` writes the result as a run folder.

    Args:
        file: the workload.
        options: the profile of the machine, what is to be different in the workload, and how often it is simulated.
        check: looks at the workload before anything is predicted, and may raise UserError.

    Raises:
        WorkloadError, PolicyError, UserError: the workload or the profile cannot be used as it was asked for, or no
            candidate can be predicted.
    """
    check_assumed(options.assumptions.assume)
    policies = None
    if options.lengths is not None and options.changes.policies is None:  # those that the lengths were measured with
        policies = policies_again(options.lengths, read_head(options.lengths).policy_files)
    loaded = load(file, options.changes, policies=policies)
    check(loaded)
    profiles = profiles_of(options.assumptions.profiles, loaded.path.parent, loaded)
    tokens_of = None if options.lengths is None else _measured(options.lengths, loaded)
    given, extrapolate = options.assumptions.assume, options.assumptions.extrapolate
    run = predict(
        loaded,
        profiles.first,
        repeats=options.repeats,
        tokens_of=tokens_of,
        given=given,
        extrapolate=extrapolate,
        by_model=profiles.by_model,
        by_machine=profiles.by_machine,
    ).run
    run = with_resampling(
        run,
        loaded,
        profiles.first,
        profiles=options.assumptions.resamples,
        tokens_of=tokens_of,
        given=given,
        extrapolate=extrapolate,
        by_model=profiles.by_model,
        by_machine=profiles.by_machine,
    )
    if options.lengths is not None:
        run = run._replace(notes=(*run.notes, lengths_measured(options.lengths)))
    run = run._replace(notes=(*file_notes(loaded), *run.notes), command=safe_url(options.command))
    return Simulated(run, analyse(run), profiles)


def _measured(folder: Path, loaded: Loaded) -> TokensOf:
    """Return the lengths that a run of this workload really had."""
    run = read_run(folder)
    if run.origin in PREDICTED:
        raise UserError(f"{folder}: expected a measured run, found a predicted one; its lengths are a forecast too")
    mine = {(pipeline.name, node.name) for pipeline in loaded.pipelines for node in pipeline.graph.nodes}
    if not mine & {(call.pipeline, call.node) for call in run.calls if call.outcome == "ok"}:
        raise UserError(
            f'{folder}: expected a run of "{loaded.workload.name}", found none of its nodes in "{run.name}"'
        )
    return replay(run, loaded.pipelines)
