"""Confirmation: the best few, measured until all differences are resolved or the budget ends. The measurement wins.

When that may end says `harness.measure.until.Until`, as of `slotwise run --until resolved`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis, CandidateSummary
from harness.measure.until import Until
from harness.recommend.answer import Recommended, answer_of, uses_of
from harness.recommend.facts import MemoryNeed, TooFewRepeats
from harness.recommend.model import Confirmation, Difference, Recommendation
from harness.recommend.runners import servers_as_loaded
from harness.runs.folder import read_run
from harness.workload.load import Loaded
from harness.workload.schema import MeasureSpec, ServerSpec

__all__ = [
    "LEAST_REPEATS",
    "confirmed",
    "contenders",
    "expected_s",
    "to_measure",
    "trials_s",
    "within",
]

MOST = 4  # candidates that are measured
LEAST_REPEATS = 2  # fewer would confirm nothing
WORTH_REPEATS = 8  # what a budget should give each: two that are resolved say more than four that are not
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
    servers: dict[str, ServerSpec] = {}
    for name in wanted:
        plan, mine = space.find(name).plan, dict(servers)
        for queue, spec in zip(plan.queues, servers_as_loaded(space.loaded, plan), strict=True):
            other = mine.get(queue.server, spec)
            mine[queue.server] = max(spec, other, key=lambda one: one.context_tokens)
        if len(kept) < MOST and not (kept and memory.for_a_while().too_much(list(mine.values()))):
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
    """Return about how long this many repeats of these take, by the prediction; left out: the least that is of use."""
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
    changes = {"measure": MeasureSpec(repeats=LEAST_REPEATS, warmup=1)}
    return loaded._replace(
        plans=plans,
        servers=servers,
        derived=tuple(servers),
        models={name: loaded.models[name] for name in servers},
        workload=loaded.workload.model_copy(update=changes),
    )


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
