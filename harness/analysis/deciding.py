"""What the question of a workload turns on: the comparisons that decide it, and whether they do.

A workload whose pipelines run one after the other asks how the later ones stand to the first, and one whose rate
climbs asks at which rate the queue begins to grow. Every other one asks how the candidates stand to the one to take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.arriving import ArrivingJobs
from harness.analysis.model import Analysis, CandidateSummary, PathVerdict, Sequel
from harness.analysis.statistics import Comparison, Estimate, compare, estimate
from harness.analysis.verdict import path_standings, ratio_by_profile, simplicity
from harness.core.records import Path

__all__ = ["Pays", "QueueGrowth", "deciding", "growth_of", "pays_of", "sequels_of_chosen", "settled"]


class QueueGrowth(NamedTuple):
    """The arrival rate at which a pipeline's queue begins to grow, in jobs a second, under each candidate.

    against: the highest of these rates to the simplest candidate's, paired by repeat; None where there is no other.
    """

    pipeline: str
    rates: tuple[tuple[str, Estimate], ...]  # in the run's order; a candidate under which no queue stays has none
    none: tuple[str, ...]  # candidates under which no queue stays, or none that began before the last jobs came
    most_per_s: float  # the highest rate at which it could be seen to grow
    against: Comparison | None


class Pays(NamedTuple):
    """On one path: the fastest of the other candidates against the simplest of all. Below 1 it takes less time."""

    path: Path
    pipelines: tuple[str, ...]
    best: Comparison


def growth_of(analysis: Analysis, arriving: Sequence[ArrivingJobs]) -> QueueGrowth | None:
    """Return where the queue of the first pipeline whose rate climbs begins to grow; None where no rate is known."""
    mine = [one for one in arriving if one.pipeline == arriving[0].pipeline]
    # What begins to wait in the last tenth may be a wait like others, and the jobs end before it does.
    expected = [at.expected_per_s for one in mine for at in one.stretches[:-1] if at.expected_per_s is not None]
    if not expected:
        return None
    most = max(expected)
    rates = {one.candidate: dict(one.grows_at) for one in mine}
    stays = {one.candidate for one in mine if one.waits_from_s is not None}
    known = []
    for name in (name for name in rates if name in stays):
        found = estimate(list(rates[name].values()), analysis.run.origin)
        if found is not None and found.value < most:
            known.append((name, found))
    simplest = _simplest(analysis).name
    others = [name for name, _ in known if name != simplest]
    best = max(others, key=lambda name: dict(known)[name].value, default=None)
    against = None
    if best is not None and simplest in dict(known):
        against = compare(best, rates[best], simplest, rates[simplest], len(others), lower_is_better=False)
    none = tuple(name for name in rates if name not in dict(known))
    return QueueGrowth(mine[0].pipeline, tuple(known), none, most, against)


def pays_of(analysis: Analysis) -> tuple[Pays, ...]:
    """Compare on every path the fastest other candidate with the simplest; without a path where there is no other."""
    found = []
    for verdict in analysis.paths:
        best = _best_other(analysis, verdict)
        if best is not None:
            found.append(Pays(verdict.path, verdict.pipelines, best))
    return tuple(found)


def deciding(analysis: Analysis, growth: QueueGrowth | None = None) -> tuple[Comparison, ...]:
    """Return the comparisons that decide the question of a workload; empty where there is nothing to compare.

    Another candidate is told apart from the one to take by one path on which it is better or worse.
    """
    if growth is not None:
        return () if growth.against is None else (growth.against,)
    if later := sequels_of_chosen(analysis):
        return tuple(sequel.comparison for sequel in later)
    found: list[Comparison] = []
    for alternative in analysis.choice.alternatives:
        compared = [comparison for _, comparison in alternative.comparisons]
        apart = [comparison for comparison in compared if comparison.relation in ("better", "worse")]
        found += apart or compared
    return tuple(found)


def sequels_of_chosen(analysis: Analysis) -> tuple[Sequel, ...]:
    """Return how later pipelines stand to the first under the candidate to take; empty where they are levels."""
    if analysis.gains is not None:
        return ()
    chosen = analysis.choice.candidate
    return tuple(s for v in analysis.paths for s in v.sequels if s.candidate == (chosen or v.chosen))


def settled(analysis: Analysis, growth: QueueGrowth | None = None) -> bool:
    """Whether each comparison that decides the question is better, worse, or equal within 5 %."""
    found = deciding(analysis, growth)
    return bool(found) and all(comparison.relation != "unresolved" for comparison in found)


def _simplest(analysis: Analysis) -> CandidateSummary:
    return min(analysis.candidates, key=simplicity)


def _best_other(analysis: Analysis, verdict: PathVerdict) -> Comparison | None:
    """Compare the fastest on a path that is not the simplest candidate with that one; None where a side has no time."""
    standings = path_standings(verdict.path, analysis.candidates)
    simplest = _simplest(analysis).name
    base = standings.values[simplest]
    others = [name for name in standings.values if name != simplest and name not in standings.passed_over]
    by_name = analysis.by_name
    found = []
    for name in others:
        factors = ratio_by_profile(by_name[name], by_name[simplest], verdict.pipelines)
        comparison = compare(name, standings.values[name], simplest, base, len(others), by_profile=factors)
        found += [] if comparison is None or simplest in standings.passed_over else [comparison]
    return min(found, key=lambda comparison: comparison.ratio, default=None)
