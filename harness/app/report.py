"""Report a run: analyse what its folder holds, and keep the report there.

Rendering charts takes a second to import, so those who only compute do not import this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.errors import UserError
from harness.profiles.load import dump_profile
from harness.profiles.schema import Profile
from harness.report.files import write_report
from harness.report.summary import LARGEST_SUMMARY_BYTES, read_analysis
from harness.runs.folder import RunFolder, read_run
from harness.runs.index import note_run
from harness.runs.model import Note, Run
from harness.runs.writer import WRITER_NAME, Writer, writer_of
from harness.units import safe_text

if TYPE_CHECKING:
    from harness.app.simulate import Simulated

__all__ = ["Reported", "keep_prediction", "keep_report", "kept_summary", "report"]


class Reported(NamedTuple):
    """A run that was read, and its analysis."""

    run: Run
    analysis: Analysis


def report(folder: Path) -> Reported:
    """Read a run, complete or not, and analyse it. Nothing that the folder names is executed.

    Raises:
        UserError: the folder holds no run.
    """
    run = read_run(folder)
    if (writer := writer_of(folder)) is not None:
        run = run._replace(notes=(Note("run", _goes_on(writer)), *run.notes))
    return Reported(run, analyse(run, folder))


def kept_summary(folder: Path) -> Analysis | None:
    """Return what the summary of a folder says that keeps nothing else of a run; None where it keeps a run, or nothing.

    Raises:
        UserError: the summary is not one.
    """
    file = folder / "summary.json"
    if (folder / "environment.json").exists() or not file.is_file():
        return None
    if file.stat().st_size > LARGEST_SUMMARY_BYTES:
        raise UserError(f"{file}: larger than any summary.json")
    return read_analysis(file.read_bytes(), str(file))


def keep_report(folder: Path, analysis: Analysis, run: Run) -> None:
    """Write the report into the run's folder, and the run into the index of the folder that this lies in.

    Raises:
        UserError: a file cannot be written.
    """
    write_report(folder, analysis, run)
    note_run(folder)


def keep_prediction(simulated: Simulated, out: Path) -> Path:
    """Write a prediction as a run folder of its own below `out`, with its report, and return where it is.

    Raises:
        UserError: the folder cannot be made or written.
    """
    run, analysis, profiles = simulated
    run = run._replace(copies={**_copies(profiles.all), **run.copies})
    with RunFolder.create(out, run.name, datetime.now()) as folder:
        folder.write_header(run._replace(partial=True))  # should this be all that is ever written
        folder.add_records(run)
        folder.write_header(run)
    keep_report(folder.path, analysis, run)
    return folder.path


def _goes_on(writer: Writer) -> str:
    if writer.sure:
        return "This run is still being measured: what follows is what it has so far."
    return (
        f"{safe_text(writer.host)} began to write this run and has not said that it ended: it may still be measured "
        f"there. If it is not, delete {WRITER_NAME} in its folder; then it can be resumed."
    )


def _copies(profiles: Iterable[Profile]) -> dict[str, bytes]:
    """Return the profiles as `--profile NAME` finds them beside the run's own workload."""
    named = {profile.name: profile for profile in profiles if re.fullmatch(r"\w[\w.-]*", profile.name)}
    return {f"profiles/{name}.yaml": dump_profile(profile).encode() for name, profile in named.items()}
