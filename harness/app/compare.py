"""Say what became faster or slower from one run to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.between import Between, compare_runs
from harness.analysis.summaries import Summary, read_summary
from harness.app.options import REPORTS
from harness.errors import UserError
from harness.report.summary import LARGEST_SUMMARY_BYTES, summary
from harness.runs.folder import read_run
from harness.units import safe_url

__all__ = ["Compared", "compare", "keep_page"]


class Compared(NamedTuple):
    """Runs, the first of which the others are held to."""

    runs: tuple[tuple[str, Summary], ...]  # with a name for each
    parts: tuple[Between | UserError, ...]  # of each run but the first; an error: it cannot be compared

    @property
    def found(self) -> list[Between]:
        """The comparisons; UserError where a run cannot be compared."""
        for part in self.parts:
            if isinstance(part, UserError):
                raise part
        return [part for part in self.parts if isinstance(part, Between)]


def compare(runs: Sequence[Path], baseline: Path | None = None) -> Compared:
    """Compare runs of the same work, per candidate and path, with intervals. Nothing that they name is executed.

    Args:
        runs: folders, names of runs in reports/, or files summary.json. Without a baseline the first is what the others
            are held to.
        baseline: what all of them are held to.

    Raises:
        UserError: there are fewer than two, or one cannot be read.
    """
    paths = [*([baseline] if baseline else ()), *runs]
    if len(paths) < 2:
        raise UserError("name two runs, or one run and a --baseline to compare it with")
    names = _short([str(path) for path in paths])
    before, *others = [_summary(path) for path in paths]
    parts = [_part(before, now, (names[0], name)) for now, name in zip(others, names[1:], strict=True)]
    return Compared(tuple(zip(names, (before, *others), strict=True)), tuple(parts))


def keep_page(compared: Compared, path: Path, command: str = "") -> None:
    """Write a comparison as one HTML page, also of runs that cannot be compared; an older one is replaced.

    Raises:
        UserError: it cannot be written.
    """
    from harness.report.between_html import between_html  # altair: a second that the terminal need not wait for

    text = between_html(compared.runs, compared.parts, safe_url(command))
    if path.is_dir():
        raise UserError(f"--html {path}: expected a file to write, found a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--html {path}: cannot be written: {error.strerror or error}") from None


def _part(before: Summary, now: Summary, names: tuple[str, str]) -> Between | UserError:
    try:
        return compare_runs(before, now, names)
    except UserError as error:
        return error


def _summary(path: Path) -> Summary:
    """Summarise a run folder again, or read a summary.json."""
    if not path.exists() and (REPORTS / path).is_dir():
        path = REPORTS / path
    if path.is_dir() and not (path / "environment.json").exists() and (path / "summary.json").is_file():
        path = path / "summary.json"  # all that is kept of it
    if path.is_dir():
        return read_summary(summary(analyse(read_run(path), path)), str(path))
    if not path.exists():
        raise UserError(f"{path}: no such run; expected a run folder, a name in {REPORTS}/, or a summary.json")
    try:
        if path.stat().st_size > LARGEST_SUMMARY_BYTES:
            raise UserError(f"{path}: larger than any summary.json")
        return read_summary(json.loads(path.read_bytes()), str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a summary.json that Slotwise wrote: {error}") from None


def _short(names: list[str]) -> list[str]:
    """Return the last parts of paths where these tell them apart."""
    last = [Path(name).name for name in names]
    return last if len(set(last)) == len(last) and all(last) else names
