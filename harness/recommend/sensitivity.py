"""When the answer would change: another load, other answers, fewer slots, more agents at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

from harness.analysis.statistics import EQUIVALENCE
from harness.core.graph import Pipeline
from harness.core.plan import Pool
from harness.core.scheduling import FIFO
from harness.recommend.evaluate import Variation, attended
from harness.recommend.facts import Relief
from harness.recommend.model import AtMost, Change, LoadRow, UsefulConcurrency, Users, UsersRow
from harness.recommend.scoring import CandidateScore, Judge, Pick, pick, rankings
from harness.recommend.search import Searched, evaluate_all, search
from harness.recommend.space import Candidate, Space
from harness.recommend.workers import Evaluate

__all__ = [
    "VARIATIONS",
    "changes_of",
    "load_of",
    "most_people",
    "open_loops",
    "pooled",
    "relief_of",
    "useful_concurrency_of",
    "users_of",
]

SEEDS = 4  # ratios on common random numbers need few
USERS = (1, 2, 3, 4, 6, 8, 12, 16)
RATES = (0.5, 1.0, 1.5, 2.0)
WORTH = 0.95  # of the best throughput: what comes after that only lengthens the queue

VARIATIONS = (
    Variation("answers twice as long", answers=2.0),
    Variation("twice the users and jobs", jobs=2),
)
RELIEFS = (
    Variation("Answers half as long", answers=0.5),
    Variation("Jobs that arrive half as often", rate=0.5),
    Variation("One person at a time", users=1),
    Variation("One person at a time and answers half as long", answers=0.5, users=1),
)


def changes_of(
    searched: Searched, best: Sequence[CandidateScore], judge: Judge, evaluate: Evaluate
) -> tuple[Change, ...]:
    """Search again under every variation, and see whether the answer stays; then look for less.

    It stays where it is chosen again, or where it is within 5 % of what would be (and meets the goals where that does).
    """
    changes = []
    before = pick(searched.finalists).names
    candidates = _of_every_kind(searched, best)
    for variation in VARIATIONS:
        found = search(
            candidates, judge, evaluate, seeds=SEEDS, variation=variation, exhaustive_calls=0, second_chance=False
        )
        if found.interrupted:
            raise KeyboardInterrupt
        missing = [score.candidate for score in best if score.candidate.number not in _numbers(found.finalists)]
        extra = evaluate_all(missing, SEEDS, evaluate, variation)
        now = [judge.score(candidate, extra[candidate.number].values()) for candidate in missing]
        now += [score for score in found.finalists if score.candidate.number in _numbers(best)]
        changes.append(_change(variation.name, before, pick([*found.finalists, *now]), now))
    smaller = [s for s in searched.scores if not s.failed and s.candidate.slots < min(b.candidate.slots for b in best)]
    if smaller and (others := pick(smaller)).chosen:
        ratios = tuple(
            min(score.times_s[path] for score in others.chosen) / min(score.times_s[path] for score in best)
            for path in range(len(judge.paths))
        )
        changes.append(Change("fewer slots", False, others.names, fewer_slots=True, ratios=ratios))
    return tuple(changes)


def _of_every_kind(searched: Searched, best: Sequence[CandidateScore]) -> list[Candidate]:
    """Return who may be the answer to a changed workload, since all of them would take longer than the search itself.

    Of every kind the best on each path and by every other ranking, all of the answer's own kind, and the finalists. Of
    one kind are candidates with the same slots, concurrency policies and placement.
    """
    kinds: dict[object, list[CandidateScore]] = {}
    for score in searched.scores:
        kinds.setdefault(_kind(score.candidate), []).append(score)
    own = {_kind(score.candidate) for score in best}
    kept = [score for kind, scores in kinds.items() if kind in own for score in scores]
    kept += [scheduling[0] for scores in kinds.values() for scheduling in rankings(scores)]
    kept += searched.finalists
    return sorted(dict.fromkeys(score.candidate for score in kept), key=lambda candidate: candidate.number)


def _kind(candidate: Candidate) -> object:
    return tuple((queue.slots, queue.concurrency) for queue in candidate.plan.queues), candidate.plan.placement


def relief_of(space: Space, searched: Searched, judge: Judge, evaluate: Evaluate) -> tuple[Relief, ...]:
    """Return what would meet the goals where no candidate does: the work made less, on those that were kept."""
    if not judge.goals or any(score.meets for score in searched.scores):
        return ()
    kept = [score.candidate for score in searched.finalists]
    found = []
    for variation in RELIEFS:
        if not changes(space.loaded.pipelines, variation):
            continue
        figures = evaluate_all(kept, SEEDS, evaluate, variation)
        scores = [judge.score(candidate, figures[candidate.number].values()) for candidate in kept]
        meeting = [score for score in scores if score.meets]
        found.append(Relief(variation.name, pick(meeting).names if meeting else ()))
    return tuple(found)


def _change(what: str, before: tuple[str, ...], found: Pick, now: Sequence[CandidateScore]) -> Change:
    """`before`: what the same rule chooses without the change; `now`: the answer's scores with it."""
    ratios = [
        [score.times_s[path] / chosen.times_s[path] for path in range(len(chosen.times_s))]
        for chosen in found.chosen
        for score in now
    ]
    stays = set(found.names) in ({score.candidate.name for score in now}, set(before)) or (
        len(now) == len(found.chosen) == 1
        and all(ratio <= EQUIVALENCE for ratio in ratios[0])
        and now[0].failed <= found.chosen[0].failed
        and now[0].excess <= found.chosen[0].excess
    )
    if stays:
        return Change(what, True, tuple(score.candidate.name for score in now))
    if len(now) != 1 or len(found.chosen) != 1:
        return Change(what, False, found.names)
    mine, better = now[0], found.chosen[0]
    return Change(
        what,
        False,
        found.names,
        ratios=tuple(ratios[0]),
        answer=mine.candidate.name,
        fails=mine.failed and not better.failed,
        misses_goal=bool(mine.missed) and not better.missed,
    )


