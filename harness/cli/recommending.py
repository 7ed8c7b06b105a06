"""What `slotwise recommend` does, apart from its options: profile, search, measurement, report."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.cli.simulating import given_values
from harness.content import available
from harness.errors import SlotwiseError, UserError
from harness.measure.machine import machine_name
from harness.measure.progress import Progress
from harness.predict.servers import Profiles
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.model_id import model_id
from harness.profiles.schema import Profile
from harness.recommend.answer import Found, recommend
from harness.recommend.constraints import Memory, longest_call, memory_of
from harness.recommend.evaluate import Problem
from harness.recommend.model import Recommendation
from harness.recommend.space import design_space
from harness.recommend.workers import Evaluate, in_process, on_cluster, on_cores
from harness.report.progress import LineProgress, LiveProgress, progress_for
from harness.report.recommendation import markdown_recommendation, print_recommendation, recommendation_text
from harness.runs.folder import write_text
from harness.servers.machine import cores
from harness.units import seconds
from harness.workload.candidates import most_slots
from harness.workload.load import Overrides, load_workload
from harness.workload.schema import OllamaServer, ServerSpec, SimulatedServer

__all__ = ["Options", "recommend_workload"]

_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?")
_UNITS_S = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB|MiB|GiB)", re.IGNORECASE)
_UNITS_BYTES = {"mb": 10**6, "gb": 10**9, "tb": 10**12, "mib": 2**20, "gib": 2**30}
CALIBRATED_SLOTS = "1,2,4"
INTERRUPTED = 130


class Options(NamedTuple):
    """The options of `slotwise recommend`."""

    profile: str | None
    budget: str
    measure: bool
    extrapolate: bool
    max_slots: int | None
    memory: str | None
    assume: tuple[str, ...]
    seeds: int
    workers: int | None
    cluster: str
    resamples: int | None
    scale: int
    seed: int | None
    engine: str | None
    model: str | None
    out: Path | None
    as_json: bool


def recommend_workload(file: Path, options: Options) -> int:
    """Search, confirm where asked for, and print; write a folder where one is asked for; return the exit code."""
    budget_s = budget_of(options.budget)
    limit_bytes = None if options.memory is None else size_of(options.memory)
    given = given_values(options.assume)
    overrides = Overrides(scale=options.scale, seed=options.seed, engine=options.engine, model=options.model)
    loaded = load_workload(file, overrides)
    like = loaded.servers[most_slots(loaded.servers)]
    with progress_for(sys.stderr) as progress:
        profile = _profile(like, options, file.parent, progress)
        memory = memory_of(like, profile, limit_bytes)
        space = design_space(
            loaded, profile, extrapolate=options.extrapolate, max_slots=options.max_slots, fits=memory.too_much
        )
        longest = longest_call(space.loaded, profile)
        problem = Problem(space.loaded, Profiles(profile), given, options.extrapolate)
        with _workers(problem, options) as evaluate:
            found = recommend(
                space,
                problem,
                profile,
                evaluate,
                progress,
                memory=memory,
                longest=longest,
                seeds=options.seeds,
                given=given,
                extrapolate=options.extrapolate,
                resamples=options.resamples,
            )
        recommendation = found.recommendation
        if options.measure and not found.recommendation.interrupted:
            recommendation = _confirm(found, memory, budget_s, options, progress)
    _show(recommendation, options)
    return INTERRUPTED if recommendation.interrupted else 0


def budget_of(text: str) -> float:
    """Read a time such as 90s, 5m or 1h; UserError where it is none."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None:
        raise UserError(f'--budget: expected a time such as 90s, 5m or 1h, found "{text}"')
    return float(match[1]) * _UNITS_S[match[2]]


