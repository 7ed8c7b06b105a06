"""What every command shows that has measured a workload, and its exit code."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from harness.app.gate import FailOn
from harness.errors import SlotwiseError

if TYPE_CHECKING:
    from harness.analysis.model import Analysis
    from harness.app.measuring import Measured
    from harness.report.junit import Case

__all__ = ["INTERRUPTED", "HowShown", "conclude", "exit_code", "fails", "says_why_to_junit", "show"]

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130  # the exit code


class HowShown(NamedTuple):
    """How an answer is shown, and what is written besides."""

    as_json: bool = False
    full: bool = False
    quiet: bool = False  # nothing but the answer
    junit: Path | None = None
    bare: bool = False  # standard output has something else than an answer: settings, a path


def says_why_to_junit(command: Callable[P, R]) -> Callable[P, R]:
    """Have a command with `--junit` write its own error there too: a CI server shows it, and no older file."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except SlotwiseError as error:
            junit = kwargs.get("junit")
            if isinstance(junit, Path):
                from harness.app.gate import keep_error
                from harness.units import safe_text

                # A server's words may be in it: no secrets.
                keep_error(junit, command.__name__, safe_text(str(error)))
            raise

    return wrapped


def conclude(measured: Measured, shown: HowShown, wanted: FailOn = FailOn()) -> int:  # noqa: B008 - a tuple
    """Print the answer, write the report, and return the exit code; what ended the measurement early is raised."""
    if measured.analysis is None:  # there is nothing to show
        if measured.failure is not None:
            raise measured.failure
        return INTERRUPTED if measured.interrupted else 0
    again = f"slotwise report {shlex.quote(str(measured.folder))}"
    show(measured.analysis, again, shown)  # first: what comes now can fail, or be interrupted again
    folder = measured.folder
    try:
        from harness.app.report import keep_report

        keep_report(folder, measured.analysis, measured.run)
        if not shown.quiet:
            print(f"\nEvery call is in {folder}; open in a browser: {folder / 'report.html'}", file=sys.stderr)
        if not shown.quiet and measured.run.partial and measured.run.file:
            print(f"slotwise run --resume {shlex.quote(str(folder))} measures what is missing", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\nEvery call: {folder}; slotwise report {folder} writes the rest", file=sys.stderr)
        return INTERRUPTED
    except SlotwiseError:
        if measured.failure is None:
            raise
    if measured.failure is not None:
        raise measured.failure  # a full disk, say, of which the report could only say the same
    if measured.interrupted:
        return INTERRUPTED
    return exit_code(measured.analysis, shown, wanted)


def exit_code(analysis: Analysis, shown: HowShown, wanted: FailOn) -> int:
    """Write JUnit where it was asked for, say why a build fails, and return the exit code."""
    if shown.junit is None and wanted == FailOn():
        return 0
    from harness.app.gate import keep_junit, open_goals, run_cases
    from harness.report.text import plain

    cases = run_cases(analysis, wanted)
    judged = [case.said for case in cases if case.said]
    if judged:
        apart = shown.as_json or shown.bare  # what a program reads stays alone on standard output
        lines = map(plain, judged if apart else ("", *judged))
        print("\n".join(lines), file=sys.stderr if apart else sys.stdout)
    if left_open := open_goals(analysis, wanted):
        print(plain(f"slotwise: {left_open}"), file=sys.stderr)
    if shown.junit is not None:
        keep_junit(shown.junit, analysis.run.name, cases)
    return fails(cases)


def fails(cases: list[Case]) -> int:
    """Say on standard error why a build fails, a line for each reason, and return the exit code."""
    from harness.report.junit import reasons
    from harness.report.text import plain

    found = reasons(cases)
    for reason in found:
        print(plain(f"slotwise: {reason}"), file=sys.stderr)
    return int(bool(found))


def show(analysis: Analysis, again: str, shown: HowShown) -> None:
    """Print an analysis to stdout: the answer, all of it where `full`; `again` is the command that does so."""
    if shown.as_json:
        from harness.report.summary import summary_text

        print(summary_text(analysis), end="")
        return
    from rich.console import Console

    from harness.report.terminal import print_report

    print_report(analysis, Console(highlight=False), again, full=shown.full)
