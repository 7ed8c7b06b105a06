"""Confirmation: the best few, measured until they are told apart or the budget ends. The measurement wins.

Who looks often enough finds a difference in noise. So it looks after 3 repeats, and each time when there are half as
many more, and the error that is allowed is shared among the looks: look k gets 1 / (k (k + 1)) of it, which adds up to
all of it however often is looked (a Bonferroni bound; docs/design.md). Among the candidates it is shared as in every
verdict.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.measures import index_records, summarise
from harness.analysis.model import Analysis, CandidateSummary
from harness.analysis.statistics import Comparison, compare
from harness.analysis.verdict import path_standings
from harness.core.records import Path as JobPath
from harness.recommend.answer import Recommended, answer_of, uses_of
from harness.recommend.facts import MeasurementEnd, MemoryNeed, TooFewRepeats
from harness.recommend.model import Confirmation, Difference, Recommendation
from harness.runs.folder import read_run
from harness.workload.load import Loaded
from harness.workload.schema import FrozenDict, MeasureSpec

__all__ = [
    "Until",
    "comparisons_of",
    "confirmed",
    "contenders",
    "expected_s",
    "fastest_resolved",
    "to_measure",
    "trials_s",
    "within",
]

MOST = 4  # candidates that are measured
LEAST_REPEATS = 2
WORTH_REPEATS = 8  # what a budget should give each: two that are told apart say more than four that are not
MOST_REPEATS = 60
FIRST_LOOK = 3  # repeats: two say too little of their spread to tell anything apart
MORE_FOR_A_LOOK = 1.5  # times as many repeats, until it looks again
START_S = 12.0  # of a server: load, warm up, probe
SIMULATED_START_S = 3.0
MARGIN = 1.3  # a real run takes longer than its calls: servers, pauses


def contenders(found: Recommended, memory: MemoryNeed) -> tuple[str, ...]:
    """Return two to four candidates worth measuring: the answer first, then who stands nearest to it.

    All their servers are loaded at once, so those that would not fit beside the others are left out.
    """
    analysis, space = found.recommendation.analysis, found.space
    wanted = dict.fromkeys(found.recommendation.answer)
    for verdict in analysis.paths:
        wanted |= dict.fromkeys(name for name in (verdict.chosen, verdict.fastest) if name)
    near = sorted((c.ratio, c.candidate) for verdict in analysis.paths for c in verdict.comparisons)
    wanted |= dict.fromkeys(name for _, name in near)
    kept: list[str] = []
    servers: set[str] = set()
    for name in wanted:
        mine = servers | {queue.server for queue in space.find(name).plan.queues}
        if len(kept) < MOST and not (kept and memory.too_much([space.loaded.servers[server] for server in mine])):
            kept.append(name)
            servers = mine
    return tuple(kept)


def within(found: Recommended, names: Sequence[str], budget_s: float) -> tuple[str, ...]:
    """Return the first of these, two at least: as many as the budget gives enough repeats to tell them apart."""
    kept = tuple(names)
    while len(kept) > 2 and expected_s(found, kept, WORTH_REPEATS) > budget_s:
        kept = kept[:-1]
    return kept


def expected_s(found: Recommended, names: Sequence[str], repeats: int = LEAST_REPEATS) -> float:
    """Return about how long so many repeats of these take, by the prediction; left out: the least that is of use."""
    summaries = [one for one in found.recommendation.analysis.candidates if one.name in names]
    servers = {use.server for one in summaries for use in one.servers}
    once_s = sum(one.makespan.value for one in summaries if one.makespan)
    starts_s = sum(SIMULATED_START_S if found.space.loaded.servers[server].simulated else START_S for server in servers)
    return starts_s + MARGIN * once_s * (1 + repeats)


def trials_s(found: Recommended, names: Sequence[str]) -> dict[str, float]:
    """Return how long one trial of each of these takes, by the prediction."""
    return {
        one.name: one.makespan.value
        for one in found.recommendation.analysis.candidates
        if one.name in names and one.makespan
    }


def to_measure(found: Recommended, names: Sequence[str]) -> Loaded:
    """Return the workload with these candidates alone, to be measured until enough is known."""
    loaded = found.space.loaded
    plans = tuple(found.space.find(name).plan for name in names)
    used = {queue.server for plan in plans for queue in plan.queues}
    servers = {name: spec for name, spec in loaded.servers.items() if name in used}
    changes = {"measure": MeasureSpec(repeats=MOST_REPEATS, warmup=1)}
    return loaded._replace(
        plans=plans,
        servers=servers,
        derived=tuple(servers),
        models={name: loaded.models[name] for name in servers},
        workload=loaded.workload.model_copy(update=changes),
    )


class Until:
    """Says when a measurement may end: enough is told apart, or another repeat does not fit into the budget.

    What comes next is estimated before it starts: what the prediction says of it, times how much longer than predicted
    everything has taken so far. Fewer than two repeats would confirm nothing, so until then it is all of these that
    have to fit.
    """

    def __init__(
        self,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        trial_s: Mapping[str, float] = FrozenDict(),
        resolved: Callable[[Sequence[CandidateSummary], int], bool] | None = None,
    ) -> None:
        """Begin.

        Args:
            budget_s: from now on, servers to be started included.
            clock: seconds.
            trial_s: how long a trial of each candidate takes, by the prediction.
            resolved: whether the candidates' figures say enough at the n-th look; left out: every path's fastest is
                told from all others.
        """
        self._clock, self._end_s, self._budget_s = clock, clock() + budget_s, budget_s
        self._trial_s, self._resolved = trial_s, resolved or fastest_resolved
        self._first_s: float | None = None  # when the first trial had ended: it has the start of the servers in it
        self._trials = 0  # since then, warm-up included
        self._next_look = FIRST_LOOK
        self.looks = 0
        self.separated = False
        self.end = MeasurementEnd("all repeats")

    def __call__(self, folder: Path) -> bool:
        """Look at a run folder after a trial; candidates are compared where a look is due."""
        now_s = self._clock()
        run = read_run(folder)
        done = Counter(dict.fromkeys(run.candidates, 0))
        done.update(trial.candidate for trial in run.trials if trial.complete)
        if self._first_s is None:
            self._first_s = now_s
        else:
            self._trials += 1
        repeats = min(done.values())
        if repeats >= self._next_look:
            self.looks += 1
            self._next_look = math.ceil(MORE_FOR_A_LOOK * repeats)
            self.separated = self._resolved(summarise(run, index_records(run)), self.looks)
            if self.separated:
                self.end = MeasurementEnd("resolved")
                return True
        return self._too_long(now_s, done, repeats)

    def _too_long(self, now_s: float, done: Counter[str], repeats: int) -> bool:
        """Whether what would have to come next does not fit into what is left."""
        begun = max(done.values()) > repeats
        coming = [name for name in done if done[name] == repeats] if begun else list(done)
        usual_s = fmean(self._trial_s.values()) if self._trial_s else 0.0
        expected_s = sum(self._trial_s.get(name, usual_s) for name in coming)
        further = max(0, LEAST_REPEATS - repeats - 1)
        expected_s += further * sum(self._trial_s.get(name, usual_s) for name in done)
        trials = len(coming) + further * len(done)
        took_s = now_s - (self._first_s or now_s)
        # Trials are interleaved, so those that were measured are a fair part of all.
        if self._trials and usual_s:
            expected_s *= took_s / (self._trials * usual_s)
        elif self._trials:
            expected_s = took_s / self._trials * trials
        left_s = self._end_s - now_s
        if expected_s <= left_s:
            return False
        needed = 1 if repeats >= LEAST_REPEATS - 1 else LEAST_REPEATS
        self.end = MeasurementEnd("budget", needed, expected_s, left_s, self._budget_s)
        return True


def fastest_resolved(summaries: Sequence[CandidateSummary], looks: int) -> bool:
    """Whether every path's fastest is told from all others, with an error shared among so many looks."""
    return all(comparison.relation != "unresolved" for comparison in comparisons_of(summaries, looks))


