"""What takes real servers: a measurement, and a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.app.calibrate import Calibrated
from harness.app.options import AT_MOST_S, REPORTS, CalibrateOptions, Changes, RunOptions
from harness.errors import UserError
from harness.interface.arguments import Names, Source, Told, changed, names, progress_of, urls
from harness.interface.results import RunResult
from harness.interface.workloads import OwnPolicies

__all__ = ["calibrate", "measure"]


def measure(
    workload: Source,
    *,
    server: str | Mapping[str, str] | None = None,
    model: str | None = None,
    engine: str | None = None,
    repeats: int | None = None,
    warmup: int | None = None,
    until: Literal["resolved"] | None = None,
    at_most_s: float = AT_MOST_S,
    seed: int | None = None,
    scale: float = 1,
    only: Names = (),
    set: Mapping[str, Any] | None = None,
    policies: OwnPolicies | None = None,
    out: str | Path = REPORTS,
    progress: Told = False,
) -> RunResult:
    """Measure every candidate of a workload on real servers. Those that are started here are stopped at the end.

    It takes as long as the calls do: repeats times the sum of all candidates' times. The run and its report are kept in
    a folder of its own below `out`. It also works where an event loop is running (Jupyter). Ctrl-C, or the kernel's
    interrupt, ends it early: the result is `interrupted` and holds what was measured.

    Args:
        workload: what `load` returned or takes.
        server: the address of a running Ollama, by the name of the server that it stands in for; the address alone
            where the workload has one server. Left out: the workload's servers are started.
        model: of every server; an agent that names a model keeps it.
        engine: servers that are started get this one, such as `"ollama"`.
        repeats, warmup: of each candidate; left out: as in the workload.
        until: `"resolved"`: as many repeats as settle every question, for `at_most_s` seconds at most.
        seed, scale, only, set, policies: as of `simulate`.
        out: the folder of runs.
        progress: True shows it on stderr; a function is called with each step as a line of text.

    Raises:
        WorkloadError, PolicyError, UserError: with the words of `slotwise run`.
        ServerFailure: a server could not be started or reached, and nothing was measured.
        KeyboardInterrupt: before anything was measured.
    """
    from harness.app.report import keep_report
    from harness.app.run import run as measured

    loaded = changed(workload, set, policies)
    options = RunOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            only=names(only),
            engine=engine,
            model=model,
            servers=urls(server, loaded),
            policies=loaded.policies,
        ),
        repeats=repeats,
        warmup=warmup,
        until=until,
        at_most_s=at_most_s,
        out=Path(out),
        command="harness.measure(...)",
    )
    with progress_of(progress) as told:
        found = measured(loaded.written, options, told)
    if found.analysis is None:
        if found.failure is not None:
            raise found.failure
        if found.interrupted:
            raise KeyboardInterrupt
        raise UserError(f"{found.folder}: nothing was measured")
    keep_report(found.folder, found.analysis, found.run)
    return RunResult(
        found.run,
        found.analysis,
        found.folder,
        interrupted=found.interrupted,
        failure=found.failure,
        workload=loaded,
    )


def calibrate(
    server: str,
    *,
    slots: Sequence[int] | None = None,
    model: str | None = None,
    effort: Literal["quick", "default", "thorough"] = "default",
    pair: bool | None = None,
    name: str | None = None,
    machine: str | None = None,
    embed: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    progress: Told = False,
) -> Calibrated:
    """Measure what each step of a server costs, and return the profile and the file that it was written to.

    It takes about 20 seconds, one minute or five minutes for each number of slots, by `effort`, on an idle machine.

    Args:
        server: a kind that is started, such as `"llamacpp"`, or the address of a running server.
        slots: numbers of slots to calibrate; left out: 1 and 4, or what a running server has.
        model: its name, or the path of a GGUF file.
        effort: how thoroughly.
        pair: also two servers side by side; left out: where it can be.
        name, machine: what to call the profile, and the machine; left out: made of server and model, its processor.
        embed: also what embedding with this model costs.
        out: the file to write; left out: `profiles/NAME.yaml`. `force` overwrites it.
        progress: as of `measure`.

    Raises:
        UserError, ServerFailure: with the words of `slotwise calibrate`.
        KeyboardInterrupt: it was interrupted; nothing is written.
    """
    from harness.app.calibrate import calibrate as fitted

    options = CalibrateOptions(
        slots=None if slots is None else tuple(slots),
        model=model,
        effort=effort,
        pair=pair,
        name=name,
        machine=machine,
        embed=embed,
        out=None if out is None else Path(out),
        force=force,
    )
    with progress_of(progress) as told:
        return fitted(server, options, told)
