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

__all__ = [
    "FailOn",
    "FailOnRegression",
    "comparison_cases",
    "keep_junit",
    "read_fail_on",
    "read_regression",
    "run_cases",
]

_REGRESSION = re.compile(r"regression(?:=(\d{1,4}(?:\.\d{1,6})?)\s*%)?")


class FailOn(NamedTuple):
    """What makes a build fail that runs, predicts or reports a workload."""

    kinds: tuple[Literal["goals", "failures"], ...] = ()
    demands: tuple[Demand, ...] = ()

    def check(self, candidates: Sequence[str], pipelines: Sequence[str]) -> None:
        """Raise UserError where a demand names something that is not there: before anything is measured."""
        from harness.analysis.demands import check_demand

        for demand in self.demands:
            check_demand(demand, candidates, pipelines)


class FailOnRegression(NamedTuple):
    """What makes a build fail that compares runs."""

    asked: bool = False
    size: float = 0.0  # a regression of less than this does not count: 0.1 is 10 %


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
    """Read what `slotwise compare --fail-on` has: "regression", or "regression=10%"; UserError where it is neither."""
    sizes = []
    for text in texts:
        match = _REGRESSION.fullmatch(text.strip())
        if match is None:
            raise UserError(
                f'--fail-on: expected regression or a size such as regression=10%, found "{text}"'
                f"{did_you_mean(text, ('regression',))}"
            )
        sizes.append(float(match[1] or 0) / 100)
    return FailOnRegression(bool(sizes), min(sizes, default=0.0))


def run_cases(analysis: Analysis, wanted: FailOn) -> list[Case]:
    """Hold a run against everything that was asked for, and against the goals of its workload.

    Raises:
        UserError: no trial has finished, so nothing was measured; or a demand names what is not there.
    """
    from harness.analysis.demands import judge
    from harness.report.junit import Case
    from harness.wording.demands import demand_text

    asks = bool(wanted.kinds or wanted.demands)
    if asks and not any(candidate.repeats for candidate in analysis.candidates):
        raise UserError("--fail-on: no trial has finished, so nothing was measured")
    cases = [
        Case("demands", demand.text, asked=True, failure="" if found.holds else demand_text(found))
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
        for goal in (goal for pipeline in one.pipelines for goal in pipeline.goals):
            text = goal_text(one.name, goal)
            yield Case(
                "goals",
                f"{one.name}: {goal.pipeline}.{goal.goal} at most {goal.wanted_s:g} s",
                asked=asked and every,
                failure=text if goal.state == "missed" else "",
                skipped=text if goal.state == "not judged" else "",
            )


def comparison_cases(found: Sequence[Between], wanted: FailOnRegression) -> list[Case]:
    """Return every candidate on every path of every comparison; a regression that is large enough is a failure."""
    from harness.report.junit import Case

    cases = []
    for one in found:
        for row in one.rows:
            worse = row.verdict == "now fails" or (
                row.verdict == "slower" and row.comparison is not None and row.comparison.ratio - 1 >= wanted.size
            )
            unknown = row.verdict in ("not measured", "no data", "one repeat")
            cases.append(
                Case(
                    f"{one.now} against {one.before}",
                    f"{row.candidate} ({row.path})",
                    asked=wanted.asked,
                    failure=_regression(row, wanted.size) if worse else "",
                    skipped=row.verdict if unknown else "",
                )
            )
    return cases


def _regression(row: BetweenRow, size: float) -> str:
    from harness.units import seconds

    what = f"regression: {row.candidate} ({row.path})"
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
