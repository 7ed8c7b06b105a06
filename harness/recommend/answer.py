"""From a workload and a profile to a recommendation, by simulation alone.

The search finds who is worth looking at. Those few are predicted again, with every record, on more seeds and under
resampled profiles, and the verdict on them is the one that a measured run gets too (`harness.analysis`): the same rule
and the same facts. What is chosen is never dominated in those records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.facts import BesideWork
from harness.analysis.model import Analysis, CandidateSummary
from harness.core.levers import unusual
from harness.core.plan import Pool, queues_of
from harness.measure.progress import Progress
from harness.predict.resampling import with_resampling
from harness.predict.servers import Given, Profiles
from harness.predict.simulation import predict
from harness.profiles.schema import Profile
from harness.recommend.bounds import bound_rows, bounds
from harness.recommend.constraints import longest_call, longest_of
from harness.recommend.evaluate import Problem
from harness.recommend.facts import (
    CallTooLong,
    LateInAnswer,
    LateInQueue,
    LongestCall,
    MemoryNeed,
    NearestToGoals,
    NotPredicted,
    RecommendationNote,
    SearchInterrupted,
)
from harness.recommend.model import RECOMMENDATION_VERSION, PathUse, Point, Recommendation
from harness.recommend.own import own_of
from harness.recommend.runners import servers_as_loaded
from harness.recommend.scoring import CandidateScore, Judge, front, pick
from harness.recommend.search import SEEDS, Searched, search
from harness.recommend.sensitivity import changes_of, load_of, relief_of, useful_concurrency_of, users_of
from harness.recommend.space import Candidate, Space
from harness.recommend.workers import Evaluate, told
from harness.runs.model import Run
from harness.units import count

__all__ = ["Recommended", "finalists", "recommend", "uses_of", "without"]

MOST_FINALISTS = 8
MOST_POINTS = 8
REPEATS = 40  # of the finalists
FINAL_CALLS = 60_000  # simulated calls with all their records: seconds


class Recommended(NamedTuple):
    """A recommendation, with what a measurement of its finalists needs."""

    recommendation: Recommendation
    run: Run  # the finalists, predicted
    space: Space
    searched: Searched


def recommend(
    space: Space,
    problem: Problem,
    profile: Profile,
    evaluate: Evaluate,
    progress: Progress,
    *,
    memory: MemoryNeed,
    seeds: int = SEEDS,
    given: Given = None,
    extrapolate: bool = False,
    resamples: int | None = None,
) -> Recommended:
    """Search, predict the finalists, and say what was found; Ctrl-C during the search ends it early.

    Raises:
        UserError: the profile cannot predict this workload.
    """
    loaded = space.loaded
    needed = {
        candidate.number: memory.needed(servers_as_loaded(loaded, candidate.plan)) for candidate in space.candidates
    }
    judge = Judge.of(loaded.workload, needed)
    evaluate = told(evaluate, progress.part)
    progress.say(f"simulating {count(len(space.candidates), 'candidate')} on profile {problem.profiles.name}")
    searched = search(space.candidates, judge, evaluate, seeds=seeds, say=progress.say)
    if not searched.finalists:
        raise KeyboardInterrupt  # before anything was known
    last = finalists(searched.finalists)
    progress.say(f"simulating the best {len(last)} in full")
    run = _predicted(space, problem.profiles, last, searched, given=given, extrapolate=extrapolate, resamples=resamples)
    longest = longest_call(run.calls, {name: spec.known_context for name, spec in loaded.servers.items()})
    one_model = len({spec.model for spec in loaded.servers.values()}) == 1
    if one_model and any(call.outcome != "ok" for call in run.calls):
        longest = longest_of(loaded, profile, given)  # of what failed the length is not known
    run, analysis = _undominated(run, space, needed)
    longest = _lacking(analysis) or longest
    names = answer_of(analysis)
    chosen = [space.find(name) for name in names]
    scores = {score.candidate.name: score for score in searched.scores}
    best = tuple(scores[candidate.name] for candidate in chosen)
    recommendation = Recommendation(
        version=RECOMMENDATION_VERSION,
        workload=loaded.workload.name,
        description=loaded.workload.description,
        profile=", ".join(one.name for one in problem.profiles.all),
        machine=", ".join(dict.fromkeys(one.machine for one in problem.profiles.all)),
        paths=judge.paths,
        origin=run.origin,
        notes=tuple(_notes(analysis, longest, searched)),
        answer=names,
        uses=uses_of(space, analysis, names) if names else (),
        analysis=analysis,
        goals=_nearest_to_goals(searched, problem),
        candidates=len(space.candidates),
        left_out=space.left_out,
        search=searched.summary,
        front=tuple(_points(searched, best)),
        useful_concurrency=None,
        changes=(),
        load=(),
        bounds=(),
        memory=memory,
        longest_call=longest,
        interrupted=searched.interrupted,
        own=own_of(space, searched, judge, best),
    )
    if names and not searched.interrupted:
        try:
            progress.say("sensitivity analysis")
            recommendation = recommendation._replace(
                useful_concurrency=useful_concurrency_of(space, chosen, judge, evaluate),
                users=users_of(space, chosen, judge, evaluate),
                goals=(*recommendation.goals, *relief_of(space, searched, judge, evaluate)),
                changes=changes_of(searched, best, judge, evaluate),
                load=load_of(space, [scores[name] for name in run.candidates], best, judge, evaluate),
                bounds=tuple(bound_rows(problem, analysis, names)),
            )
        except KeyboardInterrupt:  # the answer is there; what is said beside it is not
            recommendation = recommendation._replace(interrupted=True)
    return Recommended(recommendation, run, space, searched)


def without(recommendation: Recommendation, missing: Mapping[str, str]) -> Recommendation:
    """Return a recommendation that says which of the file's own candidates it cannot speak of, and why for each."""
    if not missing:
        return recommendation
    head = recommendation.analysis.run._replace(missing=tuple(missing))
    return recommendation._replace(
        analysis=recommendation.analysis._replace(run=head),
        notes=(*(NotPredicted(name, reason) for name, reason in missing.items()), *recommendation.notes),
    )


