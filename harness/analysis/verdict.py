"""The verdict of a run: which candidate for which path, and for the whole, by `harness.analysis.rule`.

The fastest on a path has the lowest value of the path's measure: per repeat the median pipeline time over its jobs (on
an interactive path that is the reply time), over several pipelines their geometric mean. Every other candidate is
compared with it, paired by repeat. Those that are equivalent to it (within 5 %) or not resolved from it tie with it.
The simplest to run: see `harness.core.plan.simplicity_of`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.analysis import rule
from harness.analysis.goals import meets_goals
from harness.analysis.model import Alternative, CandidateSummary, Choice, PathVerdict, Standing
from harness.analysis.rule import ChoiceKind, Estimates, OnPath
from harness.analysis.sequels import sequels_of
from harness.analysis.statistics import Comparison, compare
from harness.core.plan import simplicity_of
from harness.core.records import Origin, Path
from harness.deploy.settings import engine_remarks, settings_for

__all__ = ["PathStandings", "decide", "path_measure", "path_standings", "ratio_by_profile", "simplicity"]


class PathStandings(NamedTuple):
    """How the candidates stand on one path, before a choice over both."""

    path: Path
    pipelines: tuple[str, ...]
    values: Mapping[str, Mapping[int, float]]  # candidate -> repeat -> the path's measure
    standing: Standing
    fastest: str | None
    chosen: str | None
    comparisons: tuple[Comparison, ...]
    passed_over: tuple[str, ...]


class _Times:
    """One path of a run: what the candidates take on it, and comparisons between them as they are asked for."""

    def __init__(self, path: Path, candidates: Sequence[CandidateSummary], shares: int = 1) -> None:
        self.path, self.candidates, self.shares = path, candidates, shares
        self.pipelines = tuple(s.pipeline for s in candidates[0].pipelines if s.path == path) if candidates else ()
        self.values = [_measure(candidate, self.pipelines) for candidate in candidates]
        self.failed = [_failed(candidate, self.pipelines) for candidate in candidates]
        on_cpu = [candidate.on_cpu for candidate in candidates]
        self.able = rule.able([bool(values) for values in self.values], self.failed, on_cpu)
        self._common = set.intersection(*(set(self.values[n]) for n in self.able)) if self.able else set()
        self._compared: dict[int, dict[int, Comparison]] = {}

    def level_s(self, n: int) -> float | None:
        """Return the geometric mean over the repeats that all able candidates have; its own where none is common."""
        repeats = self.values[n]
        logs = [math.log(value) for repeat, value in repeats.items() if repeat in self._common]
        logs = logs or [math.log(value) for value in repeats.values()]
        return math.exp(math.fsum(logs) / len(logs)) if logs else None

    def against(self, fastest: int) -> Mapping[int, Comparison]:
        """Compare the other able candidates with one of them, paired by repeat."""
        if fastest not in self._compared:
            others = [n for n in self.able if n != fastest]
            made = {n: self._compare(n, fastest, len(others)) for n in others}
            self._compared[fastest] = {n: found for n, found in made.items() if found is not None}
        return self._compared[fastest]

    def ties(self, n: int, fastest: int) -> bool:
        """Whether a candidate is equivalent to the fastest or not resolved from it. One repeat is no verdict: no."""
        found = self.against(fastest)
        return not _once(found) and n in found and found[n].relation != "worse"

    def _compare(self, n: int, fastest: int, comparisons: int) -> Comparison | None:
        mine, theirs = self.candidates[n], self.candidates[fastest]
        factors = ratio_by_profile(mine, theirs, self.pipelines)
        values = self.values[n], self.values[fastest]
        return compare(mine.name, values[0], theirs.name, values[1], comparisons * self.shares, by_profile=factors)


def _once(found: Mapping[int, Comparison]) -> bool:
    return all(comparison.n == 1 for comparison in found.values())


def simplicity(candidate: CandidateSummary) -> tuple[int, ...]:
    """Rank a candidate: the lower, the simpler to run."""
    return simplicity_of(candidate.servers, sum(len(use.levers) for use in candidate.servers))


def decide(
    candidates: Sequence[CandidateSummary],
    origin: Origin,
    after: Mapping[str, str] | None = None,
    shares: int = 1,
    slower: Mapping[str, int] | None = None,
) -> tuple[tuple[PathVerdict, ...], Choice]:
    """Answer for every path that the workload has, and for the whole.

    Args:
        candidates: over their complete repeats.
        origin: of their numbers.
        after: pipelines that come after another one, and that one.
        shares: among how many looks' shares the error of each comparison is shared (`harness.analysis.looks`).
        slower: see `harness.analysis.beside.slower_beside`.
    """
    every: tuple[Path, ...] = ("batch", "interactive")
    paths = [times for path in every if (times := _Times(path, candidates, shares)).pipelines]
    decision = rule.decide(_estimates(candidates, paths, slower), lambda n, fastest, path: paths[path].ties(n, fastest))
    standings = [_standings(times, found) for times, found in zip(paths, decision.paths, strict=True)]
    by_name = {candidate.name: candidate for candidate in candidates}
    verdicts = []
    for standing in standings:
        other = next((other for other in standings if other is not standing), None)
        cost = _cost(standing, other, by_name, shares) if other else None
        verdict = PathVerdict(
            path=standing.path,
            pipelines=standing.pipelines,
            standing=standing.standing,
            fastest=standing.fastest,
            chosen=standing.chosen,
            batched=by_name[standing.chosen].batches(standing.pipelines) if standing.chosen else None,
            passed_over=standing.passed_over,
            comparisons=standing.comparisons,
            cost=cost,
            sequels=sequels_of(after or {}, standing.pipelines, candidates, shares),
        )
        verdicts.append(verdict)
    tie = None
    if decision.candidate is not None and decision.fastest not in (None, decision.candidate):
        tie = paths[0].against(decision.fastest)[decision.candidate]
    name = None if decision.candidate is None else candidates[decision.candidate].name
    others = _alternatives(candidates, paths, decision.candidate)
    return tuple(verdicts), _choice(decision.kind, name, tie, verdicts, by_name, origin)._replace(alternatives=others)


def _alternatives(
    candidates: Sequence[CandidateSummary], paths: Sequence[_Times], chosen: int | None
) -> tuple[Alternative, ...]:
    """Compare every other candidate with the recommended one, on each path on which both can be chosen."""
    if chosen is None:
        return ()
    found = [(times.path, times.against(chosen)) for times in paths if chosen in times.able]
    return tuple(
        Alternative(candidate.name, tuple((path, compared[n]) for path, compared in found if n in compared))
        for n, candidate in enumerate(candidates)
        if n != chosen
    )


def path_standings(path: Path, candidates: Sequence[CandidateSummary]) -> PathStandings:
    """Rank the candidates on one path and find which of them tie with the fastest."""
    times = _Times(path, candidates)
    return _standings(times, rule.on_path(_estimates(candidates, [times]), 0, lambda n, best, _: times.ties(n, best)))


def _estimates(
    candidates: Sequence[CandidateSummary], paths: Sequence[_Times], slower: Mapping[str, int] | None = None
) -> list[Estimates]:
    return [
        Estimates(
            times_s=tuple(times.level_s(n) for times in paths),
            failed=tuple(times.failed[n] for times in paths),
            meets_goals=meets_goals(candidate),
            simplicity=((slower or {}).get(candidate.name, 0), *simplicity(candidate)),
            on_cpu=candidate.on_cpu,
        )
        for n, candidate in enumerate(candidates)
    ]


def _standings(times: _Times, found: OnPath) -> PathStandings:
    names = [candidate.name for candidate in times.candidates]
    compared = times.against(found.fastest) if found.fastest is not None else {}
    relations = {comparison.relation for comparison in compared.values()}
    standing: Standing = "clear"
    if found.fastest is None:
        standing = "all fail" if any(times.failed) else "no data"
    elif len(found.able) == 1:
        standing = "only one"
    elif _once(compared):
        standing = "one repeat"
    elif "unresolved" in relations:
        standing = "unresolved"
    elif "equivalent" in relations:
        standing = "equivalent"
    return PathStandings(
        times.path,
        times.pipelines,
        dict(zip(names, times.values, strict=True)),
        standing,
        None if found.fastest is None else names[found.fastest],
        None if found.chosen is None else names[found.chosen],
        tuple(compared.values()),
        tuple(name for n, name in enumerate(names) if n not in found.able),
    )


def _measure(candidate: CandidateSummary, pipelines: tuple[str, ...]) -> dict[int, float]:
    """Return the path's measure by repeat: the geometric mean of its pipelines' median times."""
    return path_measure([dict(s.time_by_repeat) for s in candidate.pipelines if s.pipeline in pipelines])


def path_measure(tables: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the geometric mean of several pipelines' times by repeat, over the repeats that all of them have."""
    if not tables:
        return {}
    common = set.intersection(*(set(table) for table in tables))
    return {r: math.prod(table[r] for table in tables) ** (1 / len(tables)) for r in sorted(common)}


