"""What makes one candidate's jobs longer than another's: the parts of their time that differ."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.model import CandidateSummary
from harness.analysis.timesplit import Parts
from harness.units import seconds
from harness.wording.figures import PART_LABELS
from harness.wording.found_again import found_again_because

__all__ = ["PartsDifference", "difference"]

_READING = "reading of prompts"
_WORTH_NAMING = 0.02  # of the longer time: smaller differences explain nothing


class PartsDifference(NamedTuple):
    """How two candidates' times of a pipeline differ, by the means on the critical path."""

    mean_s: float  # the one less the other
    median_s: float  # the same of the medians; 0 where they are not known
    parts: tuple[str, ...]  # `2.41 s more prefill`, the largest first
    counts: bool  # it is more than a fiftieth of the time

    @property
    def agrees(self) -> bool:
        """Whether mean and median go the same way, so that the one explains the other."""
        return self.mean_s * self.median_s > 0


def difference(mine: CandidateSummary, theirs: CandidateSummary, pipeline: str) -> PartsDifference:
    """Return what differs in a job of a pipeline."""
    first, second = _job_parts(mine, pipeline), _job_parts(theirs, pipeline)
    changes = {kind: first[kind] - second[kind] for kind in first}
    least_s = _WORTH_NAMING * max(sum(first.values()), sum(second.values()))
    named = sorted((kind for kind in changes if abs(changes[kind]) >= least_s), key=lambda kind: -abs(changes[kind]))
    because = {_READING: found_again_because(mine, theirs, pipeline)}
    texts = (
        f"{seconds(abs(changes[kind]))} {'less' if changes[kind] < 0 else 'more'} {kind}{because.get(kind, '')}"
        for kind in named
    )
    mean_s = sum(changes.values())
    return PartsDifference(
        mean_s, _median_s(mine, pipeline) - _median_s(theirs, pipeline), tuple(texts), abs(mean_s) >= least_s
    )


def _median_s(candidate: CandidateSummary, pipeline: str) -> float:
    found = next((s.time for s in candidate.pipelines if s.pipeline == pipeline), None)
    return 0.0 if found is None else found.value


def _job_parts(candidate: CandidateSummary, pipeline: str) -> dict[str, float]:
    """Parts along the critical path by words; the waits for a turn are one, wherever the queue is."""
    parts = next((s.job_parts for s in candidate.pipelines if s.pipeline == pipeline), Parts())
    waits = parts.router_wait_s + parts.throttle_wait_s + parts.queue_wait_s
    rest = {PART_LABELS[field]: seconds_ for field, seconds_ in parts._asdict().items() if "wait" not in field}
    plain = {"prefill": _READING, "decode": "writing of answers"}
    return {"waiting": waits, **{plain.get(kind, kind): seconds_ for kind, seconds_ in rest.items()}}