def _numbers(scores: Sequence[CandidateScore]) -> set[int]:
    return {score.candidate.number for score in scores}


def useful_concurrency_of(
    space: Space, chosen: Sequence[Candidate], judge: Judge, evaluate: Evaluate
) -> UsefulConcurrency | None:
    """Return how many calls in flight are worth it on the server of the first path's choice."""
    candidate = chosen[0]
    index = len(candidate.plan.queues) - 1  # of two servers the second is the batch path's
    servers = len(candidate.plan.queues) if pooled(candidate) else 1
    family = {
        None if (limit := other.plan.queues[index].most) is None else servers * limit: other
        for other in reversed(_family(space, candidate, index))
    }
    if len(family) < 2:
        return None
    figures = evaluate_all(tuple(family.values()), SEEDS, evaluate)
    rows = []
    for at_once in sorted(family, key=lambda n: (n is None, n or 0)):
        score = judge.score(family[at_once], figures[family[at_once].number].values())
        rows.append(AtMost(at_once, family[at_once].name, score.tokens_per_s, score.times_s))
    most = max(row.tokens_per_s for row in rows)
    enough = next(row for row in rows if row.tokens_per_s >= WORTH * most)
    used = candidate.plan.queues if pooled(candidate) else (candidate.plan.queues[index],)
    names, slots = tuple(queue.server for queue in used), sum(queue.slots for queue in used)
    return UsefulConcurrency(names, slots, tuple(rows), enough.in_flight)


def pooled(candidate: Candidate) -> bool:
    """Whether every call may go to any of its servers."""
    return any(isinstance(place, Pool) for places in candidate.plan.placement for place in places)