def finalists(scores: Sequence[CandidateScore]) -> list[Candidate]:
    """Return the few that the verdict is made of: what the rules would choose, and what it has to stand beside.

    Per path the fastest and the choice, the choice for the whole, the simplest of all, and the best of the other kind:
    where batches win, the best serial one, and the reverse; the best with another number of slots; and, where it pulls
    levers, the best with none.
    """
    found = pick(scores)
    able = [score for score in scores if not score.failed] or list(scores)
    wanted: dict[Candidate, None] = {}
    if found.whole:
        wanted[found.whole.candidate] = None
    for scores_of_paths in (found.by_path, found.fastest):
        wanted |= dict.fromkeys(score.candidate for score in scores_of_paths if score)
    wanted[min(able, key=lambda s: s.candidate.simplicity).candidate] = None
    for path, chosen in enumerate(found.by_path):
        if chosen is None:
            continue
        unlike = [s for s in able if _batches(s.candidate) != _batches(chosen.candidate)]
        if unlike:
            wanted[min(unlike, key=lambda s: (s.times_s[path], s.candidate.simplicity)).candidate] = None
        resized = [s for s in able if s.candidate.slots != chosen.candidate.slots]
        if resized:
            wanted[min(resized, key=lambda s: (s.times_s[path], s.candidate.simplicity)).candidate] = None
        usual = [s for s in able if not s.candidate.levers]
        if chosen.candidate.levers and usual:
            wanted[min(usual, key=lambda s: (s.times_s[path], s.candidate.simplicity)).candidate] = None
    kept = list(wanted)[:MOST_FINALISTS]
    return sorted(kept, key=lambda candidate: candidate.simplicity)


def answer_of(analysis: Analysis) -> tuple[str, ...]:
    """Return the names of the candidates to run: the choice for the whole, else that of each path; none where jobs of
    one path fail under all."""
    if analysis.choice.kind == "none":
        return ()
    if analysis.choice.candidate:
        return (analysis.choice.candidate,)
    return tuple(dict.fromkeys(verdict.chosen for verdict in analysis.paths if verdict.chosen))


