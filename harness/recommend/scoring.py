"""How candidates compare in a search: by the rule of the verdict (`harness.analysis.rule`), on means over the seeds.

The verdict itself, with intervals, is made of the few that are left at the end. These scores say who that is, what the
Pareto front looks like, and what the answer would be were the workload another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import truediv
from statistics import median
from typing import NamedTuple

from harness.analysis.rule import ChoiceKind, Estimates, decide, within
from harness.core.records import Path
from harness.recommend.evaluate import Figures
from harness.recommend.facts import GoalFigure
from harness.recommend.space import Candidate
from harness.workload.schema import Goal, Workload

__all__ = ["CandidateScore", "Judge", "Pick", "dominates", "front", "pick", "rankings", "simplest_first"]

NEVER = math.inf


class CandidateScore(NamedTuple):
    """One candidate over the seeds that it was tried on."""

    candidate: Candidate
    times_s: tuple[float, ...]  # by path: geometric mean of its pipelines' median times; infinite where none ended well
    memory_bytes: int | None
    missed: tuple[GoalFigure, ...]
    excess: float  # factor by which the worst goal is missed; 1 = met
    judged: bool  # some goal could be judged
    failed_on: tuple[bool, ...]  # by path: jobs failed, or it cannot end
    tokens_per_s: float
    late_share: float  # of the calls, given up at the workload's timeout
    seeds: int

    @property
    def failed(self) -> bool:
        """Whether jobs failed on any path, or it cannot end."""
        return any(self.failed_on)

    @property
    def meets(self) -> bool:
        """Whether nothing failed and no goal is missed."""
        return not self.failed and not self.missed

    @property
    def estimates(self) -> Estimates:
        """What the rule that decides goes by."""
        return Estimates(
            tuple(None if math.isinf(time_s) else time_s for time_s in self.times_s),
            self.failed_on,
            not self.missed if self.judged else None,
            self.candidate.simplicity,
        )


class Judge(NamedTuple):
    """What a score goes by."""

    paths: tuple[Path, ...]  # those that the workload has, batch first
    members: tuple[tuple[int, ...], ...]  # indices of each path's pipelines
    goals: tuple[tuple[int, str, Goal], ...]  # (pipeline, its name, its goal)
    memory: Mapping[int, int | None]  # by candidate

    @classmethod
    def of(cls, workload: Workload, memory: Mapping[int, int | None]) -> Judge:
        """Return what the scores of a workload's candidates go by."""
        specs = list(workload.pipelines.items())
        every: tuple[Path, ...] = ("batch", "interactive")
        paths = tuple(path for path in every if any(spec.path == path for _, spec in specs))
        members = tuple(tuple(n for n, (_, spec) in enumerate(specs) if spec.path == path) for path in paths)
        goals = tuple((n, name, spec.goal) for n, (name, spec) in enumerate(specs) if spec.goal is not None)
        return cls(paths, members, goals, memory)

    def score(self, candidate: Candidate, figures: Iterable[Figures]) -> CandidateScore:
        """CandidateScore a candidate by its figures, one for each seed."""
        found = sorted(figures, key=lambda one: one.repeat)
        failed_on = tuple(
            any(one.cannot_end or any(one.jobs_failed[number] for number in mine) for one in found)
            for mine in self.members
        )
        times = tuple(
            _mean([value for one in found if (value := _path_s(one, mine)) is not None]) for mine in self.members
        )
        goals = tuple(self._goals(found))
        missed = tuple(goal for goal in goals if goal.found_s > goal.wanted_s)
        calls = sum(one.calls for one in found)
        makespan_s = sum(one.makespan_s for one in found)
        return CandidateScore(
            candidate,
            times,
            self.memory.get(candidate.number),
            missed,
            max((miss.found_s / miss.wanted_s for miss in missed), default=1.0),
            bool(goals),
            failed_on,
            sum(one.output_tokens for one in found) / makespan_s if makespan_s else 0.0,
            sum(one.timeouts for one in found) / calls if calls else 0.0,
            len(found),
        )

    def _goals(self, found: Sequence[Figures]) -> Iterable[GoalFigure]:
        """Judge goals on medians over the seeds; of a 95th percentile too, which the verdict takes over all jobs."""
        for number, name, goal in self.goals:
            for key, wanted_s, values in (
                ("first_token_s", goal.first_token_s, [one.first_token_s[number] for one in found]),
                ("p50_s", goal.p50_s, [one.time_s[number] for one in found]),
                ("p95_s", goal.p95_s, [one.p95_s[number] for one in found]),
            ):
                known = [value for value in values if value is not None]
                if wanted_s is not None and known:
                    yield GoalFigure(name, key, wanted_s, median(known))


