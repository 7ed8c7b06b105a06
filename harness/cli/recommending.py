"""What `slotwise recommend` does, apart from its options: profile, search, measurement, report."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from harness.cli.options import Options as RunOptions
from harness.cli.own_profile import profile_for
from harness.cli.running import measure_into_folder
from harness.cli.settings import check_kind
from harness.cli.simulating import given_values
from harness.errors import SlotwiseError, UserError, did_you_mean
from harness.measure.machine import machine_name
from harness.measure.progress import Progress
from harness.predict.servers import Profiles
from harness.recommend.answer import Found, recommend
from harness.recommend.confirm import Until, confirmed, contenders, expected_s, to_measure, too_short, trials_s, within
from harness.recommend.constraints import Memory, check_one_slot, longest_of, memory_of
from harness.recommend.evaluate import Problem
from harness.recommend.model import Recommendation
from harness.recommend.several import asked_models, check_models, server_like, space_of_two
from harness.recommend.space import design_space
from harness.recommend.workers import Evaluate, in_process, on_cluster, on_cores
from harness.report.progress import LineProgress, LiveProgress, progress_for
from harness.report.recommendation import markdown_recommendation, print_recommendation, recommendation_text
from harness.runs.folder import write_text
from harness.servers.machine import cores
from harness.units import seconds
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded, Overrides, load_workload

__all__ = ["Options", "confirm", "recommend_workload"]

_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?")
_UNITS_S = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB|MiB|GiB)", re.IGNORECASE)
_UNITS_BYTES = {"mb": 10**6, "gb": 10**9, "tb": 10**12, "mib": 2**20, "gib": 2**30}
INTERRUPTED = 130


class Options(NamedTuple):
    """The options of `slotwise recommend`."""

    profiles: tuple[str, ...]
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
    settings: str | None = None


def recommend_workload(file: Path, options: Options) -> int:
    """Search, confirm where asked for, and print; write a folder where one is asked for; return the exit code."""
    budget_s = budget_of(options.budget)
    limit_bytes = None if options.memory is None else size_of(options.memory)
    given = given_values(options.assume)
    if options.settings is not None:
        check_kind(options.settings)
    overrides = Overrides(scale=options.scale, seed=options.seed, engine=options.engine, model=options.model)
    loaded = load_workload(file, overrides)
    check_models(loaded)
    with progress_for(sys.stderr) as progress:
        profiles = _profiles(loaded, options, file.parent, progress)
        profile = profiles.first
        extrapolate, most = options.extrapolate, options.max_slots
        if profiles.by_model:
            memory = _memory(loaded, profiles, limit_bytes, None)
            fits = memory.too_much
            space = space_of_two(loaded, profiles.by_model, extrapolate=extrapolate, max_slots=most, fits=fits)
        else:
            longest = longest_of(loaded, profile, given)
            enough = None if longest is None else longest.enough
            memory = _memory(loaded, profiles, limit_bytes, enough)
            fits = memory.too_much
            space = design_space(
                loaded, profile, extrapolate=extrapolate, max_slots=most, fits=fits, context_tokens=enough
            )
        problem = Problem(space.loaded, profiles, given, options.extrapolate)
        with _workers(problem, options) as evaluate:
            found = recommend(
                space,
                problem,
                profile,
                evaluate,
                progress,
                memory=memory,
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


def _profiles(loaded: Loaded, options: Options, near: Path, progress: Progress) -> Profiles:
    """Return the profile of the model, or those of two."""
    models = asked_models(loaded)
    named: dict[str, str] = {}
    for text in options.profiles:
        model, _, name = text.rpartition("=")
        if (len(models) > 1) != bool(model):
            wanted = " ".join(f"--profile {one}=NAME" for one in models) if len(models) > 1 else "--profile NAME"
            raise UserError(f'--profile: expected {wanted}, found "{text}"')
        if model and model not in models:
            raise UserError(f'--profile: no node asks for model "{model}"{did_you_mean(model, models)}')
        if (model or models[0]) in named:
            raise UserError(f"--profile: expected one for {model or models[0]}, found two")
        named[model or models[0]] = name
    found = {
        model: profile_for(server_like(loaded, model), named.get(model), near, progress, calibrate_it=options.measure)
        for model in models
    }
    return Profiles(found[models[0]], found if len(models) > 1 else {})


def _memory(loaded: Loaded, profiles: Profiles, limit_bytes: int | None, context_tokens: int | None) -> Memory:
    like = loaded.servers[most_slots(loaded.servers)]
    first = memory_of(like, profiles.first, limit_bytes)
    if not like.running:
        check_one_slot(first, like, context_tokens)
    others = {
        model: memory_of(server_like(loaded, model), profile, limit_bytes)
        for model, profile in profiles.by_model.items()
    }
    return first._replace(others=others)


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


def _confirm(
    found: Found, memory: Memory, budget_s: float, options: Options, progress: LineProgress | LiveProgress
) -> Recommendation:
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
    return confirm(found, memory, budget_s, run_options, progress)


def confirm(
    found: Found, memory: Memory, budget_s: float, options: RunOptions, progress: LineProgress | LiveProgress
) -> Recommendation:
    """Measure the best few within the budget; what cannot be measured stays a prediction, and says so."""
    recommendation = found.recommendation
    names = within(found, contenders(found, memory), budget_s)
    if len(names) < 2:
        return _noted(recommendation, "Prediction only: there is nothing to compare it with by measurement.")
    needed_s = expected_s(found, names)
    if needed_s > budget_s:
        return _noted(recommendation, too_short(budget_s, needed_s))
    here, servers = machine_name(), found.space.loaded.servers.values()
    if recommendation.machine != here and not any(spec.simulated for spec in servers):
        note = f'The profile is of "{recommendation.machine}"; what is measured is this machine, "{here}".'
        recommendation = _noted(recommendation, note)
    trial_s = trials_s(found, names)
    progress.say(
        f"measuring {', '.join(names)}: about {seconds(sum(trial_s.values()))} for a repeat of all by the prediction, "
        f"{seconds(max(trial_s.values()))} for the longest trial; at most {seconds(budget_s)}"
    )
    progress.expect(trial_s, budget_s)
    until = Until(budget_s, trial_s=trial_s)
    try:
        done = measure_into_folder(to_measure(found, names), options, progress, until)
    except SlotwiseError as error:
        return _noted(recommendation, f"Prediction only: it could not be measured ({error}).")
    _keep(done.folder, progress)
    if done.code == INTERRUPTED:
        recommendation = recommendation._replace(interrupted=True)
        until.why = "it was interrupted"
    if done.failure is not None:
        return _noted(recommendation, f"Prediction only: the measurement ended early ({done.failure}).")
    return confirmed(found._replace(recommendation=recommendation), done.folder, until)


def _noted(recommendation: Recommendation, note: str) -> Recommendation:
    return recommendation._replace(notes=(note, *recommendation.notes))


def _settings(recommendation: Recommendation, kind: str) -> str:
    """Return the settings of one kind of the answer; of two candidates one after the other, each with its name."""
    analysis = (recommendation.confirmation or recommendation).analysis
    texts = {one.candidate: one.whole(check_kind(kind)) for one in analysis.choice.settings}
    if len(texts) == 1:
        return "".join(texts.values())
    return "\n".join(f"# {name}\n{text}" for name, text in texts.items())


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
    if options.settings is not None:
        print(_settings(recommendation, options.settings), end="")
    elif options.as_json:
        print(recommendation_text(recommendation), end="")
    else:
        print_recommendation(recommendation, Console(highlight=False))
    if options.out is not None:
        folder = options.out / f"{recommendation.workload}-recommendation-{datetime.now():%Y%m%d-%H%M%S}"
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder, "recommendation.md", markdown_recommendation(recommendation))
        write_text(folder, "recommendation.json", recommendation_text(recommendation))
        print(f"\nRecommendation: {folder}", file=sys.stderr)