def users_of(space: Space, chosen: Sequence[Candidate], judge: Judge, evaluate: Evaluate) -> Users | None:
    """Return how many people the interactive path's choice carries; None where nobody waits in a closed loop."""
    if not any(attended(pipeline) for pipeline in space.loaded.pipelines):
        return None
    candidate = chosen[-1]  # of two the second is that of the interactive path
    rows = []
    for users in USERS:
        figures = evaluate_all([candidate], SEEDS, evaluate, Variation(users=users))
        score = judge.score(candidate, figures[candidate.number].values())
        rows.append(UsersRow(users, score.tokens_per_s, score.times_s, score.meets))
    return Users(candidate.name, tuple(rows), most_people(rows, with_goals=bool(judge.goals)), bool(judge.goals))


def most_people(rows: Sequence[UsersRow], *, with_goals: bool) -> int | None:
    """Return how many people are served well, of rows with more and more of them; None where one is too many.

    With goals that is the last number before the first that misses one: a larger number that meets them again does so
    by chance, or because the order of jobs suits it. Without goals it is where throughput stops rising.
    """
    if with_goals:
        return max((row.users for row in takewhile(lambda row: row.meets_goals, rows)), default=None)
    best = max(row.tokens_per_s for row in rows)
    return next(row.users for row in rows if row.tokens_per_s >= WORTH * best)


def _family(space: Space, candidate: Candidate, index: int) -> list[Candidate]:
    """Return the candidates that differ only in how many calls this server is given at once; simple orders first."""
    queue = candidate.plan.queues[index]
    rest = () if pooled(candidate) else candidate.plan.queues[:index]
    found = [
        other
        for other in space.candidates
        if other.plan.queues[: len(rest)] == rest
        and len(other.plan.queues) == index + 1
        and other.plan.queues[index].server == queue.server
        and other.plan.placement == candidate.plan.placement
        and other.plan.queues[index].concurrency.only_limits
        and other.plan.queues[index].scheduling in (FIFO, queue.scheduling)
    ]
    return sorted(found, key=lambda other: (other.plan.queues[index].scheduling != queue.scheduling, other.simplicity))


def changes(pipelines: Sequence[Pipeline], variation: Variation) -> bool:
    """Whether a variation is another workload at all."""
    rate = variation.rate != 1 and open_loops(pipelines)
    users = variation.users is not None and any(
        attended(pipeline) and pipeline.arrival.users > variation.users for pipeline in pipelines
    )
    return rate or users or (variation.answers != 1 and variation.users is None)


def open_loops(pipelines: Sequence[Pipeline]) -> bool:
    """Whether jobs come at a rate of their own, whatever becomes of those before them."""
    return any(pipeline.arrival.mean_per_s is not None for pipeline in pipelines)


def load_of(
    space: Space, finalists: Sequence[CandidateScore], best: Sequence[CandidateScore], judge: Judge, evaluate: Evaluate
) -> tuple[LoadRow, ...]:
    """Return how much the choice matters at half and at more of the rate at which jobs come; closed loops have none."""
    if not open_loops(space.loaded.pipelines):
        return ()
    candidates = list(dict.fromkeys(score.candidate for score in [*finalists, *best]))
    rows = []
    for rate in RATES:
        figures = evaluate_all(candidates, SEEDS, evaluate, Variation(rate=rate))
        scores = [judge.score(candidate, figures[candidate.number].values()) for candidate in candidates]
        able = [score for score in scores if not score.failed]
        if not able:
            continue
        paths = range(len(judge.paths))
        fastest = [min(score.times_s[path] for score in able) for path in paths]
        mine = [score for score in able if score.candidate.number in _numbers(best)]
        times_s = tuple(min((score.times_s[path] for score in mine), default=math.inf) for path in paths)
        rows.append(
            LoadRow(
                rate,
                tuple(max(score.times_s[path] for score in able) / fastest[path] for path in paths),
                tuple(times_s[path] / fastest[path] for path in paths),
                len(scores) - len(able),
                times_s,
            )
        )
    return tuple(rows)
