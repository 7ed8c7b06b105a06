"""The figures of a design while it is written: every candidate, first a few repeats, then what `simulate` gives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.analysis.model import CandidateSummary, GoalResult, PipelineSummary
from harness.analysis.statistics import Estimate
from harness.app.estimate import device_profiles
from harness.app.options import Assumptions, SimulateOptions
from harness.app.prediction import profiles_of
from harness.app.simulate import Simulated, simulate
from harness.app.workload import Written, load
from harness.errors import UserError
from harness.predict.simulation import unpredictable
from harness.report.summary import summary
from harness.runs.head import plain_yaml
from harness.wording.run_answer import run_answer
from harness.wording.said import said
from harness.workload.dials import Turned, turned

__all__ = [
    "FIRST_REPEATS",
    "REPEATS",
    "CandidateFigures",
    "DesignFigures",
    "DesignMachine",
    "DesignOptions",
    "PipelineFigures",
    "Stage",
    "Turned",
    "figures",
    "machine_profiles",
    "simulated_design",
    "with_turned",
]

Stage = Literal["preliminary", "final"]

FIRST_REPEATS = 5
REPEATS = 200  # as `slotwise simulate` has it where nothing is said


@dataclass(frozen=True, kw_only=True)
class DesignMachine:
    """The machine that a design is predicted on: profiles as `--profile` takes them, or a device with a model."""

    profiles: tuple[str, ...] = ()
    device: str | None = None  # of `slotwise profile devices`; its profile is estimated
    model: str | None = None  # with a device
    quant: str | None = None  # the same: the number format of the weights


@dataclass(frozen=True, kw_only=True)
class DesignOptions:
    """Of `figures`."""

    machine: DesignMachine = field(default_factory=DesignMachine)
    turned: Turned = field(default_factory=Turned)
    stage: Stage = "final"
    extrapolate: bool = False  # derive numbers of slots that a profile lacks; marked in the result


class PipelineFigures(NamedTuple):
    """What becomes of one pipeline under one candidate; times in seconds."""

    pipeline: str
    path: str
    time: Estimate | None  # pipeline time; on an interactive path the reply time
    first_token: Estimate | None
    all_done: Estimate | None
    p95_s: float | None
    goals: tuple[GoalResult, ...]
    jobs_failed: int


class CandidateFigures(NamedTuple):
    """One candidate."""

    name: str
    recommended: bool
    why_not: str  # why it cannot be predicted; "" = it is
    pipelines: tuple[PipelineFigures, ...] = ()
    makespan: Estimate | None = None  # of one repeat, in seconds
    throughput: Estimate | None = None  # output tokens a second


class DesignFigures(NamedTuple):
    """Every candidate of a design, in the order of the file."""

    stage: Stage
    repeats: int
    origin: str  # of every figure: predicted or estimated
    profiles: tuple[tuple[str, str], ...]  # each that was used, and the origin of its numbers
    headline: str
    notices: tuple[str, ...]
    candidates: tuple[CandidateFigures, ...]
    summary: Mapping[str, Any] | None  # final ones: what `slotwise simulate FILE --json` prints


def figures(written: Written, options: DesignOptions) -> DesignFigures:
    """Predict every candidate of a workload on a machine.

    The final figures are those of `slotwise simulate` on the same text, to the last digit. The preliminary ones are of
    the first five of the same repeats, without resampled profiles.

    Raises:
        WorkloadError, PolicyError, UserError: the workload or the machine cannot be used, or no candidate can be
            predicted.
    """
    if options.turned:
        written = with_turned(written, options.turned)
    names = machine_profiles(options.machine)
    found = _simulated(written, names, options)
    refused = _refused(written, names, options, found)
    return _figures(found, refused, options.stage)


def simulated_design(written: Written, options: DesignOptions) -> Simulated:
    """Return the simulation that `figures` are of, with the command that gives it where nothing is turned.

    Raises:
        WorkloadError, PolicyError, UserError: as `figures`.
    """
    if options.turned:
        written = with_turned(written, options.turned)
    names = machine_profiles(options.machine)
    words = ["slotwise", "simulate", str(written.path), *(word for name in names for word in ("--profile", name))]
    words += ["--extrapolate"] if options.extrapolate else []
    return _simulated(written, names, options, "" if options.turned else shlex.join(words))


def _simulated(written: Written, names: tuple[str, ...], options: DesignOptions, command: str = "") -> Simulated:
    first = options.stage == "preliminary"
    return simulate(
        written,
        SimulateOptions(
            assumptions=Assumptions(profiles=names, extrapolate=options.extrapolate, resamples=0 if first else None),
            repeats=FIRST_REPEATS if first else REPEATS,
            command=command,
        ),
    )


def with_turned(written: Written, to: Turned) -> Written:
    """Return a workload with other values in it, written as YAML again; comments are lost.

    Raises:
        WorkloadError, UserError: the workload has mistakes, or nothing of that name.
    """
    plain = turned(load(written), to)
    return Written(written.path.with_name(f"<changed {written.path.name}>"), plain_yaml(plain))


def machine_profiles(machine: DesignMachine) -> tuple[str, ...]:
    """Return the machine's profiles as `--profile` takes them; that of a device is estimated, in the user's cache.

    Raises:
        UserError: no machine, both forms, or an unknown device or model.
    """
    if machine.device is None:
        if machine.model is not None or machine.quant is not None:
            raise UserError("a model goes with a device: choose the device, too")
        return machine.profiles
    if machine.profiles:
        raise UserError("expected a profile or a device, found both")
    return device_profiles([machine.device], machine.model, machine.quant)


def _refused(written: Written, names: tuple[str, ...], options: DesignOptions, found: Simulated) -> dict[str, str]:
    """Return why candidates could not be predicted, by name; looked for only where there are such."""
    if not found.analysis.run.missing:
        return {}
    loaded = load(written)
    profiles = profiles_of(names, Path(written.path).parent, loaded)
    return unpredictable(loaded, profiles, extrapolate=options.extrapolate)


def _figures(found: Simulated, refused: Mapping[str, str], stage: Stage) -> DesignFigures:
    analysis = found.analysis
    chosen = {settings.candidate for settings in analysis.choice.settings}
    known = analysis.by_name
    return DesignFigures(
        stage=stage,
        repeats=analysis.run.repeats,
        origin=analysis.run.origin,
        profiles=tuple((one.name, one.origin) for one in found.profiles.all),
        headline=run_answer(analysis).headline,
        notices=tuple(notice.text for notice in said(analysis).notices),
        candidates=tuple(
            _candidate(known[plan.name], plan.name in chosen)
            if plan.name in known
            else CandidateFigures(plan.name, False, refused.get(plan.name, "it cannot be predicted on this profile"))
            for plan in found.run.plans
        ),
        summary=summary(analysis) if stage == "final" else None,
    )


def _candidate(one: CandidateSummary, recommended: bool) -> CandidateFigures:
    pipelines = tuple(map(_pipeline, one.pipelines))
    return CandidateFigures(one.name, recommended, "", pipelines, one.makespan, one.throughput)


def _pipeline(one: PipelineSummary) -> PipelineFigures:
    return PipelineFigures(
        one.pipeline, one.path, one.time, one.first_token, one.all_done, one.p95_s, one.goals, one.jobs_failed
    )