def uses_of(space: Space, analysis: Analysis, names: Sequence[str]) -> tuple[PathUse, ...]:
    """Return what to do on each path."""
    uses = []
    for verdict in analysis.paths:
        name = names[0] if len(names) == 1 else verdict.chosen
        if name is None:
            continue
        candidate = space.find(name)
        places = {
            queue
            for number, pipeline in enumerate(space.loaded.pipelines)
            if pipeline.name in verdict.pipelines
            for at, node in enumerate(pipeline.graph.nodes)
            if node.kind == "agent"
            for queue in queues_of(candidate.plan.placement[number][at])
        }
        pools = {place.policy.name for row in candidate.plan.placement for place in row if isinstance(place, Pool)}
        mine = [queue for index, queue in enumerate(candidate.plan.queues) if index in places]
        # Equal servers, any of which may take a call, are one place.
        groups = [mine] if pools else [[queue] for queue in mine]
        for queue, *others in groups:
            spec = space.loaded.servers[queue.server]
            on_cores = not any(use.accelerator for use in analysis.by_name[name].servers if use.server == queue.server)
            threads = str(spec.engine_threads or "") if on_cores else ""
            names_of = (queue.server, *(other.server for other in others))
            machines = tuple(space.loaded.servers[server].machine for server in names_of)
            uses.append(
                PathUse(
                    verdict.path,
                    verdict.pipelines,
                    name,
                    names_of,
                    queue.slots,
                    queue.concurrency.name,
                    queue.scheduling.name,
                    queue.most,
                    threads,
                    " ".join(sorted(pools)),
                    spec.known_context,
                    machines if any(machines) else (),
                    unusual(spec.levers),
                )
            )
    return tuple(uses)


def _batches(candidate: Candidate) -> bool:
    return any(queue.slots > 1 and queue.most != 1 for queue in candidate.plan.queues)


def _predicted(
    space: Space,
    profiles: Profiles,
    last: Sequence[Candidate],
    searched: Searched,
    *,
    given: Given,
    extrapolate: bool,
    resamples: int | None,
) -> Run:
    used = {queue.server for candidate in last for queue in candidate.plan.queues}
    loaded = space.loaded._replace(
        plans=tuple(candidate.plan for candidate in last),
        servers={name: spec for name, spec in space.loaded.servers.items() if name in used},
    )
    calls = sum(fmean(one.calls for one in searched.figures[candidate.number]) for candidate in last)
    repeats = max(2, min(REPEATS, int(FINAL_CALLS / max(calls, 1))))
    first, by_model, by_machine = profiles
    run = predict(
        loaded, first, repeats=repeats, given=given, extrapolate=extrapolate, by_model=by_model, by_machine=by_machine
    ).run
    return with_resampling(
        run,
        loaded,
        first,
        profiles=resamples,
        given=given,
        extrapolate=extrapolate,
        by_model=by_model,
        by_machine=by_machine,
    )


def _undominated(run: Run, space: Space, needed: Mapping[int, int | None]) -> tuple[Run, Analysis]:
    """Analyse; where what is chosen is dominated by another in the same records, leave it out and analyse again."""
    while True:
        analysis = analyse(run)
        worse = [name for name in answer_of(analysis) if dominated(name, analysis, space, needed)]
        if not worse:
            return run, analysis
        run = run._replace(
            candidates=tuple(name for name in run.candidates if name not in worse),
            plans=tuple(plan for plan in run.plans if plan.name not in worse),
            trials=tuple(trial for trial in run.trials if trial.candidate not in worse),
            calls=[call for call in run.calls if call.candidate not in worse],
            jobs=[job for job in run.jobs if job.candidate not in worse],
            delays=[delay for delay in run.delays if delay.candidate not in worse],
        )


