"""The search: everything on every seed where that is little, else successive halving on common random numbers.

Every candidate meets the same draws on a seed, so differences between candidates are much surer than their times. Of
those that do the same on the first draws, to the last bit, the simplest stands for all; before an answer is given,
those that are like one that may be named in it, as far as the first draws tell, are tried on every seed, and where one
of them differs, all are. Each round tries those that are left on more seeds and keeps the better part: of each thing
that one could be chosen for (a path, the goals, both paths at once) the fastest and the simplest within 5 % of it, in
turns. What was dropped is held against what was kept in the end, on the seeds that both have; what may be faster after
all, or what the rule may choose, is tried on more. The sum of the chances of the rest bounds the chance that something
faster was lost.
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
from harness.recommend.scoring import CandidateScore, Judge, pick, rankings, simplest_first
from harness.recommend.space import Candidate
from harness.recommend.workers import Evaluate
from harness.units import count

__all__ = ["Searched", "evaluate_all", "search"]

SEEDS = 16
FIRST_SEEDS = 2
KEPT = 3  # one in this many goes on
PRIOR = 2  # seeds' worth of what is known of spreads beforehand
SURE = 0.05  # chance that something better was dropped: what adds to more than it gets a second chance
SPREADS = 2.0  # standard errors by which a dropped one may be better than it seemed
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
    merged: int  # candidates that did the same, to the last bit, as a simpler one that stands for them
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
            self.merged,
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
        seeds: on this many the last ones are tried.
        exhaustive_calls: try everything on every seed where that is at most this many simulated calls.
        second_chance: try those that may have been dropped too early on more seeds, until none is in doubt.
        variation: of the workload.
        say: told of every round.
    """
    figures: dict[int, dict[int, Figures]] = {candidate.number: {} for candidate in candidates}
    left = list(candidates)
    alike: dict[int, Candidate] = {}
    rounds: list[SearchRound] = []
    again: set[int] = set()
    interrupted, split, tried = False, False, min(FIRST_SEEDS, seeds)
    try:
        while True:
            rounds.append(SearchRound(len(left), tried))
            say(f"{count(len(left), 'candidate')} on {count(tried, 'seed')}")
            _extend(figures, left, tried, evaluate, variation)
            if len(rounds) == 1:
                alike = _alike(left, figures, judge)
                left = [one for one in left if one.number not in alike]
            if tried >= seeds:
                break
            calls = fmean(one.calls for candidate in left for one in figures[candidate.number].values())
            if len(rounds) == 1 and len(left) * seeds * calls <= exhaustive_calls:
                tried = seeds
                continue
            left = _kept([judge.score(one, figures[one.number].values()) for one in left])
            tried = seeds if len(left) <= FEWEST else min(seeds, 2 * tried)
        while True:
            standing = _standing(candidates, figures, alike, judge)
            doubtful = _doubtful(standing, figures, judge) if second_chance else []
            if doubtful and sum(map(len, figures.values())) < MOST_EVALUATIONS:
                again |= set(doubtful)
                say(f"{count(len(doubtful), 'candidate')} that might have been dropped too early on more seeds")
                for tries in sorted({len(figures[number]) for number in doubtful}):
                    those = [one for one in candidates if one.number in doubtful and len(figures[one.number]) == tries]
                    _extend(figures, those, min(seeds, 2 * tries), evaluate, variation)
                continue
            # Those that are like what may be chosen are tried themselves; one that differs is judged for itself.
            # Where one does, two draws say too little on this workload: then all are tried themselves.
            untried = [one for one in candidates if one.number in alike and len(figures[one.number]) < seeds]
            stands = set() if split else _in_play(standing, untried, alike, figures, judge)
            those = [one for one in untried if split or alike[one.number].number in stands]
            if not those or sum(map(len, figures.values())) >= MOST_EVALUATIONS:
                break
            say(f"{count(len(those), 'candidate')} that did the same as a simpler one on {count(seeds, 'seed')}")
            _extend(figures, those, seeds, evaluate, variation)
            for one in those:
                stood = figures[alike[one.number].number]
                if any(
                    _same(found) != _same(stood[repeat])
                    for repeat, found in figures[one.number].items()
                    if repeat in stood
                ):
                    split = True
                    del alike[one.number]
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: this is the best so far")
    scored, finalists, chances = _standing(candidates, figures, alike, judge)
    return Searched(
        scored,
        finalists,
        {number: tuple(found[repeat] for repeat in sorted(found)) for number, found in figures.items() if found},
        tuple(rounds),
        len(alike),
        len(again),
        sum(len(found) for found in figures.values()),
        interrupted,
        None if interrupted or not finalists else min(1.0, sum(chances.values())),
    )


