"""Progress for people: a live bar on a terminal, plain lines elsewhere. It goes to stderr, answers go to stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from harness.core.engine import Engine
from harness.units import size

__all__ = ["BarProgress", "LineProgress", "progress_for"]


class LineProgress:
    """One plain line per step and per trial."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = 0
        self._quarter = 0

    def say(self, text: str) -> None:
        """Print the step."""
        print(text, file=self._stream, flush=True)

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Print a line every quarter."""
        quarter = 4 * done_bytes // max(total_bytes, 1)
        if quarter != self._quarter:
            self._quarter = quarter
            self.say(f"fetched {size(done_bytes)} of {size(total_bytes)}")

    def trials(self, total: int) -> None:
        """Keep the number for the lines to come."""
        self._total = total

    def trial(self, number: int, candidate: str, label: str) -> None:
        """Print one line per trial."""
        self.say(f"trial {number}/{self._total}: {candidate}, {label}")

    def calls(self, engine: Engine, ended: int) -> None:
        """Nothing: a line per call would drown the rest."""


class BarProgress:
    """Steps as lines that stay; below them one bar, for what is fetched or for the trials and their calls.

    It draws only while there is a bar, so that a command may print between.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[calls]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            transient=True,
        )
        self._total = 0
        self._task: TaskID | None = None
        self._download: TaskID | None = None

    def stop(self) -> None:
        """Leave the lines, take the bar away."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print the step above the bar."""
        self._progress.console.print(Text(f"  {text}", style="dim"))

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Show a bar of its own until all has come."""
        if self._download is None:
            self._progress.start()
            self._download = self._progress.add_task("fetching the model", total=total_bytes, calls="")
        calls = f"{size(done_bytes)} of {size(total_bytes)}"
        self._progress.update(self._download, completed=done_bytes, calls=calls)
        if done_bytes >= total_bytes:
            self._progress.remove_task(self._download)
            self._progress.stop()
            self._download = None

    def trials(self, total: int) -> None:
        """Show the bar."""
        self._total = total
        self._progress.start()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task("measuring", total=total, calls="")

    def trial(self, number: int, candidate: str, label: str) -> None:
        """Move the bar."""
        if self._task is not None:
            title = f"trial {number}/{self._total}: {candidate}, {label}"
            self._progress.update(self._task, completed=number - 1, description=title, calls="")

    def calls(self, engine: Engine, ended: int) -> None:
        """Show the calls of the trial under way."""
        if self._task is not None:
            text = f"{engine.in_flight} in flight, {engine.queued} queued, {ended} done"
            self._progress.update(self._task, calls=text)


@contextmanager
def progress_for(stream: TextIO) -> Iterator[LineProgress | BarProgress]:
    """Choose by what the stream is: a bar for a terminal, lines for anything else."""
    console = Console(file=stream)
    if not console.is_terminal:
        yield LineProgress(stream)
        return
    bar = BarProgress(console)
    try:
        yield bar
    finally:
        bar.stop()
