"""What `slotwise compare` does, apart from its options."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.analyse import analyse
from harness.analysis.between import Between, Summary, compare_runs, read_summary
from harness.errors import UserError, did_you_mean
from harness.report.between import between_markdown, between_plain, between_report
from harness.report.summary import summary
from harness.runs.folder import read_run
from harness.units import safe_url

__all__ = ["compare_folders"]

REPORTS = Path("reports")
_LARGEST_BYTES = 256 << 20
_FAIL_ON = ("regression",)


def compare_folders(
    runs: Sequence[Path],
    baseline: Path | None,
    fail_on: tuple[str, ...],
    *,
    markdown: bool,
    as_json: bool,
    html: Path | None = None,
) -> int:
    """Compare, print, and return the exit code: 1 where `--fail-on regression` was asked for and there is one.

    Raises UserError where runs cannot be compared; a page that was asked for is written first, and says why.
    """
    for name in fail_on:
        if name not in _FAIL_ON:
            raise UserError(f'--fail-on: expected regression, found "{name}"{did_you_mean(name, _FAIL_ON)}')
    paths = [*([baseline] if baseline else ()), *runs]
    if len(paths) < 2:
        raise UserError("name two runs, or one and the --baseline that it is held to")
    names = _short([str(path) for path in paths])
    before, *others = [_summary(path) for path in paths]
    parts = [_part(before, now, (names[0], name)) for now, name in zip(others, names[1:], strict=True)]
    if html is not None:
        _write_page(html, list(zip(names, (before, *others), strict=True)), parts)
    found = [part for part in parts if isinstance(part, Between)]
    for part in parts:
        if isinstance(part, UserError):
            raise part
    if as_json:
        print(json.dumps({"compare_version": 1, "comparisons": [between_plain(one) for one in found]}, indent=2))
    elif markdown:
        print(between_markdown(found), end="")
    else:
        from rich.console import Console

        Console(highlight=False).print(between_report(found))
    worse = any(one.verdict in ("regression", "mixed") for one in found)
    return int("regression" in fail_on and worse)


def _part(before: Summary, now: Summary, names: tuple[str, str]) -> Between | UserError:
    try:
        return compare_runs(before, now, names)
    except UserError as error:
        return error


def _write_page(path: Path, runs: list[tuple[str, Summary]], parts: Sequence[Between | UserError]) -> None:
    from harness.report.between_html import between_html  # altair: a second that the terminal need not wait for

    text = between_html(runs, parts, safe_url(shlex.join(["slotwise", *sys.argv[1:]])))
    if path.is_dir():
        raise UserError(f"--html {path}: expected a file to write, found a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--html {path}: cannot be written: {error.strerror or error}") from None
    print(f"Page: {path}", file=sys.stderr)


def _summary(path: Path) -> Summary:
    """Summarise a run folder anew, or read a summary.json."""
    if not path.exists() and (REPORTS / path).is_dir():
        path = REPORTS / path
    if path.is_dir():
        return read_summary(summary(analyse(read_run(path), path)), str(path))
    if not path.exists():
        raise UserError(f"{path}: no such run; expected a run folder, a name in {REPORTS}/, or a summary.json")
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UserError(f"{path}: larger than any summary.json")
        return read_summary(json.loads(path.read_bytes()), str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a summary.json that Slotwise wrote: {error}") from None


def _short(names: list[str]) -> list[str]:
    """Return the last parts of paths where these tell them apart."""
    last = [Path(name).name for name in names]
    return last if len(set(last)) == len(last) and all(last) else names
