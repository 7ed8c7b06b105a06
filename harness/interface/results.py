"""What the functions of the interface return: the answer first, then figures, records, data frames and a view."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from harness.analysis.model import Analysis, CandidateSummary
from harness.app.recommend import Found
from harness.app.score import Scored
from harness.app.settings import settings_text
from harness.core.records import CallRecord, JobRecord
from harness.errors import SlotwiseError, UserError
from harness.interface.workloads import LoadedWorkload
from harness.recommend.model import Recommendation
from harness.report.recommendation import recommendation_text
from harness.report.score_answer import score_answer
from harness.report.score_file import score_json
from harness.report.summary import summary
from harness.runs.frame import frame_of
from harness.runs.model import Run
from harness.wording.answer import Answer
from harness.wording.run_answer import run_answer
from harness.wording.search_answer import search_answer

__all__ = ["RecommendResult", "RunResult", "ScoreResult"]

Library = Literal["pandas", "polars"]


class _Shown:
    """What all results have in common: an answer, and how it is shown."""

    @property
    def answer(self) -> Answer:
        """What to do: warnings, headline, what it rests on, table, and the parts why, instead, do this, how sure."""
        raise NotImplementedError

    def _analysis(self) -> Analysis:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.answer.headline}>"

    def __str__(self) -> str:
        from harness.report.answer import answer_lines

        return "\n".join(line.plain.rstrip() for line in answer_lines(self.answer))

    def _repr_html_(self) -> str:
        """Show the answer, its table and one chart in a notebook: escaped, and without scripts."""
        from harness.report.notebook import notebook_html

        return notebook_html(self.answer, self._analysis())


class RunResult(_Shown):
    """A run: predicted by `simulate`, measured by `measure`, or read by `read_run`. Times are seconds."""

    def __init__(
        self,
        run: Run,
        analysis: Analysis,
        folder: Path | None = None,
        *,
        interrupted: bool = False,
        failure: SlotwiseError | None = None,
        workload: LoadedWorkload | None = None,
        profiles: tuple[str, ...] = (),
    ) -> None:
        self.run = run  # everything recorded
        self.analysis = analysis  # everything computed
        self.folder = folder  # where it is kept; None: nowhere
        self.interrupted = interrupted  # by Ctrl-C: it holds what there was until then
        self.failure = failure  # what ended the measurement early; None: nothing did
        self.workload = workload  # that it is of, where it was made here
        self.profiles = profiles  # that it was predicted on

    @property
    def answer(self) -> Answer:
        """What to do, why, at what cost and how sure."""
        answer = run_answer(self.analysis, f"slotwise report {self.folder}")
        if self.folder is None:  # there is no report that a command could show
            answer = answer._replace(parts=tuple(part for part in answer.parts if part.title != "Details"))
        return answer

    @property
    def recommended(self) -> str | None:
        """The name of the candidate to take; None: none, or one for each path."""
        return self.analysis.choice.candidate

    @property
    def candidates(self) -> tuple[CandidateSummary, ...]:
        """The figures of each candidate, with 95 % intervals."""
        return self.analysis.candidates

    @property
    def calls(self) -> Sequence[CallRecord]:
        """Every call of every trial."""
        return self.run.calls

    @property
    def jobs(self) -> Sequence[JobRecord]:
        """Every job of every trial."""
        return self.run.jobs

    def settings(self, kind: str, candidate: str | None = None) -> str:
        """Return settings to copy, whole: `systemd`, `compose`, `asyncio`, `langchain` or `langgraph`.

        Args:
            kind: what they are for.
            candidate: whose; left out: the recommended one's.

        Raises:
            UserError: no such kind or candidate, or several are recommended.
        """
        return settings_text(self.analysis, kind, candidate)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints and summary.json holds: plain data, described in docs/reference/reports.md."""
        return summary(self.analysis)

    def to_frame(
        self, rows: Literal["candidates", "calls", "jobs"] = "candidates", library: Library | None = None
    ) -> Any:
        """Return a data frame of pandas or polars, whichever is installed: neither is a dependency.

        Args:
            rows: `candidates`: a row for each candidate and pipeline, with the columns `candidate`, `pipeline`,
                `path`, `recommended`, `time_s` (geometric mean over the repeats; of an interactive pipeline its reply
                time), `time_low_s` and `time_high_s` (95 % interval), `first_token_s`, `all_done_s`, `p95_s`,
                `jobs_failed`, `calls`, `tokens_per_s` (of the candidate). `calls`: see docs/how-to/history.md. `jobs`:
                the fields of `harness.core.records.JobRecord`.
            library: which of the two; left out: the first one that is installed.

        Raises:
            UserError: it is not installed, or there are no such rows.
        """
        if rows == "calls":
            return self.run.to_frame(library)
        if rows == "candidates":
            return frame_of(_candidate_rows(self.analysis), library)
        if rows == "jobs":
            return frame_of([job._asdict() for job in self.jobs], library)
        raise UserError(f'to_frame: expected "candidates", "calls" or "jobs", found "{rows}"')

    def _analysis(self) -> Analysis:
        return self.analysis


