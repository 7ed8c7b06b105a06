"""Confirmation: the best few, measured until they are told apart or the budget ends. The measurement wins.

It looks after every repeat, and who looks often enough finds a difference in noise. So the error that is allowed is
shared among the looks: look k gets 1 / (k (k + 1)) of it, which adds up to all of it however often is looked
(a Bonferroni bound; docs/design.md). Among the candidates it is shared as in every verdict.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.measures import index_records, summarise
from harness.analysis.model import Analysis, CandidateSummary
from harness.analysis.statistics import Comparison, compare
from harness.analysis.verdict import path_standings
from harness.core.records import Path as JobPath
from harness.recommend.answer import Found, answer_of, uses_of
from harness.recommend.constraints import Memory
from harness.recommend.model import Confirmation, Difference, Recommendation
from harness.runs.folder import read_run
from harness.units import count, percent, seconds
from harness.workload.load import Loaded
from harness.workload.schema import MeasureSpec

__all__ = ["Until", "comparisons_of", "confirmed", "contenders", "expected_s", "to_measure", "too_short"]

MOST = 4  # candidates that are measured
LEAST_REPEATS = 2
MOST_REPEATS = 60
START_S = 12.0  # of a server: load, warm up, probe
MARGIN = 1.3  # a real run takes longer than its calls: servers, pauses


def contenders(found: Found, memory: Memory) -> tuple[str, ...]:
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
        mine = servers | {lane.server for lane in space.find(name).plan.lanes}
        if len(kept) < MOST and not (kept and memory.too_much([space.loaded.servers[server] for server in mine])):
            kept.append(name)
            servers = mine
    return tuple(kept)


def expected_s(found: Found, names: Sequence[str]) -> float:
    """Return about how long the least useful measurement of these takes, by the prediction."""
    summaries = [of for of in found.recommendation.analysis.candidates if of.name in names]
    servers = {use.server for of in summaries for use in of.servers}
    once_s = sum(of.makespan.value for of in summaries if of.makespan)
    return START_S * len(servers) + MARGIN * once_s * (1 + LEAST_REPEATS)


def to_measure(found: Found, names: Sequence[str]) -> Loaded:
    """Return the workload with these candidates alone, to be measured until enough is known."""
    loaded = found.space.loaded
    plans = tuple(found.space.find(name).plan for name in names)
    used = {lane.server for plan in plans for lane in plan.lanes}
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
    """Says when a measurement may end: every path's fastest is told from all others, or the time is over."""

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin_s = clock()
        self._budget_s = budget_s
        self._looks = 0
        self._last_s: float | None = None
        self.separated = False

    @property
    def looks(self) -> int:
        """How often it has looked."""
        return self._looks

    def __call__(self, folder: Path) -> bool:
        """Look at a run folder after a trial; the candidates are compared where another repeat of all is complete."""
        now_s, end_s = self._clock(), self._begin_s + self._budget_s
        run = read_run(folder)
        done = Counter(trial.candidate for trial in run.trials if trial.complete)
        if min(done[name] for name in run.candidates) <= self._looks:
            return now_s > end_s
        self._looks += 1
        found = comparisons_of(summarise(run, index_records(run)), self._looks)
        self.separated = all(c.relation != "unresolved" for c in found)
        # The first repeat has the start of the servers in it, so it says nothing of how long the next one takes.
        repeat_s = now_s - self._last_s if self._last_s is not None else 0.0
        self._last_s = now_s
        return self.separated or now_s + repeat_s > end_s


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


def confirmed(found: Found, folder: Path, until: Until) -> Recommendation:
    """Return the recommendation with what the measurement in a folder says; where they disagree, that wins."""
    recommendation = found.recommendation
    run = read_run(folder)
    analysis = analyse(run)
    names = answer_of(analysis)
    repeats = max((of.repeats for of in analysis.candidates), default=0)
    if not names or repeats < LEAST_REPEATS:
        note = f"The measurement ended after {count(repeats, 'repeat')}: this is a prediction alone."
        return recommendation._replace(notes=(note, *recommendation.notes))
    differences = tuple(_differences(recommendation.analysis, analysis))
    contradicts = set(names) != set(recommendation.answer)
    return recommendation._replace(
        origin=run.origin,
        answer=names,
        uses=uses_of(found.space, analysis, names),
        confirmation=Confirmation(
            run.origin,
            str(folder),
            run.candidates,
            repeats,
            analysis,
            differences,
            until.separated,
            contradicts,
            tuple(_sentences(recommendation, names, differences, repeats, until, contradicts)),
        ),
    )


class _Pair(NamedTuple):
    predicted: CandidateSummary
    measured: CandidateSummary


def _differences(predicted: Analysis, measured: Analysis) -> list[Difference]:
    before = {of.name: of for of in predicted.candidates}
    pairs = [_Pair(before[of.name], of) for of in measured.candidates if of.name in before]
    return [
        Difference(
            pair.measured.name, mine.pipeline, mine.time.value, real.time.value, mine.time.value / real.time.value - 1
        )
        for pair in pairs
        for mine, real in zip(pair.predicted.pipelines, pair.measured.pipelines, strict=True)
        if mine.time and real.time
    ]


def _sentences(
    recommendation: Recommendation,
    names: Sequence[str],
    differences: Sequence[Difference],
    repeats: int,
    until: Until,
    contradicts: bool,
) -> list[str]:
    why = "the candidates were told apart" if until.separated else "the budget was over, and some are not told apart"
    lines = [f"{count(repeats, 'repeat')} of each, then {why}."]
    if differences:
        errors = [abs(of.error) for of in differences]
        lines.append(f"The prediction was off by {percent(fmean(errors))} (mean), {percent(max(errors))} at worst.")
    mine, theirs = (" and ".join(f'"{name}"' for name in of) for of in (names, recommendation.answer))
    if contradicts:
        lines.append(f"The measurement contradicts the prediction: {mine}, and not {theirs}. The measurement counts.")
    else:
        lines.append(f"The measurement says the same: {mine}.")
    if until.looks > 1:
        lines.append(
            f"It was looked at {until.looks} times: to end it, look k had 1 / (k (k + 1)) of the 5 % error to itself."
        )
    return lines


def too_short(budget_s: float, needed_s: float) -> str:
    """Say that a budget does not suffice to confirm anything."""
    return (
        f"Prediction only: a budget of {seconds(budget_s)} is too short to confirm it, which takes about "
        f"{seconds(needed_s)} at least (--budget)."
    )
