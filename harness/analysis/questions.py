"""What an answer depends on and is not settled yet.

Settled is a comparison that is better, worse or equivalent (within 5 %), and a goal where the interval of what was
found lies on one side of what is wanted, or within 5 % of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.facts import OpenQuestion
from harness.analysis.model import CandidateSummary, Choice, PathVerdict
from harness.analysis.statistics import against_goal

__all__ = ["open_questions"]


def open_questions(
    paths: Sequence[PathVerdict], choice: Choice, candidates: Sequence[CandidateSummary], shares: int = 1
) -> tuple[OpenQuestion, ...]:
    """Return the questions that more repeats would have to settle.

    On each path they are whether each other candidate is slower than the fastest. Where the recommended candidate is
    the fastest on no path: also whether there is a difference from those that it ties with on all paths. And whether it
    meets its goals on medians; a 95th percentile has no interval.

    Args:
        shares: among how many the error of each estimate's interval is shared.
    """
    return (*_comparisons(paths, choice), *_goals(choice, candidates, shares))


def _comparisons(paths: Sequence[PathVerdict], choice: Choice) -> Iterator[OpenQuestion]:
    pipelines = {verdict.path: verdict.pipelines for verdict in paths}
    compared = [(verdict.path, comparison) for verdict in paths for comparison in verdict.comparisons]
    if choice.candidate not in {verdict.fastest for verdict in paths}:
        compared += [
            on_path
            for alternative in choice.alternatives
            if not alternative.relations & {"better", "worse"}
            for on_path in alternative.comparisons
        ]
    asked: set[tuple[frozenset[str], str]] = set()
    for path, comparison in compared:
        pair = (frozenset((comparison.candidate, comparison.against)), path)
        if comparison.relation == "unresolved" and pair not in asked:
            asked.add(pair)
            needed = comparison.repeats_needed
            yield OpenQuestion(comparison.candidate, pipelines[path], comparison.n, needed, against=comparison.against)


def _goals(choice: Choice, candidates: Sequence[CandidateSummary], shares: int) -> Iterator[OpenQuestion]:
    for summary in next((one.pipelines for one in candidates if one.name == choice.candidate), ()):
        found = {"first_token_s": summary.first_token, "p50_s": summary.time}
        for goal in summary.goals:
            estimate = found.get(goal.goal)
            if estimate is None:
                continue
            settled, needed = against_goal(estimate, goal.wanted_s, shares)
            if not settled:
                yield OpenQuestion(choice.candidate or "", (summary.pipeline,), estimate.n, needed, goal=goal.goal)