def comparisons_of(summaries: Sequence[CandidateSummary], looks: int) -> list[Comparison]:
    """Compare the others with the fastest of every path, with an error that is shared among so many looks."""
    paths: tuple[JobPath, ...] = ("batch", "interactive")
    found = []
    for path in paths:
        standings = path_standings(path, summaries)
        fastest = standings.fastest
        if not standings.pipelines or fastest is None:
            continue
        others = [name for name in standings.values if name not in (fastest, *standings.passed_over)]
        for name in others:
            share = len(others) * looks * (looks + 1)
            one = compare(name, standings.values[name], fastest, standings.values[fastest], share)
            if one is not None:
                found.append(one)
    return found


def confirmed(found: Recommended, folder: Path, until: Until) -> Recommendation:
    """Return the recommendation with what the measurement in a folder says; where they disagree, that wins."""
    recommendation = found.recommendation
    run = read_run(folder)
    analysis = analyse(run)
    names = answer_of(analysis)
    repeats = max((one.repeats for one in analysis.candidates), default=0)
    head = analysis.run._replace(missing=recommendation.analysis.run.missing)
    analysis = analysis._replace(run=head)
    if repeats < LEAST_REPEATS or not (names or any(verdict.standing == "all fail" for verdict in analysis.paths)):
        return recommendation._replace(notes=(TooFewRepeats(repeats, until.end), *recommendation.notes))
    differences = tuple(_differences(recommendation.analysis, analysis))
    contradicts = set(names) != set(recommendation.answer)
    return recommendation._replace(
        origin=run.origin,
        answer=names,
        uses=uses_of(found.space, analysis, names) if names else (),
        front=tuple(point._replace(chosen=point.candidate in names) for point in recommendation.front),
        confirmation=Confirmation(
            run.origin,
            str(folder),
            run.candidates,
            repeats,
            analysis,
            differences,
            until.separated,
            contradicts,
            recommendation.answer,
            until.end,
            until.looks,
        ),
    )


class _Pair(NamedTuple):
    predicted: CandidateSummary
    measured: CandidateSummary


def _differences(predicted: Analysis, measured: Analysis) -> list[Difference]:
    before = {one.name: one for one in predicted.candidates}
    pairs = [_Pair(before[one.name], one) for one in measured.candidates if one.name in before]
    return [
        Difference(
            pair.measured.name, mine.pipeline, mine.time.value, real.time.value, mine.time.value / real.time.value - 1
        )
        for pair in pairs
        for mine, real in zip(pair.predicted.pipelines, pair.measured.pipelines, strict=True)
        if mine.time and real.time
    ]
