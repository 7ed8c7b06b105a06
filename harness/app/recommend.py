"""Find the best way to run a workload, confirm it by measurement, and say why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.facts import MeasurementEnd
from harness.app.options import RecommendOptions, RunOptions
from harness.app.prediction import check_assumed, profiles_of
from harness.app.profile import profile_for
from harness.app.workload import Written, load, skipped_text
from harness.errors import SlotwiseError, UserError, did_you_mean
from harness.measure.machine import machine_name
from harness.measure.progress import SILENT, Progress
from harness.measure.until import Until
from harness.predict.servers import Profiles
from harness.predict.simulation import unpredictable
from harness.profiles.schema import Profile
from harness.recommend import answer
from harness.recommend.answer import Recommended, without
from harness.recommend.confirm import (
    LEAST_REPEATS,
    confirmed,
    contenders,
    expected_s,
    to_measure,
    trials_s,
    within,
)
from harness.recommend.constraints import check_one_slot, longest_of, memory_of, rooms_of
from harness.recommend.evaluate import Problem
from harness.recommend.facts import (
    BudgetTooShort,
    CouldNotMeasure,
    MemoryNeed,
    NothingToCompare,
    OpenInFile,
    OtherMachine,
    RecommendationNote,
)
from harness.recommend.model import Recommendation
from harness.recommend.runners import as_loaded
from harness.recommend.several import asked_models, check_models, server_like, space_of_two
from harness.recommend.space import Space, design_space
from harness.recommend.workers import LITTLE_S, Evaluate, in_process, on_cluster, on_cores
from harness.report.recommendation import markdown_recommendation, recommendation_text
from harness.runs.folder import read_run, write_text
from harness.runs.model import Run
from harness.servers.machine import cores
from harness.units import seconds
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded

__all__ = ["Found", "SearchEnd", "confirm", "keep_recommendation", "recommend", "searched"]


class SearchEnd(NamedTuple):
    """What a search found, and the memory that there is: what a measurement of its best needs."""

    found: Recommended
    memory: MemoryNeed


class Found(NamedTuple):
    """What a search found, with the records of its finalists as they were predicted, and how it was asked for."""

    recommendation: Recommendation
    predicted: Run
    command: str = ""


def recommend(
    file: Path | Written, options: RecommendOptions = RecommendOptions(), progress: Progress = SILENT
) -> Found:
    """Search all ways to run a workload by simulation, and confirm the best few on servers where that is asked for.

    Ctrl-C ends the search or the measurement early: the result says so, and is the best of what was known.

    Args:
        file: the workload.
        options: the machine's profile, what may be tried, and how long may be measured.
        progress: is told what goes on.

    Raises:
        WorkloadError, PolicyError, UserError: the workload cannot be used as it was asked for, there is no profile and
            none is to be made, or nothing can be tried.
        ServerFailure: a profile could not be made, or processes of the search were lost.
        KeyboardInterrupt: before anything was known.
    """
    found, memory = searched(file, options, progress)
    if not options.measure or found.recommendation.interrupted:
        return Found(found.recommendation, found.run, options.command)
    measured = RunOptions(changes=options.changes, out=options.out, command=options.command)
    return Found(confirm(found, memory, options.budget_s, measured, progress), found.run, options.command)


def searched(file: Path | Written, options: RecommendOptions, progress: Progress = SILENT) -> SearchEnd:
    """Search as `recommend` does, and measure nothing: `confirm` can go on from there.

    Raises:
        WorkloadError, PolicyError, UserError, ServerFailure, KeyboardInterrupt: as `recommend`.
    """
    given, extrapolate = options.assumptions.assume, options.assumptions.extrapolate
    check_assumed(given)
    loaded = load(file, options.changes, asking=options.measure)
    if loaded.skipped:
        progress.say(skipped_text(loaded.skipped))
    check_models(loaded)
    profiles = _profiles(loaded, options, loaded.path.parent, progress)
    space, memory = _space(loaded, profiles, options)
    problem = Problem(space.loaded, profiles, given, extrapolate)
    with _workers(problem, options) as evaluate:
        found = answer.recommend(
            space,
            problem,
            _profile_of(loaded, profiles, asked_models(loaded)[0]),
            evaluate,
            progress,
            memory=memory,
            seeds=options.seeds,
            given=given,
            extrapolate=extrapolate,
            resamples=options.assumptions.resamples,
        )
    if loaded.workload.compare:
        missing = unpredictable(loaded, profiles, given=given, extrapolate=extrapolate)
        found = found._replace(recommendation=without(found.recommendation, missing))
    if loaded.questions:
        lines = tuple(question.line for question in loaded.questions)
        found = found._replace(recommendation=_noted(found.recommendation, OpenInFile(loaded.path.name, lines)))
    return SearchEnd(found, memory)


def keep_recommendation(found: Found, out: Path) -> Path:
    """Write a recommendation as a page, Markdown and JSON into a folder of its own below `out`; return that folder.

    Raises:
        UserError: it cannot be written.
    """
    from harness.report.recommendation_html import html_recommendation  # charts: a second, only where it is kept

    recommendation, predicted, command = found
    folder = out / f"{recommendation.workload}-recommendation-{datetime.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder, "recommendation.md", markdown_recommendation(recommendation))
    write_text(folder, "recommendation.json", recommendation_text(recommendation))
    confirmation = recommendation.confirmation
    measured = read_run(Path(confirmation.folder)) if confirmation else None
    write_text(folder, "report.html", html_recommendation(recommendation, predicted, measured, command))
    return folder


def _space(loaded: Loaded, profiles: Profiles, options: RecommendOptions) -> tuple[Space, MemoryNeed]:
    """Return every candidate that is worth looking at, and the memory that they have."""
    extrapolate, most = options.assumptions.extrapolate, options.max_slots
    models = asked_models(loaded)
    if len(models) > 1:
        memory = _memory(loaded, profiles, options.memory_bytes, None)
        by_model = {model: _profile_of(loaded, profiles, model) for model in models}
        fits = memory.too_much
        return space_of_two(loaded, by_model, extrapolate=extrapolate, max_slots=most, fits=fits), memory
    first = _profile_of(loaded, profiles, models[0])
    longest = longest_of(loaded, first, options.assumptions.assume)
    enough = None if longest is None else longest.enough
    memory = _memory(loaded, profiles, options.memory_bytes, enough)
    space = design_space(
        loaded,
        first,
        extrapolate=extrapolate,
        max_slots=most,
        fits=memory.too_much,
        context_tokens=enough,
        by_machine=profiles.by_machine,
    )
    return space, memory


def _profile_of(loaded: Loaded, profiles: Profiles, model: str) -> Profile:
    """Return the profile of the servers that those of a model are like."""
    return profiles.on(server_like(loaded, model).machine).of(model)


def _profiles(loaded: Loaded, options: RecommendOptions, near: Path, progress: Progress) -> Profiles:
    """Return the profile of the model, or those of two; where servers name machines, those of each machine."""
    models = asked_models(loaded)
    named: dict[str, str] = {}
    if any(spec.machine is not None for spec in loaded.known_servers.values()):
        return profiles_of(options.assumptions.profiles, near, loaded, unused=True)
    for text in options.assumptions.profiles:
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


def _memory(loaded: Loaded, profiles: Profiles, limit_bytes: int | None, context_tokens: int | None) -> MemoryNeed:
    like, models = loaded.servers[most_slots(loaded.servers)], asked_models(loaded)
    first = memory_of(like, _profile_of(loaded, profiles, models[0]), limit_bytes)
    rooms = rooms_of(loaded, profiles, limit_bytes)
    if len(models) == 1:
        everywhere = [[0] * len(pipeline.graph.nodes) for pipeline in loaded.pipelines]
        (asked,) = as_loaded(loaded.pipelines, everywhere, [like])
        if asked.context_tokens != like.context_tokens:  # what agents ask for is not cut
            like, context_tokens = asked, None
            first = first._replace(asked_tokens=asked.context_tokens)
    if not like.running:
        check_one_slot(first._replace(rooms=rooms), like, context_tokens)
    others = {
        model: memory_of(server_like(loaded, model), _profile_of(loaded, profiles, model), limit_bytes)
        for model in (models if len(models) > 1 else ())
    }
    return first._replace(others=others, rooms=rooms)


@contextmanager
def _workers(problem: Problem, options: RecommendOptions) -> Iterator[Evaluate]:
    if options.cluster:
        with on_cluster(problem, options.cluster) as evaluate:
            yield evaluate
    elif (workers := options.workers or cores()) > 1:
        with on_cores(problem, workers, little_s=LITTLE_S) as evaluate:
            yield evaluate
    else:
        yield in_process(problem)


def confirm(
    found: Recommended,
    memory: MemoryNeed,
    budget_s: float,
    options: RunOptions,
    progress: Progress = SILENT,
    most: int | None = None,
) -> Recommendation:
    """Measure the best few of a search within a budget; what cannot be measured stays a prediction, and says so.

    `most` is how many at most; left out: as many as the search thinks worth it.
    """
    from harness.app.measuring import measure_into_folder  # langchain: half a second, only where something is measured

    recommendation = found.recommendation
    names = within(found, contenders(found, memory)[:most], budget_s)
    if len(names) < 2 or not recommendation.answer:
        return _noted(recommendation, NothingToCompare())
    needed_s = expected_s(found, names)
    if needed_s > budget_s:
        return _noted(recommendation, BudgetTooShort(budget_s, needed_s))
    here, servers = machine_name(), found.space.loaded.servers.values()
    elsewhere = all(spec.running and spec.machine is not None for spec in servers)
    if recommendation.machine != here and not elsewhere and not any(spec.simulated for spec in servers):
        recommendation = _noted(recommendation, OtherMachine(recommendation.machine, here))
    trial_s = trials_s(found, names)
    progress.say(
        f"measuring {', '.join(names)}: about {seconds(sum(trial_s.values()))} per repeat (predicted), "
        f"{seconds(max(trial_s.values()))} for the longest trial; at most {seconds(budget_s)}"
    )
    progress.expect(trial_s, budget_s)
    options = replace(options, until="resolved", at_most_s=budget_s)
    until = Until(budget_s, least=LEAST_REPEATS, trial_s=trial_s, say=progress.say)
    try:
        ended = measure_into_folder(to_measure(found, names), options, progress, until, resumable=False)
    except SlotwiseError as error:
        return _noted(recommendation, CouldNotMeasure(str(error), begun=False))
    _keep(ended.folder, progress)
    if ended.interrupted:
        recommendation = recommendation._replace(interrupted=True)
        until.end = MeasurementEnd("interrupted")
    if ended.failure is not None:
        return _noted(recommendation, CouldNotMeasure(str(ended.failure), begun=True))
    return confirmed(found._replace(recommendation=recommendation), ended.folder, until)


def _noted(recommendation: Recommendation, note: RecommendationNote) -> Recommendation:
    return recommendation._replace(notes=(note, *recommendation.notes))


def _keep(folder: Path, progress: Progress) -> None:
    """Give the measurement its own report and its place in the index; a failure here costs the answer nothing."""
    from harness.app.report import keep_report  # charts: a second, only where something was measured

    try:
        run = read_run(folder)
        if run.calls:
            keep_report(folder, analyse(run, folder), run)
    except SlotwiseError as error:
        progress.say(str(error))
