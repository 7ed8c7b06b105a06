"""The figures of an answer: what each candidate takes, the recommended one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.analysis.statistics import EQUIVALENCE, Estimate
from harness.units import seconds
from harness.wording.answer import AnswerRow, AnswerTable

__all__ = ["answer_table"]


def answer_table(analysis: Analysis) -> AnswerTable | None:
    """Return times, the rate of a request and goals, by candidate; None where there is no candidate."""
    if not analysis.candidates:
        return None
    pipelines = analysis.candidates[0].pipelines
    columns: list[tuple[str, str]] = []
    cells: list[Callable[[CandidateSummary], str]] = []
    for number, summary in enumerate(pipelines):
        columns.append((summary.pipeline, "reply" if summary.path == "interactive" else "job"))
        cells.append(lambda c, n=number: _time(c.pipelines[n].time))  # type: ignore[misc]
        if any(candidate.pipelines[number].first_token for candidate in analysis.candidates):
            columns.append((f"{summary.pipeline} first", "token"))
            cells.append(lambda c, n=number: _time(c.pipelines[n].first_token))  # type: ignore[misc]
    columns.append(("tok/s per", "request"))
    cells.append(lambda c: "-" if c.per_request is None else f"{c.per_request.value:.{_digits(c.per_request.value)}f}")
    if any(summary.goals for summary in pipelines):
        columns.append(_goal_column(pipelines))
        cells.append(_goals)
    if any(summary.jobs_failed for candidate in analysis.candidates for summary in candidate.pipelines):
        columns.append(("failed", "jobs"))
        cells.append(lambda c: str(sum(s.jobs_failed for s in c.pipelines)))
    rows = [
        AnswerRow(c.name, _label(c), c.name == analysis.choice.candidate, tuple(cell(c) for cell in cells))
        for c in analysis.candidates
    ]
    return AnswerTable(tuple(columns), tuple(sorted(rows, key=lambda row: not row.recommended)))


def _label(candidate: CandidateSummary) -> str:
    slots = [use.slots for use in candidate.servers]
    if not slots:
        return candidate.name
    extrapolated = " (extrapolated)" if any(use.extrapolated for use in candidate.servers) else ""
    return f"{candidate.name}, {' + '.join(map(str, slots))} {'slot' if slots == [1] else 'slots'}{extrapolated}"


def _time(found: Estimate | None) -> str:
    return "-" if found is None else seconds(found.value)


def _digits(value: float) -> int:
    return 0 if value >= 9.95 else 1


def _near(one: float, other: float) -> bool:
    return max(one, other) <= EQUIVALENCE * min(one, other)


def _goal_column(pipelines: Sequence[PipelineSummary]) -> tuple[str, str]:
    goals = [goal for summary in pipelines for goal in summary.goals]
    if len(goals) > 1:
        return (f"{len(goals)} goals", "met")
    wanted = seconds(goals[0].wanted_s)
    return {
        "first_token_s": ("goal: first", f"token < {wanted}"),
        "p50_s": ("goal:", f"reply < {wanted}"),
        "p95_s": ("goal: p95", f"reply < {wanted}"),
    }[goals[0].goal]


def _goals(candidate: CandidateSummary) -> str:
    goals = [(summary, goal) for summary in candidate.pipelines for goal in summary.goals]
    states = [goal.state for _, goal in goals]
    if len(states) == 1:
        summary, goal = goals[0]
        shown = {"first_token_s": summary.first_token, "p50_s": summary.time}.get(goal.goal)
        # Goals are judged by the median over the repeats; the table has their mean.
        differs = goal.found_s is not None and (shown is None or not _near(goal.found_s, shown.value))
        return f"{goal.state} ({seconds(goal.found_s or 0.0)})" if differs else goal.state
    return f"{states.count('met')} of {len(states)}"
