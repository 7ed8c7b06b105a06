"""The verdict: which candidate for which path, and for the whole, by rules that are written down here.

The fastest on a path has the lowest value of the path's measure: per repeat the median pipeline time over its jobs (on
an interactive path that is the reply time), over several pipelines their geometric mean. Every other candidate is
compared with it, paired by repeat. Those that are equivalent to it (within 5 %) or that cannot be told from it tie with
it, and of the ones that tie the simplest is chosen: fewer servers, fewer slots, serial before window before reserve
before waves before unbounded, fifo before any other order, as many calls in flight as slots before any other number.
Candidates whose jobs failed are chosen only where every one failed some.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.analysis.model import (
    CandidateSummary,
    Choice,
    ChoiceKind,
    GoalResult,
    PathVerdict,
    Standing,
)
from harness.analysis.sequels import sequel_answers, sequels_of, sequels_text
from harness.analysis.statistics import EQUIVALENCE, Comparison, compare
from harness.analysis.words import choice_sentences, path_headline, path_sentences
from harness.core.plan import simplicity_of
from harness.core.records import Origin, Path
from harness.deploy.settings import engine_remarks, settings_for

__all__ = ["PathStandings", "decide", "path_measure", "path_standings", "simplicity"]


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
    near: frozenset[str]  # found within 5 % of the fastest, itself included: good enough for both paths


def simplicity(candidate: CandidateSummary) -> tuple[int, ...]:
    """Rank a candidate: the lower, the simpler to run."""
    return simplicity_of(candidate.servers)


def decide(
    candidates: Sequence[CandidateSummary], origin: Origin, after: Mapping[str, str] | None = None
) -> tuple[tuple[PathVerdict, ...], Choice]:
    """Answer for every path that the workload has, and for the whole; `after`: pipelines that come after another."""
    paths: tuple[Path, ...] = ("batch", "interactive")
    found = [path_standings(path, candidates) for path in paths]
    standings = [standing for standing in found if standing.pipelines]
    by_name = {candidate.name: candidate for candidate in candidates}
    verdicts = []
    for standing in standings:
        other = next((other for other in standings if other is not standing), None)
        price = _price(standing, other, by_name) if other else None
        verdict = PathVerdict(
            path=standing.path,
            pipelines=standing.pipelines,
            standing=standing.standing,
            fastest=standing.fastest,
            chosen=standing.chosen,
            batched=by_name[standing.chosen].batches(standing.pipelines) if standing.chosen else None,
            passed_over=standing.passed_over,
            comparisons=standing.comparisons,
            price=price,
            headline="",
            sentences=(),
        )
        verdict = verdict._replace(headline=path_headline(verdict, by_name))
        elsewhere = (other.path, other.chosen) if other else None
        sequels = sequels_of(after or {}, standing.pipelines, candidates)
        sentences = (*sequels_text(sequels), *path_sentences(verdict, elsewhere, by_name))
        verdicts.append(verdict._replace(sentences=sentences, sequels=sequels))
    return tuple(verdicts), _choose(standings, verdicts, by_name, origin)


def path_standings(path: Path, candidates: Sequence[CandidateSummary]) -> PathStandings:
    """Rank the candidates on one path and find which of them tie with the fastest."""
    pipelines = tuple(s.pipeline for s in candidates[0].pipelines if s.path == path) if candidates else ()
    values = {candidate.name: _measure(candidate, pipelines) for candidate in candidates}
    able = [candidate for candidate in candidates if values[candidate.name]]
    able = [candidate for candidate in able if not _failed(candidate, pipelines)] or able
    passed_over = tuple(candidate.name for candidate in candidates if candidate not in able)
    if not able:
        return PathStandings(path, pipelines, values, "no data", None, None, (), passed_over, frozenset())
    common = set.intersection(*(set(values[candidate.name]) for candidate in able))
    by_name = {candidate.name: candidate for candidate in able}

    def level(candidate: CandidateSummary) -> float:
        mine = values[candidate.name]
        logs = [math.log(value) for repeat, value in mine.items() if repeat in common or not common]
        return math.fsum(logs) / len(logs)

    fastest = min(able, key=lambda candidate: (level(candidate), simplicity(candidate)))
    others = [candidate for candidate in able if candidate is not fastest]
    compared = [
        compare(
            other.name,
            values[other.name],
            fastest.name,
            values[fastest.name],
            len(others),
            by_profile=_ratio_by_profile(other, fastest, pipelines),
        )
        for other in others
    ]
    comparisons = tuple(comparison for comparison in compared if comparison is not None)
    if not others:
        standing: Standing = "only one"
    elif all(comparison.n == 1 for comparison in comparisons):
        standing = "one repeat"
    else:
        relations = {comparison.relation for comparison in comparisons}
        standing = "unresolved" if "unresolved" in relations else "equivalent" if "equivalent" in relations else "clear"
    tied = set() if standing == "one repeat" else {c.candidate for c in comparisons if c.relation != "worse"}
    tying = [by_name[name] for name in sorted({fastest.name} | tied)]
    chosen = min(tying, key=lambda candidate: (simplicity(candidate), level(candidate)))
    near = frozenset({fastest.name} | {c.candidate for c in comparisons if c.ratio <= EQUIVALENCE})
    return PathStandings(path, pipelines, values, standing, fastest.name, chosen.name, comparisons, passed_over, near)


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


def _price(mine: PathStandings, other: PathStandings, by_name: Mapping[str, CandidateSummary]) -> Comparison | None:
    """Compare this path's choice with the other path's own, on the other path."""
    if mine.chosen is None or other.chosen is None or mine.chosen == other.chosen:
        return None
    factors = _ratio_by_profile(by_name[mine.chosen], by_name[other.chosen], other.pipelines)
    values = other.values
    return compare(mine.chosen, values[mine.chosen], other.chosen, values[other.chosen], by_profile=factors)


def _ratio_by_profile(
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


def _choose(
    standings: Sequence[PathStandings],
    verdicts: Sequence[PathVerdict],
    by_name: Mapping[str, CandidateSummary],
    origin: Origin,
) -> Choice:
    kind, name = _pick(standings, by_name)
    shown = [name] if name else list(dict.fromkeys(v.chosen for v in verdicts if v.chosen))
    to_copy = [by_name[candidate] for candidate in shown]
    answers = [text for v in verdicts for text in sequel_answers(v.sequels, name or v.chosen or "")]
    return Choice(
        kind=kind,
        candidate=name,
        sentences=(*choice_sentences(kind, name, verdicts, by_name), *answers),
        settings=tuple(settings_for(candidate) for candidate in to_copy),
        remarks=engine_remarks(to_copy, origin),
    )


def _pick(standings: Sequence[PathStandings], by_name: Mapping[str, CandidateSummary]) -> tuple[ChoiceKind, str | None]:
    if any(standing.chosen is None for standing in standings) or not standings:
        return "none", None
    if len(standings) == 1:
        return "one path", standings[0].chosen
    batch, interactive = standings
    if batch.chosen == interactive.chosen:
        return "same", batch.chosen
    if both := batch.near & interactive.near:
        return "both", min(both, key=lambda name: simplicity(by_name[name]))
    speed = {batch.fastest: 1.0} | {c.candidate: c.ratio for c in batch.comparisons}
    meeting = [name for name in by_name if name in speed and _meets_goals(by_name[name])]
    if meeting:
        return "goals", min(meeting, key=lambda name: (speed[name], simplicity(by_name[name])))
    return "trade", None


def _meets_goals(candidate: CandidateSummary) -> bool:
    """Tell whether there are goals and all that could be judged are met."""
    results: list[GoalResult] = [goal for summary in candidate.pipelines for goal in summary.goals]
    judged = [goal for goal in results if goal.state != "not judged"]
    return bool(judged) and all(goal.state == "met" for goal in judged)
