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
from harness.errors import SlotwiseError, UserError, did_you_mean
from harness.measure.machine import machine_facts
from harness.measure.session import measure
from harness.report.files import write_report
from harness.report.progress import progress_for
from harness.report.summary import summary_text
from harness.report.terminal import print_report
from harness.runs.folder import RunFolder, read_run
from harness.runs.model import Run
from harness.servers.machine import busy_cores
from harness.units import safe_url
from harness.workload.load import Loaded, Overrides, load_workload

__all__ = ["Options", "run_workload"]

FAIL_ON = ("goals", "failures")
INTERRUPTED = 130
BUSY_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy


class Options(NamedTuple):
    """The options of `slotwise run`."""

    out: Path
    repeats: int | None
    warmup: int | None
    scale: int
    only: tuple[str, ...]
    engine: str | None
    model: str | None
    servers: tuple[str, ...]
    seed: int | None
    fail_on: tuple[str, ...]
    as_json: bool


def run_workload(file: Path, options: Options) -> int:
    """Measure, report, and return the exit code."""
    for name in options.fail_on:
        if name not in FAIL_ON:
            allowed = ", ".join(FAIL_ON)
            raise UserError(f'--fail-on: expected one of {allowed}, found "{name}"{did_you_mean(name, FAIL_ON)}')
    overrides = Overrides(
        engine=options.engine,
        model=options.model,
        server_urls=_server_urls(options.servers),
        repeats=options.repeats,
        warmup=options.warmup,
        scale=options.scale,
        seed=options.seed,
        only=options.only,
    )
    loaded = load_workload(file, overrides)
    with progress_for(sys.stderr) as progress:
        header = _header(loaded, options)
        with RunFolder.create(options.out, loaded.workload.name, datetime.now()) as folder:
            folder.write_header(header)
            progress.say(f"run folder: {folder.path}")
            code, failure = 0, None
            try:
                header = asyncio.run(measure(loaded, folder, header, progress))
                folder.write_header(header)
            except KeyboardInterrupt:
                code = INTERRUPTED
                progress.say("interrupted: servers stopped, what was measured is kept")
            except SlotwiseError as error:
                code, failure = error.exit_code, error
        analysis = analyse(read_run(folder.path))
        progress.say("writing the report")
        write_report(folder.path, analysis)
    if analysis.candidates or failure is None:
        show(analysis, as_json=options.as_json)
    print(f"\nReport, charts and every call: {folder.path}", file=sys.stderr)
    if failure is not None:
        raise failure
    return code or int(_named(options.fail_on, analysis))


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


def _server_urls(pairs: tuple[str, ...]) -> dict[str, str]:
    urls = {}
    for pair in pairs:
        name, separator, url = pair.partition("=")
        if not (name and separator and url):
            raise UserError(f'--server: expected NAME=URL, such as four-slot=http://127.0.0.1:11434, found "{pair}"')
        urls[name] = url
    return urls


def _header(loaded: Loaded, options: Options) -> Run:
    changed: dict[str, Any] = {
        name: value
        for name, value in options._asdict().items()
        if value and name not in ("out", "as_json", "fail_on") and (name, value) != ("scale", 1)
    }
    return Run(
        name=loaded.workload.name,
        origin="emulated" if any(spec.kind == "simulated" for spec in loaded.servers.values()) else "measured",
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
