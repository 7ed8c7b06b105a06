"""What a person is told while something long goes on. The terminal's version is in harness.report.progress."""

from __future__ import annotations

from typing import Protocol

from harness.core.engine import Engine

__all__ = ["Progress"]


class Progress(Protocol):
    """Told by whoever does the work; shows it or not."""

    def say(self, text: str) -> None:
        """Tell of a step: one plain line."""

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Tell how far the fetching of a model is."""

    def trials(self, total: int) -> None:
        """Tell how many trials there will be, warm-up included."""

    def trial(self, number: int, candidate: str, label: str) -> None:
        """Tell that trial `number` (from 1) begins."""

    def calls(self, engine: Engine, ended: int) -> None:
        """Tell how the trial under way stands."""
