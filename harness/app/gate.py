"""Should a build fail? What `--fail-on` names, held against a run or a comparison, with the reason of everything.

A case is one thing that holds or not: a demand, a goal of the workload, the failures of a pipeline, a candidate on a
path compared with an earlier run. The exit code goes by the cases that `--fail-on` asks for; JUnit has all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from harness.analysis.between import Between, BetweenRow
    from harness.analysis.demands import Demand
    from harness.analysis.model import Analysis
    from harness.report.junit import Case
    from harness.workload.load import Loaded

__all__ = [
    "FailOn",
    "FailOnRegression",
    "comparison_cases",
    "keep_error",
    "keep_junit",
    "open_goals",
    "read_fail_on",
    "read_regression",
    "run_cases",
]

_REGRESSION = re.compile(r"regression(?:=(\d{1,4}(?:\.\d{1,6})?)\s*%)?")


class FailOn(NamedTuple):
    """What makes a build fail that runs, predicts or reports a workload."""

    kinds: tuple[Literal["goals", "failures"], ...] = ()
    demands: tuple[Demand, ...] = ()

    def check(self, loaded: Loaded, repeats: int | None) -> None:
        """Raise UserError where a demand cannot be judged, before anything is measured.

        It names something that is not there, or needs more jobs than the workload has in so many repeats; None: nobody
        knows how many there will be.
        """
        if not self.demands:
            return
        from harness.analysis.demands import check_demand, check_jobs

        jobs = {pipeline.name: pipeline.jobs for pipeline in loaded.pipelines}
        for demand in self.demands:
            check_demand(demand, [plan.name for plan in loaded.plans], list(jobs))
            if repeats is not None:
                check_jobs(demand, jobs, repeats)


class FailOnRegression(NamedTuple):
    """What makes a build fail that compares runs."""

    asked: bool = False  # a regression does
    size: float = 0.0  # a regression of less than this does not count: 0.1 is 10 %
    unresolved: bool = False  # what is not decided does, and a candidate that is missing now


def read_fail_on(texts: Sequence[str]) -> FailOn:
    """Read the values of `--fail-on`: "goals", "failures", and expressions such as `chat.p95_s<2`.

    Raises:
        UserError: one is none of them.
    """
    if not texts:
        return FailOn()
    from harness.analysis.demands import read_demand

    kinds: list[Literal["goals", "failures"]] = []
    demands: list[Demand] = []
    for text in texts:
        if text == "goals":
            kinds.append("goals")
        elif text == "failures":
            kinds.append("failures")
        elif (demand := read_demand(text)) is not None:
            demands.append(demand)
        else:
            raise UserError(
                f'--fail-on: expected goals, failures, or what must hold, such as "chat.p95_s<2", found "{text}"'
                f"{did_you_mean(text, ('goals', 'failures'))}"
            )
    return FailOn(tuple(kinds), tuple(demands))


def read_regression(texts: Sequence[str]) -> FailOnRegression:
    """Read what `slotwise compare --fail-on` has; UserError where it is none.

    "regression", one with a size ("regression=10%"), or "unresolved".
    """
    sizes, unresolved = [], False
    for text in (text.strip() for text in texts):
        match = _REGRESSION.fullmatch(text)
        if text == "unresolved":
            unresolved = True
        elif match is None:
            hint = (
                f'; did you mean "{text}%"?'
                if _REGRESSION.fullmatch(f"{text}%")
                else "; a limit goes with run, simulate, score and report"
                if re.search("[<>]", text)
                else did_you_mean(text, ("regression", "unresolved"))
            )
            raise UserError(
                f'--fail-on: expected regression or a size such as regression=10%, or unresolved, found "{text}"{hint}'
            )
        else:
            sizes.append(float(match[1] or 0) / 100)
    return FailOnRegression(bool(sizes), min(sizes, default=0.0), unresolved)


def run_cases(analysis: Analysis, wanted: FailOn) -> list[Case]:
    """Hold a run against everything that was asked for, and against the goals of its workload.

    Raises:
        UserError: no trial has finished, so nothing was measured; or a demand names what is not there.
    """
    from harness.analysis.demands import judge
    from harness.report.junit import Case
    from harness.wording.demands import demand_line, demand_text

    asks = bool(wanted.kinds or wanted.demands)
    if asks and not any(candidate.repeats for candidate in analysis.candidates):
        raise UserError("--fail-on: no trial has finished, so nothing was measured")
    cases = [
        Case(
            "demands",
            f"{found.candidate}:{demand.text}" if found.candidate and demand.candidate is None else demand.text,
            asked=True,
            failure="" if found.holds else demand_text(found),
            said=demand_line(found),
        )
        for demand in wanted.demands
        for found in [judge(demand, analysis)]
    ]
    cases += _goals(analysis, asked="goals" in wanted.kinds)
    for candidate in analysis.candidates:
        for pipeline in candidate.pipelines:
            failed = f"{pipeline.jobs_failed} of {pipeline.jobs_failed + pipeline.values} jobs of {pipeline.pipeline} "
            cases.append(
                Case(
                    "failures",
                    f"{candidate.name}: jobs of {pipeline.pipeline}",
                    asked="failures" in wanted.kinds,
                    failure=f"{failed}failed under {candidate.name}" if pipeline.jobs_failed else "",
                    skipped="" if candidate.repeats else "not measured: no repeat is complete",
                )
            )
    return cases


def _goals(analysis: Analysis, *, asked: bool) -> Iterator[Case]:
    """Yield the goals under the recommended candidate.

    Where none is recommended they are missed if each candidate misses one: then it is those of all that fail a build.
    """
    from harness.report.junit import Case
    from harness.wording.demands import goal_text

    chosen = [one for one in analysis.candidates if analysis.choice.candidate in (None, one.name)]
    every = all(any(goal.state == "missed" for p in one.pipelines for goal in p.goals) for one in chosen)
    for one in chosen:
        for goal, jobs in ((goal, pipeline.values) for pipeline in one.pipelines for goal in pipeline.goals):
            text = goal_text(one.name, goal, jobs)
            yield Case(
                "goals",
                f"{one.name}: {goal.pipeline}.{goal.goal} at most {goal.wanted_s:g} s",
                asked=asked and every,
                failure=text if goal.state == "missed" else "",
                skipped=text if goal.state == "not judged" else "",
            )


def open_goals(analysis: Analysis, wanted: FailOn) -> str:
    """Say how many goals were not judged, where goals can fail a build and one of the recommended candidate was not."""
    from harness.wording.demands import goals_text

    if "goals" not in wanted.kinds:
        return ""
    chosen = [one for one in analysis.candidates if analysis.choice.candidate in (None, one.name)]
    return goals_text([(goal, p.values) for one in chosen for p in one.pipelines for goal in p.goals])


def comparison_cases(found: Sequence[Between], wanted: FailOnRegression) -> list[Case]:
    """Return every candidate on every path of every comparison, and those that are missing now.

    A regression that is large enough is a failure. What is not decided is one where it can fail a build, else skipped.
    """
    from harness.report.junit import Case
    from harness.wording.comparisons import UNKNOWN, undecided_text

    cases = []
    for one in found:
        for row in one.rows:
            worse = row.verdict == "now fails" or (
                row.verdict == "slower" and row.comparison is not None and row.comparison.ratio - 1 >= wanted.size
            )
            unknown = row.verdict in ("not resolvable", *UNKNOWN)
            said = f"not decided: {row.candidate} ({row.what}) {undecided_text(row)}" if unknown else ""
            decides = wanted.unresolved and row.figure == "time"  # a first token leaves open nothing but itself
            cases.append(
                Case(
                    f"{one.now} against {one.before}",
                    f"{row.candidate} ({row.what})",
                    asked=decides if unknown else wanted.asked,
                    failure=_regression(row, wanted.size) if worse else said if decides else "",
                    skipped=said,
                )
            )
        for name in one.missing:
            said = f"not decided: {name} is missing in {one.now}, and {one.before} has it"
            cases.append(
                Case(
                    f"{one.now} against {one.before}",
                    name,
                    asked=wanted.unresolved,
                    failure=said if wanted.unresolved else "",
                    skipped=said,
                )
            )
    return cases


def _regression(row: BetweenRow, size: float) -> str:
    from harness.units import seconds

    what = f"regression: {row.candidate} ({row.what})"
    if row.verdict == "now fails" or row.comparison is None or row.before_s is None or row.now_s is None:
        return f"{what} now fails: {row.failed_now} jobs failed, {row.failed_before} before"
    times = f"{seconds(row.now_s)} instead of {seconds(row.before_s)}"
    allowed = f"; less than {100 * size:g} % is allowed" if size else ""
    return f"{what} takes {100 * (row.comparison.ratio - 1):.1f} % longer, {times}{allowed}"


def keep_junit(path: Path, name: str, cases: Sequence[Case]) -> None:
    """Write cases as JUnit XML; an older file is replaced. Raises UserError where it cannot be written."""
    from harness.report.junit import junit_text

    if path.is_dir():
        raise UserError(f"--junit {path}: expected a file to write, found a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(junit_text(name, cases), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--junit {path}: cannot be written: {error.strerror or error}") from None


def keep_error(path: Path, command: str, error: str) -> None:
    """Write why a command ended without an answer as JUnit XML; where that is not possible, nothing is written."""
    from harness.report.junit import Case

    try:
        keep_junit(path, command, [Case("slotwise", f"slotwise {command}", asked=True, error=error)])
    except UserError:  # the command's own error is the one to show
        return
