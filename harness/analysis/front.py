"""Candidates between two paths: what each costs either path, and which no other one beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from harness.analysis.model import CandidateSummary
from harness.core.records import Path

__all__ = ["FrontPoint", "PathTime", "front_of"]


class PathTime(NamedTuple):
    """Seconds of one path: of several pipelines the geometric mean, which has no interval."""

    value_s: float
    low_s: float | None
    high_s: float | None


class FrontPoint(NamedTuple):
    """One candidate: a job of the batch path takes `batch`, a reply `interactive`."""

    candidate: str
    batch: PathTime
    interactive: PathTime
    on_front: bool  # no other candidate is at least as quick on both paths and quicker on one


def front_of(candidates: Sequence[CandidateSummary]) -> tuple[FrontPoint, ...]:
    """Return the candidates with times on both paths, by batch time; none where there is one path only."""
    points = []
    for candidate in candidates:
        batch, interactive = _path_time(candidate, "batch"), _path_time(candidate, "interactive")
        if batch is not None and interactive is not None:
            points.append(FrontPoint(candidate.name, batch, interactive, True))
    marked = [point._replace(on_front=not any(_beats(other, point) for other in points)) for point in points]
    return tuple(sorted(marked, key=lambda point: (point.batch.value_s, point.interactive.value_s)))


def _path_time(candidate: CandidateSummary, path: Path) -> PathTime | None:
    mine = [summary for summary in candidate.pipelines if summary.path == path]
    times = [summary.time for summary in mine if summary.time is not None and not summary.jobs_failed]
    if not mine or len(times) < len(mine):
        return None
    if len(times) == 1:
        interval = times[0].interval or (None, None)
        return PathTime(times[0].value, *interval)
    return PathTime(math.exp(math.fsum(math.log(time.value) for time in times) / len(times)), None, None)


def _beats(one: FrontPoint, other: FrontPoint) -> bool:
    mine, theirs = (one.batch.value_s, one.interactive.value_s), (other.batch.value_s, other.interactive.value_s)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs
