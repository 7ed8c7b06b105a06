"""The search: everything on every seed where that is little, else successive halving on common random numbers.

Every candidate meets the same draws on a seed, so differences between candidates are much surer than their times. Each
rung tries those that are left on more seeds and keeps the better part: of each thing that one could be chosen for
(a path, the goals, both paths at once) the best, in turns, and of times within 5 % the simplest. What was dropped is
held against what was kept in the end, on the seeds that both have: that gives a bound on the chance that something
better was lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from statistics import NormalDist, fmean
from typing import NamedTuple

from harness.analysis.statistics import EQUIVALENCE
from harness.recommend.evaluate import BASE, Figures, Task, Variation
from harness.recommend.scoring import Judge, Score, pick, rankings
from harness.recommend.space import Candidate
from harness.recommend.workers import Evaluate
from harness.units import count

__all__ = ["Rung", "Searched", "evaluate_all", "search"]

SEEDS = 16
FIRST_SEEDS = 2
KEPT = 3  # one of so many goes on
FEWEST = 12  # candidates that are always tried on every seed
EXHAUSTIVE_CALLS = 150_000  # simulated calls that are not worth saving: seconds


class Rung(NamedTuple):
    """One step of the search."""

    candidates: int
    seeds: int


class Searched(NamedTuple):
    """What a search found."""

    scores: tuple[Score, ...]  # of all candidates, each over the seeds that it was tried on
    finalists: tuple[Score, ...]  # those that were tried on every seed
    figures: Mapping[int, tuple[Figures, ...]]  # by candidate
    rungs: tuple[Rung, ...]
    evaluations: int
    interrupted: bool
    doubt: float | None  # chance, at most, that a dropped one is over 5 % better than what was kept; None = not known

    @property
    def exhaustive(self) -> bool:
        """Whether every candidate was tried on every seed."""
        return len(self.rungs) == 1 and not self.interrupted


def search(
    candidates: Sequence[Candidate],
    judge: Judge,
    evaluate: Evaluate,
    *,
    seeds: int = SEEDS,
    exhaustive_calls: int = EXHAUSTIVE_CALLS,
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
        variation: of the workload.
        say: told of every rung.
    """
    figures: dict[int, dict[int, Figures]] = {candidate.number: {} for candidate in candidates}
    left = list(candidates)
    rungs: list[Rung] = []
    interrupted, tried = False, min(FIRST_SEEDS, seeds)
    try:
        while True:
            rungs.append(Rung(len(left), tried))
            say(f"{count(len(left), 'candidate')} on {count(tried, 'seed')}")
            _extend(figures, left, tried, evaluate, variation)
            if tried >= seeds:
                break
            calls = fmean(of.calls for candidate in left for of in figures[candidate.number].values())
            if len(rungs) == 1 and len(left) * seeds * calls <= exhaustive_calls:
                rungs.clear()
                tried = seeds
                continue
            left = _kept([judge.score(one, figures[one.number].values()) for one in left])
            tried = seeds if len(left) <= FEWEST else min(seeds, 2 * tried)
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: this is the best so far")
    scored = [judge.score(one, figures[one.number].values()) for one in candidates if figures[one.number]]
    most = max((score.seeds for score in scored), default=0)
    finalists = tuple(score for score in scored if score.seeds == most and most)
    return Searched(
        tuple(scored),
        finalists,
        {number: tuple(of[repeat] for repeat in sorted(of)) for number, of in figures.items() if of},
        tuple(rungs),
        sum(len(of) for of in figures.values()),
        interrupted,
        None if interrupted or not finalists else _doubt(scored, finalists, figures, judge),
    )


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


def _kept(scores: Sequence[Score]) -> list[Candidate]:
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


def _doubt(
    scored: Sequence[Score],
    finalists: Sequence[Score],
    figures: Mapping[int, Mapping[int, Figures]],
    judge: Judge,
) -> float:
    """Bound the chance that a dropped candidate is over 5 % better on some path than the fastest that was kept.

    For each: a normal tail on the paired differences of logarithms, with the spread that finalists have among each
    other (two seeds say little of their own); the sum over all of them (the union bound), at most 1.
    """
    kept = {score.candidate.number for score in finalists}
    dropped = [score for score in scored if score.candidate.number not in kept]
    if not dropped:
        return 0.0
    total = 0.0
    for path in range(len(judge.paths)):
        best = min(finalists, key=lambda s: (s.failed, s.times_s[path], s.candidate.simplicity))
        mine = _logs(figures[best.candidate.number], judge, path)
        spreads = [_spread(mine, _logs(figures[s.candidate.number], judge, path)) for s in finalists if s is not best]
        known = [spread for spread in spreads if spread is not None]
        sd = math.sqrt(fmean(spread * spread for spread in known)) if known else 0.0
        for score in dropped:
            theirs = _logs(figures[score.candidate.number], judge, path)
            common = mine.keys() & theirs.keys()
            if score.failed or not common:
                continue
            mean = fmean(theirs[repeat] - mine[repeat] for repeat in common) + math.log(EQUIVALENCE)
            error = sd / math.sqrt(len(common))
            total += NormalDist().cdf(-mean / error) if error else float(mean < 0)
    return min(1.0, total)


def _logs(figures: Mapping[int, Figures], judge: Judge, path: int) -> dict[int, float]:
    found = {}
    for repeat in sorted(figures):
        values = [figures[repeat].time_s[number] for number in judge.members[path]]
        known = [math.log(value) for value in values if value]
        if len(known) == len(values):
            found[repeat] = fmean(known)
    return found


def _spread(mine: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    common = sorted(mine.keys() & theirs.keys())
    if len(common) < 2:
        return None
    differences = [theirs[repeat] - mine[repeat] for repeat in common]
    mean = fmean(differences)
    return math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (len(common) - 1))
