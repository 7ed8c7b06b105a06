"""A pipeline that comes `after` another, on the same servers and in the same repeat: what its graph costs or gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.model import CandidateSummary, Sequel
from harness.analysis.statistics import compare

__all__ = ["sequels_of"]


def sequels_of(
    after: Mapping[str, str], pipelines: Sequence[str], candidates: Sequence[CandidateSummary], shares: int = 1
) -> tuple[Sequel, ...]:
    """Compare every pipeline with the first of its chain, paired by repeat, under every candidate.

    Args:
        after: the pipeline that each one comes after.
        pipelines: those of one path: a reply and a batch job are not alternatives.
        candidates: summaries over complete repeats.
        shares: as of `harness.analysis.verdict.decide`.
    """
    found = []
    for pipeline in pipelines:
        first = pipeline
        while first in after and after[first] in pipelines:
            first = after[first]
        if first == pipeline:
            continue
        for candidate in candidates:
            times = {s.pipeline: dict(s.time_by_repeat) for s in candidate.pipelines}
            comparison = compare(pipeline, times[pipeline], first, times[first], len(candidates) * shares)
            if comparison is not None:
                found.append(Sequel(candidate.name, comparison))
    return tuple(found)