class RecommendResult(_Shown):
    """What a search found, and what confirmed it."""

    def __init__(self, found: Found) -> None:
        self.found = found  # for `harness.app.recommend.keep_recommendation`

    @property
    def recommendation(self) -> Recommendation:
        """Everything that was found."""
        return self.found.recommendation

    @property
    def answer(self) -> Answer:
        """What to do, why, at what cost and how sure."""
        return search_answer(self.recommendation, self.found.command)

    @property
    def recommended(self) -> tuple[str, ...]:
        """The names of the candidates to run: one, or one for each path."""
        return self.recommendation.answer

    @property
    def analysis(self) -> Analysis:
        """Of the finalists: measured where that was done, else predicted."""
        return self._analysis()

    @property
    def candidates(self) -> tuple[CandidateSummary, ...]:
        """The figures of the finalists."""
        return self._analysis().candidates

    def to_dict(self) -> dict[str, Any]:
        """Return what `slotwise recommend --json` prints."""
        found: dict[str, Any] = json.loads(recommendation_text(self.recommendation))
        return found

    def to_frame(self, library: Library | None = None) -> Any:
        """Return the finalists as a data frame, with the columns of `RunResult.to_frame`."""
        return frame_of(_candidate_rows(self._analysis()), library)

    def _analysis(self) -> Analysis:
        return (self.recommendation.confirmation or self.recommendation).analysis


class ScoreResult(_Shown):
    """A prediction beside the run that it was of."""

    def __init__(self, scored: Scored) -> None:
        self.scored = scored  # for `harness.app.score.keep_score`

    @property
    def answer(self) -> Answer:
        """How accurate the prediction was."""
        one = self.scored
        assert one.score is not None
        return score_answer(one.score, self._analysis(), one.profile, one.lengths, one.recommended, "")

    def to_dict(self) -> dict[str, Any]:
        """Return what `slotwise score --json` prints."""
        assert self.scored.score is not None
        return score_json(self.scored.score, self.scored.measured.run.origin)

    def to_frame(self, library: Library | None = None) -> Any:
        """Return a row for each figure of each candidate: `predicted`, `measured`, `noise`, `error` (a share)."""
        return frame_of(self.to_dict()["rows"], library)

    def _analysis(self) -> Analysis:
        assert self.scored.measured.analysis is not None
        return self.scored.measured.analysis


def _candidate_rows(analysis: Analysis) -> list[dict[str, Any]]:
    return [
        {
            "candidate": candidate.name,
            "pipeline": one.pipeline,
            "path": one.path,
            "recommended": candidate.name in {settings.candidate for settings in analysis.choice.settings},
            "time_s": one.time and one.time.value,
            "time_low_s": one.time and one.time.low,
            "time_high_s": one.time and one.time.high,
            "first_token_s": one.first_token and one.first_token.value,
            "all_done_s": one.all_done and one.all_done.value,
            "p95_s": one.p95_s,
            "jobs_failed": one.jobs_failed,
            "calls": one.calls,
            "tokens_per_s": candidate.throughput and candidate.throughput.value,
        }
        for candidate in analysis.candidates
        for one in candidate.pipelines
    ]
