"""Progress of fetching and starting: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["fetching"]


@contextmanager
def fetching() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Yield `say(line)` and `progress(bytes_done, bytes_total)`; both may be called from another thread."""
    if not sys.stderr.isatty():
        told = [-1]

        def lines(done: int, total: int) -> None:
            quarter = 4 * done // total
            if quarter > told[0]:
                told[0] = quarter
                print(f"{25 * quarter} % of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)

        yield lambda line: print(line, file=sys.stderr, flush=True), lines
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, transient=True)
    tasks: list[int] = []

    def update(done: int, total: int) -> None:
        if not tasks:
            bar.start()
            tasks.append(bar.add_task("", total=total))
        bar.update(tasks[0], completed=done)  # type: ignore[arg-type]

    try:
        yield lambda line: console.print(line, markup=False, highlight=False), update
    finally:
        bar.stop()
