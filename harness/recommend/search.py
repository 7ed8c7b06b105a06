"""The search: everything on every seed where that is little, else successive halving on common random numbers.

Every candidate meets the same draws on a seed, so differences between candidates are much surer than their times. Each
round tries those that are left on more seeds and keeps the better part: of each thing that one could be chosen for
(a path, the goals, both paths at once) the best, in turns, and of times within 5 % the simplest. What was dropped is
held against what was kept in the end, on the seeds that both have; who might have been dropped too early is tried on
more after all. The sum of the chances of the rest bounds the chance that something better was lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from statistics import NormalDist, fmean, median, variance
from typing import NamedTuple

from harness.analysis.statistics import EQUIVALENCE
from harness.recommend.evaluate import BASE, Figures, Task, Variation
from harness.recommend.facts import SearchRound, SearchSummary
from harness.recommend.scoring import CandidateScore, Judge, pick, rankings
from harness.recommend.space import Candidate
from harness.recommend.workers import Evaluate
from harness.units import count

__all__ = ["Searched", "evaluate_all", "search"]

SEEDS = 16
FIRST_SEEDS = 2
KEPT = 3  # one of so many goes on
PRIOR = 2  # seeds' worth of what is known of spreads beforehand
SURE = 0.05  # of having dropped nobody better: who stands in the way of it gets a second chance
AT_ONCE = 200  # of those
MOST_EVALUATIONS = 20_000  # beyond that the doubt stays, and is said
FEWEST = 12  # candidates that are always tried on every seed
EXHAUSTIVE_CALLS = 150_000  # simulated calls that are not worth saving: seconds


class Searched(NamedTuple):
    """What a search found."""

    scores: tuple[CandidateScore, ...]  # of all candidates, each over the seeds that it was tried on
    finalists: tuple[CandidateScore, ...]  # those that were tried on every seed
    figures: Mapping[int, tuple[Figures, ...]]  # by candidate
    rounds: tuple[SearchRound, ...]
    again: int  # candidates that were given more seeds after they had been dropped
    evaluations: int
    interrupted: bool
    doubt: float | None  # chance, at most, that a dropped one is over 5 % better than what was kept; None = not known

    @property
    def summary(self) -> SearchSummary:
        """How it was searched, without what was found."""
        return SearchSummary(
            len(self.scores),
            len(self.finalists),
            self.rounds,
            self.again,
            self.evaluations,
            self.interrupted,
            self.doubt,
        )


def search(
    candidates: Sequence[Candidate],
    judge: Judge,
    evaluate: Evaluate,
    *,
    seeds: int = SEEDS,
    exhaustive_calls: int = EXHAUSTIVE_CALLS,
    second_chance: bool = True,
    variation: Variation = BASE,
    say: Callable[[str], None] = lambda text: None,
) -> Searched:
    """Try the candidates and return what was found; Ctrl-C ends it with what is known by then.

    Args:
        candidates: of a space.
        judge: what they are scored by.
        evaluate: who does it; must know every plan.
        seeds: on so many the last ones are tried.
        exhaustive_calls: try everything on every seed where that is at most so many simulated calls.
        second_chance: try those that may have been dropped too early on more seeds, until nobody is in doubt.
        variation: of the workload.
        say: told of every round.
    """
    figures: dict[int, dict[int, Figures]] = {candidate.number: {} for candidate in candidates}
    left = list(candidates)
    rounds: list[SearchRound] = []
    again: set[int] = set()
    interrupted, tried = False, min(FIRST_SEEDS, seeds)
    try:
        while True:
            rounds.append(SearchRound(len(left), tried))
            say(f"{count(len(left), 'candidate')} on {count(tried, 'seed')}")
            _extend(figures, left, tried, evaluate, variation)
            if tried >= seeds:
                break
            calls = fmean(one.calls for candidate in left for one in figures[candidate.number].values())
            if len(rounds) == 1 and len(left) * seeds * calls <= exhaustive_calls:
                rounds.clear()
                tried = seeds
                continue
            left = _kept([judge.score(one, figures[one.number].values()) for one in left])
            tried = seeds if len(left) <= FEWEST else min(seeds, 2 * tried)
        while second_chance and sum(len(tried_on) for tried_on in figures.values()) < MOST_EVALUATIONS:
            _, _, chances = _standing(candidates, figures, judge)
            doubtful = [number for number, chance in chances.items() if chance > SURE / len(chances)]
            if not doubtful or sum(chances.values()) <= SURE:
                break
            doubtful = sorted(doubtful, key=lambda number: (-chances[number], number))[:AT_ONCE]
            again |= set(doubtful)
            say(f"{count(len(doubtful), 'candidate')} that might have been dropped too early on more seeds")
            for tries in sorted({len(figures[number]) for number in doubtful}):
                those = [one for one in candidates if one.number in doubtful and len(figures[one.number]) == tries]
                _extend(figures, those, min(seeds, 2 * tries), evaluate, variation)
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: this is the best so far")
    scored, finalists, chances = _standing(candidates, figures, judge)
    return Searched(
        scored,
        finalists,
        {number: tuple(found[repeat] for repeat in sorted(found)) for number, found in figures.items() if found},
        tuple(rounds),
        len(again),
        sum(len(found) for found in figures.values()),
        interrupted,
        None if interrupted or not finalists else min(1.0, sum(chances.values())),
    )


def _standing(
    candidates: Sequence[Candidate], figures: Mapping[int, Mapping[int, Figures]], judge: Judge
) -> tuple[tuple[CandidateScore, ...], tuple[CandidateScore, ...], dict[int, float]]:
    """Return all scores, those of the candidates with most seeds, and what chances the others have."""
    scored = tuple(judge.score(one, figures[one.number].values()) for one in candidates if figures[one.number])
    most = max((score.seeds for score in scored), default=0)
    finalists = tuple(score for score in scored if score.seeds == most)
    return scored, finalists, _chances(scored, finalists, figures, judge) if finalists else {}


def evaluate_all(
    candidates: Sequence[Candidate], seeds: int, evaluate: Evaluate, variation: Variation = BASE
) -> dict[int, dict[int, Figures]]:
    """Try each of the candidates on so many seeds, without dropping any."""
    figures: dict[int, dict[int, Figures]] = {candidate.number: {} for candidate in candidates}
    _extend(figures, candidates, seeds, evaluate, variation)
    return figures


def _extend(
    figures: dict[int, dict[int, Figures]],
    left: Sequence[Candidate],
    seeds: int,
    evaluate: Evaluate,
    variation: Variation,
) -> None:
    tasks = []
    for candidate in left:
        missing = tuple(repeat for repeat in range(seeds) if repeat not in figures[candidate.number])
        if missing:
            tasks.append(Task(candidate.number, missing, variation))
    for found in evaluate(tasks):
        for one in found:
            figures[one.candidate][one.repeat] = one


def _kept(scores: Sequence[CandidateScore]) -> list[Candidate]:
    """Keep one in three, the best by every ranking in turns, and what the rules would choose now."""
    wanted = max(FEWEST, math.ceil(len(scores) / KEPT))
    chosen = pick(scores)
    kept = dict.fromkeys(score.candidate for score in (*chosen.by_path, *chosen.fastest) if score)
    if chosen.whole:
        kept[chosen.whole.candidate] = None
    for turn in zip_longest(*rankings(scores)):
        for score in turn:
            if score is not None and len(kept) < wanted:
                kept[score.candidate] = None
        if len(kept) >= wanted:
            break
    return sorted(kept, key=lambda candidate: candidate.number)


def _chances(
    scored: Sequence[CandidateScore],
    finalists: Sequence[CandidateScore],
    figures: Mapping[int, Mapping[int, Figures]],
    judge: Judge,
) -> dict[int, float]:
    """Return for each dropped candidate the chance that it is over 5 % better on some path than the fastest kept.

    A normal tail on the paired differences of logarithms. Two seeds say little of their spread, so the median spread of
    the finalists is taken as if it had been seen on `PRIOR` seeds more.
    """
    kept = {score.candidate.number for score in finalists}
    dropped = [score for score in scored if score.candidate.number not in kept]
    chances = dict.fromkeys((score.candidate.number for score in dropped), 0.0)
    for path in range(len(judge.paths)):
        best = min(finalists, key=lambda s: (s.failed, s.times_s[path], s.candidate.simplicity))
        mine = _logs(figures[best.candidate.number], judge, path)
        others = (
            _differences(mine, _logs(figures[s.candidate.number], judge, path)) for s in finalists if s is not best
        )
        spreads = [variance(differences) for differences in others if len(differences) > 1]
        usual = median(spreads) if spreads else 0.0
        for score in dropped:
            differences = _differences(mine, _logs(figures[score.candidate.number], judge, path))
            if score.failed or not differences:
                continue
            squares = variance(differences) * (len(differences) - 1) if len(differences) > 1 else 0.0
            error = math.sqrt((squares + PRIOR * usual) / (len(differences) - 1 + PRIOR) / len(differences))
            margin = fmean(differences) + math.log(EQUIVALENCE)
            chances[score.candidate.number] += NormalDist().cdf(-margin / error) if error else float(margin < 0)
    return chances


def _logs(figures: Mapping[int, Figures], judge: Judge, path: int) -> dict[int, float]:
    found = {}
    for repeat in sorted(figures):
        values = [figures[repeat].time_s[number] for number in judge.members[path]]
        known = [math.log(value) for value in values if value]
        if len(known) == len(values):
            found[repeat] = fmean(known)
    return found


def _differences(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [theirs[repeat] - mine[repeat] for repeat in sorted(mine.keys() & theirs.keys())]
