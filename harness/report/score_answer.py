"""The answer of a score: how far a prediction was off, and whether it recommended what the measurement does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from harness.analysis.model import Analysis
from harness.predict.score import TIMES, Score, ScoreRow
from harness.units import percent, seconds
from harness.wording.answer import Answer, AnswerRow, AnswerTable, part
from harness.wording.manner import manner
from harness.wording.run_answer import basis_of
from harness.wording.warnings import warnings_of

__all__ = ["score_answer"]


def score_answer(
    score: Score, analysis: Analysis, profile: str, lengths: str, predicted: str | None, again: str
) -> Answer:
    """Return the answer.

    Args:
        score: every figure, predicted and found.
        analysis: of the run.
        profile: its name.
        lengths: of calls in the prediction, in words.
        predicted: the candidate that the prediction recommends; None: none, or not known.
        again: the command that prints the run's report.
    """
    times = [row for row in score.rows if row.figure in TIMES]
    errors = [abs(row.error) for row in times]
    headline = "No time can be compared with the prediction."
    if errors:
        typical, worst = percent(median(errors)), percent(max(errors))
        headline = f"The prediction was off by {typical} (median of {len(errors)} times), {worst} at worst."
    parts = (
        part("Why", *_why(score, times, profile)),
        part("Do this", *_do(analysis, predicted)),
        part("How sure", *_how_sure(times, lengths, profile)),
        part("Details", f"{again} --full prints the run; this command with --full every figure."),
    )
    return Answer(
        warnings_of(analysis), headline, basis_of(analysis), _table(score, analysis), tuple(p for p in parts if p.lines)
    )


def _table(score: Score, analysis: Analysis) -> AnswerTable:
    columns = (("predicted", "time"), (analysis.run.origin, "time"), ("error", ""), ("noise", ""))
    rows = [
        AnswerRow(
            row.candidate,
            f"{row.candidate}, {row.pipeline} {'reply' if row.figure == 'reply p50' else 'job'}",
            row.candidate == analysis.choice.candidate,
            (
                seconds(row.predicted),
                seconds(row.measured),
                _signed(row.error),
                "-" if row.noise is None else f"±{percent(row.noise)}",
            ),
        )
        for row in score.rows
        if row.figure in TIMES
    ]
    return AnswerTable(columns, tuple(sorted(rows, key=lambda row: not row.recommended)))


def _signed(error: float) -> str:
    return f"{error * 100:+.1f} %"


def _why(score: Score, times: Sequence[ScoreRow], profile: str) -> Iterator[str]:
    if (pace := score.pace) is not None:
        yield f"All times are off by about the same factor: the machine had {pace:.2f} times the speed of {profile}."
        yield "Calibrate again. Until then, trust the ratios and not the times."
    ratios = [abs(error) for *_, error in score.ratio_errors]
    if ratios:
        typical, worst_ratio = percent(median(ratios)), percent(max(ratios))
        yield f"Ratios between candidates were off by {typical} (median), {worst_ratio} at worst."
    if times:
        worst = max(times, key=lambda row: abs(row.error))
        way = "too slow" if worst.error > 0 else "too fast"
        yield f'The worst is {worst.pipeline} under "{worst.candidate}": predicted {percent(abs(worst.error))} {way}.'


def _do(analysis: Analysis, predicted: str | None) -> Iterator[str]:
    name = analysis.choice.candidate
    if name is None:
        return
    how = manner(analysis.by_name[name], [(verdict.path, verdict.pipelines) for verdict in analysis.paths], 60)
    yield f'What was {analysis.run.origin} says "{name}": {how}.'
    if predicted == name:
        yield "The prediction recommends the same."
    elif predicted is not None:
        yield f'The prediction recommends "{predicted}". What was {analysis.run.origin} decides.'


def _how_sure(times: Sequence[ScoreRow], lengths: str, profile: str) -> Iterator[str]:
    within = [row for row in times if row.noise is not None and abs(row.error) <= row.noise]
    if times and any(row.noise is not None for row in times):
        yield f"{len(within)} of {len(times)} errors are within the noise of the run (half its 95 % interval)."
    yield f"Profile {profile}; lengths of calls {lengths}."