def dominated(name: str, analysis: Analysis, space: Space, needed: Mapping[int, int | None]) -> bool:
    """Whether another candidate is at least as good in every time, memory and simplicity, and better in one."""
    mine, my_rank = _dimensions(name, analysis, space, needed), space.find(name).simplicity
    for other in analysis.candidates:
        theirs, rank = _dimensions(other.name, analysis, space, needed), space.find(other.name).simplicity
        if (
            (theirs, rank) != (mine, my_rank)
            and rank <= my_rank
            and all(a <= b for a, b in zip(theirs, mine, strict=True))
        ):
            return True
    return False


def _dimensions(name: str, analysis: Analysis, space: Space, needed: Mapping[int, int | None]) -> tuple[float, ...]:
    return (
        *(_path_s(analysis.by_name[name], verdict.pipelines) for verdict in analysis.paths),
        float(needed[space.find(name).number] or 0),
    )


def _path_s(summary: CandidateSummary, pipelines: Sequence[str]) -> float:
    times = [s.time.value if s.time else math.inf for s in summary.pipelines if s.pipeline in pipelines]
    failed = any(s.jobs_failed for s in summary.pipelines)
    return math.inf if failed else math.exp(fmean(map(math.log, times)))


def _points(searched: Searched, best: Sequence[CandidateScore]) -> list[Point]:
    """Return the front, thinned out where it is long, with the answer in it."""
    on_front = front(searched.finalists)
    names = {score.candidate.name for score in best}
    if len(on_front) > MOST_POINTS:
        step = (len(on_front) - 1) / (MOST_POINTS - 1)
        kept = {round(step * number) for number in range(MOST_POINTS)}
        on_front = [s for number, s in enumerate(on_front) if number in kept or s.candidate.name in names]
    shown = {score.candidate.name: score for score in on_front}
    beside = [score for score in best if score.candidate.name not in shown]
    return [
        Point(
            score.candidate.name,
            score.times_s,
            score.memory_bytes,
            score.meets,
            score.candidate.name in names,
            score.candidate.name in shown,
        )
        for score in sorted([*on_front, *beside], key=lambda s: s.times_s)
    ]


def _nearest_to_goals(searched: Searched, problem: Problem) -> tuple[NearestToGoals, ...]:
    """Where no candidate meets all goals: the one that misses them by least, and which goals no routing meets."""
    missing = any(score.missed for score in searched.scores)
    able = [score for score in searched.finalists if not score.failed] or list(searched.finalists)
    if not missing or any(score.meets for score in searched.scores):
        return ()
    nearest = min(able, key=lambda s: (s.excess, s.candidate.simplicity))
    spans = bounds(problem, 1).span_s
    out_of_reach = []
    for miss in nearest.missed:
        span_s = spans[list(problem.loaded.workload.pipelines).index(miss.pipeline)]
        if miss.goal == "p50_s" and span_s is not None and span_s > miss.wanted_s:
            out_of_reach.append((miss.pipeline, span_s))
    return (NearestToGoals(nearest.candidate.name, nearest.missed, tuple(out_of_reach)),)


def _lacking(analysis: Analysis) -> LongestCall | None:
    """Return the call that lacks most context on a server of any candidate; None where every call fits."""
    uses = [use for candidate in analysis.candidates for use in candidate.servers if use.need is not None]
    if not uses:
        return None
    use = max(uses, key=lambda use: use.need.tokens - use.context_tokens if use.need else 0)
    assert use.need is not None
    pipeline, node, prompt, output, how_sure = use.need
    return LongestCall(pipeline, node, prompt, output, use.context_tokens, how_sure=how_sure)


def _notes(analysis: Analysis, longest: LongestCall | None, searched: Searched) -> Iterator[RecommendationNote]:
    if searched.interrupted:
        yield SearchInterrupted()
    if longest is not None and not longest.fits:
        yield CallTooLong(longest)
    names = answer_of(analysis)
    yield from (one for one in analysis.notices if isinstance(one, BesideWork) and one.candidate in names)
    late = max((score.late_share for score in searched.finalists if score.candidate.name in names), default=0.0)
    if late:
        yield LateInAnswer(late)
    waits = [score.late_share for score in searched.scores if score.late_share > 0]
    if waits:
        yield LateInQueue(len(waits), max(waits))
