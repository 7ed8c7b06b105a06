"""The figures of an answer: what each candidate takes, the recommended one first.

Times are means over the repeats, as everywhere in a report, but those that a goal is about: goals are judged by the
median over the repeats, so that is what stands there. Where candidates differ in whose turn it is, medians hide what
waits longest: then there are 95th percentiles, too, where there are jobs enough for them.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.analysis.facts import BesideWork
from harness.analysis.goals import figure_of, judge_all
from harness.analysis.model import Analysis, CandidateSummary, PipelineSummary
from harness.analysis.uses import differ_in_order
from harness.units import seconds
from harness.wording.answer import AnswerRow, AnswerTable
from harness.wording.goals import goal_column, goals_cell
from harness.wording.manner import calls_text
from harness.wording.standard_set import more_ways

__all__ = ["answer_table", "shown_time"]


def answer_table(analysis: Analysis) -> AnswerTable | None:
    """Return times, the rate of a request and goals, by candidate; None where there is no candidate."""
    if not analysis.candidates:
        return None
    pipelines = analysis.candidates[0].pipelines
    columns: list[tuple[str, str]] = []
    cells: list[Callable[[CandidateSummary], str]] = []
    for number, summary in enumerate(pipelines):
        columns.append((summary.pipeline, "reply" if summary.path == "interactive" else "job"))
        cells.append(lambda c, n=number: _time(shown_time(c.pipelines[n])))  # type: ignore[misc]
        if any(candidate.pipelines[number].first_token for candidate in analysis.candidates):
            columns.append((f"{summary.pipeline} first", "token"))
            cells.append(lambda c, n=number: _time(_shown_first_token(c.pipelines[n])))  # type: ignore[misc]
    if any(candidate.per_request for candidate in analysis.candidates):  # older summaries have none
        columns.append(("tok/s per", "request"))
        cells.append(_rate)
    if goals := [goal for summary in pipelines for goal in summary.goals]:
        columns.append(goal_column(goals))
        hidden = {one.candidate for one in analysis.notices if isinstance(one, BesideWork) and one.hidden}
        cells.append(lambda c: goals_cell(judge_all(c), analysis.run.origin, c.name in hidden))
    if any(summary.jobs_failed for candidate in analysis.candidates for summary in candidate.pipelines):
        columns.append(("failed", "jobs"))
        cells.append(lambda c: str(sum(s.jobs_failed for s in c.pipelines)))
    for number, summary in enumerate(pipelines if differ_in_order(analysis.candidates) else ()):
        if all(candidate.pipelines[number].p95_s for candidate in analysis.candidates):
            columns.append((summary.pipeline, "p95"))
            cells.append(lambda c, n=number: _time(c.pipelines[n].p95_s))  # type: ignore[misc]
    labels = _labels(analysis)
    rows = [
        AnswerRow(c.name, labels[c.name], c.name == analysis.choice.candidate, tuple(cell(c) for cell in cells))
        for c in analysis.candidates
    ]
    return AnswerTable(tuple(columns), tuple(sorted(rows, key=lambda row: not row.recommended)), more_ways(analysis))


def shown_time(summary: PipelineSummary) -> float | None:
    """Return the time of a pipeline as it is shown: what its goal is judged by, else the mean over the repeats."""
    found = figure_of(summary.goals, "p50_s", summary.time)
    return None if found is None else found.value


def _shown_first_token(summary: PipelineSummary) -> float | None:
    found = figure_of(summary.goals, "first_token_s", summary.first_token)
    return None if found is None else found.value


def _labels(analysis: Analysis) -> dict[str, str]:
    """Return what each candidate is called: with its slots, or what it sends where all share a server as it was."""
    candidates = analysis.candidates
    shared = {(use.server, use.slots) for candidate in candidates for use in candidate.servers}
    as_it_was = all(server.slots_asked is None for server in analysis.run.servers)
    alone = as_it_was and len(shared) == 1 and all(len(candidate.servers) == 1 for candidate in candidates)
    sent = {candidate.name: calls_text(candidate.servers[0]) for candidate in candidates} if alone else {}
    if len(sent) < 2 or len(set(sent.values())) < len(sent):
        return {candidate.name: _label(candidate) for candidate in candidates}
    return {name: f"{name}: {text}" for name, text in sent.items()}


def _label(candidate: CandidateSummary) -> str:
    # In the order of the first line: by pipeline, batch first.
    ordered = sorted(candidate.pipelines, key=lambda summary: summary.path != "batch")
    names = dict.fromkeys(server for summary in ordered for server in summary.servers)
    by_name = {use.server: use for use in candidate.servers}
    slots = [by_name[name].slots for name in names if name in by_name] or [use.slots for use in candidate.servers]
    if not slots:
        return candidate.name
    extrapolated = " (extrapolated)" if any(use.extrapolated for use in candidate.servers) else ""
    return f"{candidate.name}, {' + '.join(map(str, slots))} {'slot' if slots == [1] else 'slots'}{extrapolated}"


def _rate(candidate: CandidateSummary) -> str:
    found = candidate.per_request
    return "-" if found is None else f"{found.value:.{0 if found.value >= 9.95 else 1}f}"


def _time(value_s: float | None) -> str:
    return "-" if value_s is None else seconds(value_s)