def _failed(candidate: CandidateSummary, pipelines: tuple[str, ...]) -> bool:
    return any(summary.jobs_failed for summary in candidate.pipelines if summary.pipeline in pipelines)


def _cost(
    mine: PathStandings, other: PathStandings, by_name: Mapping[str, CandidateSummary], shares: int
) -> Comparison | None:
    """Compare this path's choice with the other path's own, on the other path."""
    if mine.chosen is None or other.chosen is None or mine.chosen == other.chosen:
        return None
    factors = ratio_by_profile(by_name[mine.chosen], by_name[other.chosen], other.pipelines)
    values = other.values
    return compare(mine.chosen, values[mine.chosen], other.chosen, values[other.chosen], shares, by_profile=factors)


def ratio_by_profile(
    candidate: CandidateSummary, against: CandidateSummary, pipelines: tuple[str, ...]
) -> tuple[float, ...]:
    """Return the factor on the ratio of a path's measures under each resampled profile: what both share cancels."""
    pairs = [
        (mine.time_by_profile, theirs.time_by_profile)
        for mine, theirs in zip(candidate.pipelines, against.pipelines, strict=True)
        if mine.pipeline in pipelines
    ]
    ratios = [[a / b for a, b in zip(mine, theirs, strict=False)] for mine, theirs in pairs]
    return tuple(math.prod(factors) ** (1 / len(factors)) for factors in zip(*ratios, strict=False))


def _choice(
    kind: ChoiceKind,
    name: str | None,
    tie: Comparison | None,
    verdicts: Sequence[PathVerdict],
    by_name: Mapping[str, CandidateSummary],
    origin: Origin,
) -> Choice:
    shown = [name] if name else list(dict.fromkeys(v.chosen for v in verdicts if v.chosen and kind != "none"))
    to_copy = [by_name[candidate] for candidate in shown]
    return Choice(
        kind=kind,
        candidate=name,
        settings=tuple(settings_for(candidate) for candidate in to_copy),
        remarks=engine_remarks(to_copy, origin),
        tie=tie,
    )
