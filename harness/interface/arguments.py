"""What several functions of the interface take: workloads, names, addresses, and whom to tell of progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.interface.workloads import LoadedWorkload, OwnPolicies, loaded_of
from harness.measure.progress import SILENT, Progress
from harness.workload.overrides import EVERY

__all__ = ["Names", "Source", "Told", "changed", "names", "progress_of", "urls"]

Source = LoadedWorkload | str | Path | Mapping[str, Any]
Told = bool | Callable[[str], None] | Progress
Names = str | Sequence[str]


def changed(workload: Source, values: Mapping[str, Any] | None, policies: OwnPolicies | None) -> LoadedWorkload:
    """Return a workload with other values in it, and other policies of one's own, where these are given."""
    loaded = loaded_of(workload, policies)
    return loaded.changed(values) if values else loaded


def names(given: Names) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)


def urls(server: str | Mapping[str, str] | None, loaded: LoadedWorkload) -> Mapping[str, str]:
    """Return addresses by server; one address alone stands for every server of a workload that has several."""
    if not isinstance(server, str):
        return server or {}
    return {loaded.servers[0] if len(loaded.servers) == 1 else EVERY: server}


class _Lines(Progress):
    """Tells a function of each step."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def say(self, text: str) -> None:
        self._tell(text)

    def trial(self, number: int, title: str) -> None:
        self._tell(f"trial {number}: {title}")


@contextmanager
def progress_of(told: Told) -> Iterator[Progress]:
    """Yield who is told: nobody, stderr, a function of a line, or a listener of the caller's own."""
    if told is True:
        from harness.report.progress import progress_for

        with progress_for(sys.stderr) as shown:
            yield shown
    elif told is False:
        yield SILENT
    else:
        yield _Lines(told) if callable(told) else told