def _alike(
    candidates: Sequence[Candidate], figures: Mapping[int, Mapping[int, Figures]], judge: Judge
) -> dict[int, Candidate]:
    """Return who stands for whom: of candidates with the same figures, to the last bit, and memory the simplest."""
    first: dict[object, Candidate] = {}
    found = {}
    for one in sorted(candidates, key=lambda candidate: (candidate.simplicity, candidate.number)):
        simplest = first.setdefault((_behaviour(figures[one.number]), judge.memory.get(one.number)), one)
        if simplest is not one:
            found[one.number] = simplest
    return found


def _behaviour(figures: Mapping[int, Figures]) -> tuple[Figures, ...]:
    return tuple(_same(figures[repeat]) for repeat in sorted(figures))


def _same(found: Figures) -> Figures:
    return found._replace(candidate=0)


class _Standing(NamedTuple):
    """Where the search stands."""

    scores: tuple[CandidateScore, ...]  # of all candidates; those that are like another have its figures
    finalists: tuple[CandidateScore, ...]  # those with most seeds, without those that are like another
    chances: Mapping[int, float]  # of the others


def _standing(
    candidates: Sequence[Candidate],
    figures: Mapping[int, Mapping[int, Figures]],
    alike: Mapping[int, Candidate],
    judge: Judge,
) -> _Standing:
    own = {one.number: judge.score(one, figures[one.number].values()) for one in candidates if figures[one.number]}
    scored = tuple(
        own[alike[number].number]._replace(candidate=score.candidate) if number in alike else score
        for number, score in own.items()
    )
    judged = [score for number, score in own.items() if number not in alike]
    most = max((score.seeds for score in judged), default=0)
    finalists = tuple(score for score in judged if score.seeds == most)
    chances = _chances(judged, finalists, figures, judge) if finalists else {}
    return _Standing(scored, finalists, chances)


def _doubtful(standing: _Standing, figures: Mapping[int, Mapping[int, Figures]], judge: Judge) -> list[int]:
    """Return the dropped candidates that may be much faster than what was kept, or that the rule might choose.

    It chooses the simplest of those within 5 %, so a slower one may be the answer: it is put beside the finalists with
    the best times that its draws allow.
    """
    chances = standing.chances
    doubtful: set[int] = set()
    if sum(chances.values()) > SURE:
        doubtful = {number for number, chance in chances.items() if chance > SURE / len(chances)}
    ordered = sorted(doubtful, key=lambda number: (-chances[number], number))
    hopeful = sorted(
        (score for score in standing.scores if score.candidate.number in chances.keys() - doubtful),
        key=lambda score: (score.candidate.simplicity, score.candidate.number),
    )
    judged = [score for score in standing.scores if score.candidate.number in chances] + list(standing.finalists)
    gaps = [_Gaps(judged, standing.finalists, figures, judge, path) for path in range(len(judge.paths))]
    for score in hopeful:
        if len(ordered) >= AT_ONCE:
            break
        best = _at_best(score, gaps)
        if best is not None and best.candidate.name in pick([*standing.finalists, best]).names:
            ordered.append(score.candidate.number)
    return ordered[:AT_ONCE]


def _at_best(score: CandidateScore, gaps: Sequence[_Gaps]) -> CandidateScore | None:
    """Return the score with the best times that its draws allow, and goals met that it misses by 5 % or less."""
    times = []
    for gap in gaps:
        found = gap.of(score)
        if score.failed or found is None:
            return None
        mean, error = found
        times.append(gap.best.times_s[gap.path] * math.exp(mean - SPREADS * error))
    meets = score.excess <= EQUIVALENCE
    return score._replace(times_s=tuple(times), missed=() if meets else score.missed)


