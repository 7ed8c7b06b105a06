"""What every command shows that has measured a workload, and its exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.errors import SlotwiseError

if TYPE_CHECKING:
    from harness.analysis.model import Analysis
    from harness.app.measuring import Measured

__all__ = ["INTERRUPTED", "conclude", "show"]

INTERRUPTED = 130  # the exit code


def conclude(measured: Measured, fail_on: Sequence[str] = (), *, as_json: bool, full: bool = False) -> int:
    """Print the answer, write the report, and return the exit code; what ended the measurement early is raised."""
    if measured.analysis is None:  # there is nothing to show
        if measured.failure is not None:
            raise measured.failure
        return INTERRUPTED if measured.interrupted else 0
    again = f"slotwise report {shlex.quote(str(measured.folder))}"
    show(
        measured.analysis, again, as_json=as_json, full=full
    )  # first: what comes now can fail, or be interrupted again
    folder = measured.folder
    try:
        from harness.app.report import keep_report

        keep_report(folder, measured.analysis, measured.run)
        print(f"\nReport, charts and every call: {folder}", file=sys.stderr)
        if measured.run.partial and measured.run.file:
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
    from harness.app.run import missed

    return int(missed(measured.analysis, fail_on))


def show(analysis: Analysis, again: str = "", *, as_json: bool, full: bool = False) -> None:
    """Print an analysis to stdout: the answer, all of it where `full`; `again` is the command that does so."""
    if as_json:
        from harness.report.summary import summary_text

        print(summary_text(analysis), end="")
        return
    from rich.console import Console

    from harness.report.terminal import print_report

    print_report(analysis, Console(highlight=False), again, full=full)
