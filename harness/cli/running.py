"""What `slotwise run` does, apart from its options: load, measure, analyse, report, and what to exit with."""

from __future__ import annotations

import asyncio
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.cli.options import Options
from harness.errors import SlotwiseError
from harness.measure.machine import machine_facts
from harness.measure.progress import Progress
from harness.measure.session import measure
from harness.report.files import write_report
from harness.report.progress import progress_for
from harness.report.summary import summary_text
from harness.report.terminal import print_report
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Run
from harness.servers.machine import busy_cores
from harness.units import safe_url
from harness.workload.load import Loaded

__all__ = ["Done", "measure_into_folder", "run_workload"]

INTERRUPTED = 130
BUSY_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy


class Done(NamedTuple):
    """How a measurement ended: 0, or the exit code and, where it was not the user's Ctrl-C, the error."""

    folder: Path
    code: int
    failure: SlotwiseError | None


def run_workload(loaded: Loaded, options: Options) -> int:
    """Measure, report, and return the exit code."""
    with progress_for(sys.stderr) as progress:
        done = measure_into_folder(loaded, options, progress)
        analysis = analyse(read_run(done.folder))
        progress.say("writing the report")
        write_report(done.folder, analysis)
    if analysis.candidates or done.failure is None:
        show(analysis, as_json=options.as_json)
    print(f"\nReport, charts and every call: {done.folder}", file=sys.stderr)
    if done.failure is not None:
        raise done.failure
    return done.code or int(_named(options.fail_on, analysis))


def measure_into_folder(loaded: Loaded, options: Options, progress: Progress) -> Done:
    """Measure a workload into a new run folder. What was measured is kept, however it ended."""
    header = _header(loaded, options)
    with RunFolder.create(options.out, loaded.workload.name, datetime.now()) as folder:
        folder.write_header(header)
        progress.say(f"run folder: {folder.path}")
        try:
            header = asyncio.run(measure(loaded, folder, header, progress))
            folder.write_header(header)
        except KeyboardInterrupt:
            progress.say("interrupted: servers stopped, what was measured is kept")
            return Done(folder.path, INTERRUPTED, None)
        except SlotwiseError as error:
            return Done(folder.path, error.exit_code, error)
    return Done(folder.path, 0, None)


def show(analysis: Analysis, *, as_json: bool) -> None:
    """Print the answer to stdout."""
    if as_json:
        print(summary_text(analysis), end="")
    else:
        print_report(analysis, Console(highlight=False))


def _named(fail_on: tuple[str, ...], analysis: Analysis) -> bool:
    """Whether something happened that `--fail-on` names."""
    failed = any(p.jobs_failed for candidate in analysis.candidates for p in candidate.pipelines)
    missed = any(
        goal.state == "missed"
        for candidate in analysis.candidates
        if candidate.name == analysis.choice.candidate
        for pipeline in candidate.pipelines
        for goal in pipeline.goals
    )
    return ("failures" in fail_on and failed) or ("goals" in fail_on and missed)


def _notes() -> tuple[str, ...]:
    busy = busy_cores()
    if busy is None or busy < BUSY_CORES:
        return ()
    return (
        f"Other programs kept {busy:.1f} cores busy when this run began. An engine that spreads over all cores waits "
        "for them in every step, so all times are too long: measure again on an idle machine.",
    )


def _header(loaded: Loaded, options: Options) -> Run:
    changed: dict[str, Any] = {
        name: value
        for name, value in options._asdict().items()
        if value and name not in ("out", "as_json", "fail_on") and (name, value) != ("scale", 1)
    }
    return Run(
        name=loaded.workload.name,
        origin="measured",
        started_at=datetime.now().astimezone().isoformat(timespec="seconds"),
        workload=loaded.workload,
        candidates=tuple(plan.name for plan in loaded.plans),
        machine=machine_facts(),
        servers=(),
        notes=_notes(),
        partial=True,
        trials=(),
        calls=(),
        jobs=(),
        delays=(),
        plans=loaded.plans,
        command=safe_url(shlex.join(["slotwise", *sys.argv[1:]])),
        options=changed,
        output_tokens={
            f"{pipeline}/{node}": agent.output_tokens
            for (pipeline, node), agent in loaded.agents.items()
            if agent.exact_output
        },
    )