def _in_play(
    standing: _Standing,
    untried: Sequence[Candidate],
    alike: Mapping[int, Candidate],
    figures: Mapping[int, Mapping[int, Figures]],
    judge: Judge,
) -> set[int]:
    """Return who stands for candidates that may be the answer or a part of it.

    Those are known on the first draws only. So the one that stands for them is put beside the other finalists with the
    best times that these draws allow: where the rule names it then, it or one of them could be named.
    """
    finalists = {score.candidate.number: score for score in standing.finalists}
    found = {score.candidate.number for score in pick(standing.finalists).named} if finalists else set()
    judged = [score for score in standing.scores if score.candidate.number not in alike]
    gaps = [_Gaps(judged, standing.finalists, figures, judge, path) for path in range(len(judge.paths) if found else 0)]
    for number, one in {alike[one.number].number: one for one in untried}.items():
        if number in finalists and number not in found:
            best = _at_best(judge.score(one, figures[one.number].values()), gaps)
            if best is not None:
                best = best._replace(candidate=finalists[number].candidate)
                if best in pick([best, *(score for n, score in finalists.items() if n != number)]).named:
                    found.add(number)
    return found


def evaluate_all(
    candidates: Sequence[Candidate], seeds: int, evaluate: Evaluate, variation: Variation = BASE
) -> dict[int, dict[int, Figures]]:
    """Try each of the candidates on this many seeds, without dropping any."""
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
    """Keep one in three: by every ranking the fastest and the simplest in turns, and what the rules choose now."""
    wanted = max(FEWEST, math.ceil(len(scores) / KEPT))
    chosen = pick(scores)
    kept = dict.fromkeys(score.candidate for score in chosen.named)
    for turn in zip_longest(*rankings(scores), *simplest_first(scores)):
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
    """Return for each dropped candidate the chance that it is over 5 % better on some path than the fastest kept."""
    kept = {score.candidate.number for score in finalists}
    dropped = [score for score in scored if score.candidate.number not in kept]
    chances = dict.fromkeys((score.candidate.number for score in dropped), 0.0)
    for path in range(len(judge.paths)):
        gaps = _Gaps(scored, finalists, figures, judge, path)
        for score in dropped:
            found = gaps.of(score)
            if score.failed or found is None:
                continue
            mean, error = found
            margin = mean + math.log(EQUIVALENCE)
            chances[score.candidate.number] += NormalDist().cdf(-margin / error) if error else float(margin < 0)
    return chances


class _Gaps:
    """How far candidates are behind the fastest finalist on a path, in paired differences of logarithms.

    Two seeds say little of their spread, so the usual one is taken as if it had been seen on `PRIOR` seeds more: the
    median of the finalists, or that of all where it is larger, because finalists can be very much alike.
    """

    def __init__(
        self,
        scored: Sequence[CandidateScore],
        finalists: Sequence[CandidateScore],
        figures: Mapping[int, Mapping[int, Figures]],
        judge: Judge,
        path: int,
    ) -> None:
        self.path, self._figures, self._judge = path, figures, judge
        self.best = min(finalists, key=lambda s: (s.failed, s.times_s[path], s.candidate.simplicity))
        self._mine = _logs(figures[self.best.candidate.number], judge, path)
        self._usual = max(self._spread(finalists), self._spread(scored))

    def of(self, score: CandidateScore) -> tuple[float, float] | None:
        """Return the mean difference and its standard error; None where they have no seed in common."""
        differences = self._differences(score)
        if not differences:
            return None
        squares = variance(differences) * (len(differences) - 1) if len(differences) > 1 else 0.0
        seeds = len(differences)
        error = math.sqrt((squares + PRIOR * self._usual) / (seeds - 1 + PRIOR) / seeds)
        return fmean(differences), error

    def _spread(self, scores: Sequence[CandidateScore]) -> float:
        others = (self._differences(score) for score in scores if score.candidate != self.best.candidate)
        spreads = [variance(differences) for differences in others if len(differences) > 1]
        return median(spreads) if spreads else 0.0

    def _differences(self, score: CandidateScore) -> list[float]:
        theirs = _logs(self._figures[score.candidate.number], self._judge, self.path)
        return [theirs[repeat] - self._mine[repeat] for repeat in sorted(self._mine.keys() & theirs.keys())]


def _logs(figures: Mapping[int, Figures], judge: Judge, path: int) -> dict[int, float]:
    found = {}
    for repeat in sorted(figures):
        values = [figures[repeat].time_s[number] for number in judge.members[path]]
        known = [math.log(value) for value in values if value]
        if len(known) == len(values):
            found[repeat] = fmean(known)
    return found
