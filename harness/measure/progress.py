"""What a person is told while something long goes on. Those who show it are in harness.report.progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.core.engine import Engine
from harness.core.records import CallRecord, DelayRecord, JobRecord

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """Told by the code that does the work; shows it or not. What a listener leaves out is not shown.

    `stands` and `record` are called while servers are timed, by the task that drives the trial: they may note, not
    wait.
    """

    def say(self, text: str) -> None:
        """Tell of a step: one plain line."""
        return

    def part(self, done: int, total: int) -> None:
        """Tell how far the step is that was told of last, in equal parts."""
        return

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Tell how far the fetching of a model is."""
        return

    def expect(self, expected_s: Mapping[str, float], at_most_s: float | None = None) -> None:
        """Tell how long a trial of each name takes by a prediction, and when the measurement ends at the latest.

        With `at_most_s` it ends as soon as enough is known: how many trials there will be is then not known.
        """
        return

    def trials(self, names: Sequence[str], noun: str = "trial", server: str = "") -> None:
        """Tell which trials are to come; none: they are over.

        Args:
            names: in their order, each what it is a trial of: those of one name take about as long.
            noun: what to call one of them.
            server: what they are all of, where there is more to come after them.
        """
        return

    def serving(self) -> None:
        """Tell that calls of others are let through from now on, by the engine of `stands`."""
        return

    def trial(self, number: int, title: str) -> None:
        """Tell that trial `number` (from 1) begins."""
        return

    def stands(self, engine: Engine) -> None:
        """Tell how the trial under way stands: after every batch of events."""
        return

    def record(self, record: CallRecord | JobRecord | DelayRecord) -> None:
        """Tell of what has ended, as it is written down."""
        return


class _Silent(Progress):
    """Shows nothing."""


SILENT: Progress = _Silent()
