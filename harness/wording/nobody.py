"""Where no candidate can do the work as it is given: that, why, and what to change."""

from __future__ import annotations

from collections.abc import Collection

from harness.analysis.facts import Failures
from harness.analysis.model import Analysis, CandidateSummary, ServerUse
from harness.units import percent
from harness.wording.figures import listed

__all__ = ["none_sentences"]

LONGEST = 160  # characters of what a server said
_WHAT_TO_DO = {
    "timeout": "Calls took longer than timeout_s: allow more, or send the servers less work at once.",
    "rejected": "A server refused calls (503): send it fewer at once, or start them more slowly.",
}


def none_sentences(analysis: Analysis) -> tuple[str, ...]:
    """Say that there is no answer, and what of the workload or its servers stands in the way."""
    failing = [verdict for verdict in analysis.paths if verdict.standing == "all fail"]
    if not failing:
        return ("No candidate can be recommended: see the notes.",)
    pipelines = [name for verdict in failing for name in verdict.pipelines]
    shares = {candidate.name: _failed_share(candidate, pipelines) for candidate in analysis.candidates}
    fewest = min(shares, key=lambda name: shares[name])
    one = f'"{fewest}" ({percent(shares[fewest])})'
    differ = shares[fewest] < max(shares.values())
    under = one if len(shares) == 1 else f"each of them, fewest under {one}" if differ else "each of them"
    first = f"No candidate can do this work as given: jobs of {listed(pipelines)} fail under {under}."
    return (first, *_reasons(analysis))


def _failed_share(candidate: CandidateSummary, pipelines: Collection[str]) -> float:
    """Return the share of the jobs of these pipelines that failed; 1 where there is none."""
    mine = [summary for summary in candidate.pipelines if summary.pipeline in pipelines]
    failed, well = sum(summary.jobs_failed for summary in mine), sum(summary.values for summary in mine)
    return failed / (failed + well) if failed else float(not well)


def _reasons(analysis: Analysis) -> list[str]:
    lacks = {use.server: text for candidate in analysis.candidates for use in candidate.servers if (text := _lack(use))}
    outcomes = {
        outcome
        for notice in analysis.notices
        if isinstance(notice, Failures) and notice.jobs_failed
        for outcome, _ in notice.outcomes
    }
    found = [*lacks.values(), *(text for outcome, text in _WHAT_TO_DO.items() if outcome in outcomes)]
    return found or [_first_error(analysis)]


def _first_error(analysis: Analysis) -> str:
    """Return what the first call said that failed; where none said anything, a rule or a limit is in the notes."""
    failures = (n for n in analysis.notices if isinstance(n, Failures) and n.jobs_failed)
    error = next((notice.error for notice in failures if notice.error), None)
    if error is None:
        return "The notes say what failed first."
    return f"The first call that failed: {error if len(error) <= LONGEST else f'{error[:LONGEST]}...'}"


def _lack(use: ServerUse) -> str:
    """Say that a slot is too short for a call, and what would do."""
    if use.need is None:
        return ""
    what = use.need.words
    return (
        f"{what[:1].upper()}{what[1:]}, and a slot of {use.server} has {use.context_tokens}: set context_tokens to "
        f"{use.need.enough} or more, or shorten prompts and answers."
    )