def size_of(text: str) -> int:
    """Read a size such as 8GB; UserError where it is none."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UserError(f'--memory: expected a size such as 8GB or 512MB, found "{text}"')
    return round(float(match[1]) * _UNITS_BYTES[match[2].lower()])


@contextmanager
def _workers(problem: Problem, options: Options) -> Iterator[Evaluate]:
    if options.cluster:
        with on_cluster(problem, options.cluster) as evaluate:
            yield evaluate
    elif (workers := options.workers or cores()) > 1:
        with on_cores(problem, workers) as evaluate:
            yield evaluate
    else:
        yield in_process(problem)


def _profile(like: ServerSpec, options: Options, near: Path, progress: Progress) -> Profile:
    """Return the profile that is named, or one that fits, or a new one."""
    if options.profile is not None:
        return load_profile(options.profile, near)
    if isinstance(like, SimulatedServer):
        return load_profile(like.profile, near)
    fitting = [
        profile
        for profile in (load_profile(name, near) for name in available("profiles", ".yaml", near))
        if profile.machine == machine_name() and profile.model_id == model_id(like.model)
    ]
    if fitting:
        best = max(fitting, key=lambda profile: (profile.date or "", profile.name))
        progress.say(f"profile {best.name}: this machine, with {best.model}")
        return best
    if not options.measure:
        raise UserError(
            f"no profile of this machine with {like.model}: give one with --profile NAME, make one with slotwise "
            "calibrate, or leave --no-measure out, and it is made first"
        )
    return _calibrated(like, progress)


def _calibrated(like: ServerSpec, progress: Progress) -> Profile:
    """Calibrate quickly, and keep the profile beside the others."""
    from harness.cli.calibrating import wanted_of
    from harness.measure.calibrate import calibrate
    from harness.measure.experiment import EFFORTS

    server: str = like.kind
    slots: str | None = CALIBRATED_SLOTS
    if isinstance(like, OllamaServer) and like.url:
        server, slots = like.url, None
    wanted, pair = wanted_of(server, slots, like.model, None, cores())
    progress.say("no profile of this machine and model: calibrating first")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{like.kind}-{Path(like.model).stem}-quick").strip("-._")[:63]
    profile = asyncio.run(calibrate(name, wanted, EFFORTS["quick"], progress, pair=pair))
    folder = Path("profiles")
    folder.mkdir(exist_ok=True)
    write_text(folder, f"{name}.yaml", dump_profile(profile, "Fitted by `slotwise recommend`; times in seconds."))
    progress.say(f"profile written: {folder / name}.yaml")
    return profile


def _confirm(
    found: Found, memory: Memory, budget_s: float, options: Options, progress: LineProgress | LiveProgress
) -> Recommendation:
    """Measure the best few within the budget; what cannot be measured stays a prediction, and says so."""
    from harness.cli.options import Options as RunOptions
    from harness.cli.running import measure_into_folder
    from harness.recommend.confirm import Until, confirmed, contenders, expected_s, to_measure, too_short

    recommendation = found.recommendation
    names = contenders(found, memory)
    if len(names) < 2:
        note = "Prediction only: there is nothing to compare it with by measurement."
        return recommendation._replace(notes=(note, *recommendation.notes))
    needed_s = expected_s(found, names)
    while needed_s > budget_s and len(names) > 2:
        names = names[:-1]
        needed_s = expected_s(found, names)
    if needed_s > budget_s:
        note = too_short(budget_s, needed_s)
        return recommendation._replace(notes=(note, *recommendation.notes))
    here, servers = machine_name(), found.space.loaded.servers.values()
    if recommendation.machine != here and not any(isinstance(spec, SimulatedServer) for spec in servers):
        note = f'The profile is of "{recommendation.machine}"; what is measured is this machine, "{here}".'
        recommendation = recommendation._replace(notes=(note, *recommendation.notes))
    progress.say(f"measuring {', '.join(names)}: at most {seconds(budget_s)}")
    until = Until(budget_s)
    makespans = {of.name: of.makespan for of in recommendation.analysis.candidates}
    progress.expect({name: span.value for name, span in makespans.items() if span is not None}, budget_s)
    run_options = RunOptions(
        out=options.out or Path("reports"),
        repeats=None,
        warmup=None,
        scale=options.scale,
        only=(),
        engine=options.engine,
        model=options.model,
        servers=(),
        seed=options.seed,
        fail_on=(),
        as_json=False,
    )
    try:
        done = measure_into_folder(to_measure(found, names), run_options, progress, until)
    except SlotwiseError as error:
        note = f"Prediction only: it could not be measured ({error})."
        return recommendation._replace(notes=(note, *recommendation.notes))
    _keep(done.folder, progress)
    if done.code == INTERRUPTED:
        recommendation = recommendation._replace(interrupted=True)
    if done.failure is not None:
        note = f"Prediction only: the measurement ended early ({done.failure})."
        return recommendation._replace(notes=(note, *recommendation.notes))
    found = found._replace(recommendation=recommendation)
    return confirmed(found, done.folder, until)


def _keep(folder: Path, progress: Progress) -> None:
    """Give the measurement its own report and its place in the index; a failure here costs the answer nothing."""
    from harness.analysis.analyse import analyse
    from harness.cli.running import keep_report
    from harness.runs.folder import read_run

    try:
        run = read_run(folder)
        if run.calls:
            keep_report(folder, analyse(run, folder), run)
    except SlotwiseError as error:
        progress.say(str(error))


def _show(recommendation: Recommendation, options: Options) -> None:
    if options.as_json:
        print(recommendation_text(recommendation), end="")
    else:
        print_recommendation(recommendation, Console(highlight=False))
    if options.out is not None:
        folder = options.out / f"{recommendation.workload}-recommendation-{datetime.now():%Y%m%d-%H%M%S}"
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder, "recommendation.md", markdown_recommendation(recommendation))
        write_text(folder, "recommendation.json", recommendation_text(recommendation))
        print(f"\nRecommendation: {folder}", file=sys.stderr)