class Pick(NamedTuple):
    """The answer as the scores give it."""

    by_path: tuple[CandidateScore | None, ...]  # in the judge's order; None: jobs fail there under every candidate
    fastest: tuple[CandidateScore | None, ...]
    whole: CandidateScore | None  # None: the paths are best served by different ones, and nothing decides between them
    kind: ChoiceKind

    @property
    def chosen(self) -> tuple[CandidateScore, ...]:
        """What is to be run: one candidate, or one for each path; none where jobs fail under all on one of them."""
        if self.whole:
            return (self.whole,)
        return () if self.kind == "none" else tuple(score for score in self.by_path if score)

    @property
    def named(self) -> tuple[CandidateScore, ...]:
        """All that it names, each once: what is to be run, and the fastest and the choice of each path."""
        every = (self.whole, *self.by_path, *self.fastest)
        return tuple({score.candidate.number: score for score in every if score}.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is to be run."""
        return tuple(dict.fromkeys(score.candidate.name for score in self.chosen))


def pick(scores: Sequence[CandidateScore]) -> Pick:
    """Choose by the rule of the verdict, where those tie that are within 5 % of the fastest."""

    def ties(n: int, fastest: int, path: int) -> bool:
        return within(scores[n].times_s[path], scores[fastest].times_s[path])

    def score(n: int | None) -> CandidateScore | None:
        return None if n is None else scores[n]

    found = decide([score.estimates for score in scores], ties)
    return Pick(
        tuple(score(path.chosen) for path in found.paths),
        tuple(score(path.fastest) for path in found.paths),
        score(found.candidate),
        found.kind,
    )


class _Measure(NamedTuple):
    """One thing that a candidate could be chosen for: the lower, the better."""

    excess: float
    value: float  # seconds, or a ratio of times


def rankings(scores: Sequence[CandidateScore]) -> list[list[CandidateScore]]:
    """Order the candidates, best first, by everything that one could be chosen for: each path, goals, both at once."""
    return [
        sorted(scores, key=lambda s: (s.failed, *measure(s), s.candidate.simplicity)) for measure in _measures(scores)
    ]


def simplest_first(scores: Sequence[CandidateScore]) -> list[list[CandidateScore]]:
    """Order the candidates by the same, but those that are within 5 % of the best come first, the simplest in front."""
    orders = []
    for measure in _measures(scores):
        best = min((s.failed, *measure(s)) for s in scores)

        def rank(
            score: CandidateScore, measure: Callable[[CandidateScore], _Measure] = measure, best: _Rank = best
        ) -> tuple[bool, tuple[int, ...], _Rank]:
            failed, (excess, value) = score.failed, measure(score)
            near = (failed, excess) == best[:2] and within(value, best[2])
            return not near, score.candidate.simplicity if near else (), (failed, excess, value)

        orders.append(sorted(scores, key=rank))
    return orders


_Rank = tuple[bool, float, float]


def _time_of(path: int, score: CandidateScore) -> _Measure:
    return _Measure(1.0, score.times_s[path])


def _measures(scores: Sequence[CandidateScore]) -> list[Callable[[CandidateScore], _Measure]]:
    paths = range(len(scores[0].times_s))
    found: list[Callable[[CandidateScore], _Measure]] = [partial(_time_of, path) for path in paths]
    if any(score.missed for score in scores):
        found.append(lambda s: _Measure(s.excess, s.times_s[0]))
    if len(paths) > 1:
        best = [max(min((s.failed, s.times_s[path]) for s in scores)[1], 1e-9) for path in paths]
        found.append(lambda s: _Measure(1.0, max(map(truediv, s.times_s, best))))
    return found


def dominates(one: CandidateScore, other: CandidateScore, *, simplicity: bool = True) -> bool:
    """Whether `one` is at least as good in times, memory (and simplicity), and better in one of them."""
    mine, theirs = _dimensions(one), _dimensions(other)
    if simplicity and one.candidate.simplicity > other.candidate.simplicity:
        return False
    better = mine != theirs or (simplicity and one.candidate.simplicity < other.candidate.simplicity)
    return one.failed <= other.failed and better and all(a <= b for a, b in zip(mine, theirs, strict=True))


def front(scores: Sequence[CandidateScore]) -> list[CandidateScore]:
    """Return the Pareto front of times and memory, fastest on the first path first; among equals the simplest."""
    able = [score for score in scores if not score.failed]
    found: dict[tuple[float, ...], CandidateScore] = {}
    for score in sorted(able, key=lambda s: (*_dimensions(s), s.candidate.simplicity)):
        if not any(dominates(other, score, simplicity=False) for other in found.values()):
            found.setdefault(_dimensions(score), score)
    return list(found.values())


def _dimensions(score: CandidateScore) -> tuple[float, ...]:
    return (*score.times_s, *(() if score.memory_bytes is None else (float(score.memory_bytes),)))


def _path_s(found: Figures, members: Sequence[int]) -> float | None:
    values = [found.time_s[number] for number in members]
    known = [value for value in values if value is not None]
    if found.cannot_end or len(known) < len(values):
        return None
    return math.prod(known) ** (1 / len(known))


def _mean(values: Sequence[float]) -> float:
    if not values or min(values) <= 0:
        return NEVER
    return math.exp(math.fsum(map(math.log, values)) / len(values))
