"""One function for each use case, with keyword arguments in place of its options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from harness.app.calibrate import Calibrated
from harness.app.options import (
    AT_MOST_S,
    REPORTS,
    Assumptions,
    CalibrateOptions,
    Changes,
    RecommendOptions,
    RunOptions,
    ScoreOptions,
    SimulateOptions,
)
from harness.core.policies import Policies
from harness.errors import UserError
from harness.interface.results import RecommendResult, RunResult, ScoreResult
from harness.interface.workloads import LoadedWorkload, OwnPolicies, load, loaded_of
from harness.measure.progress import SILENT, Progress

__all__ = ["calibrate", "check", "load", "measure", "read_run", "recommend", "score", "simulate"]

Source = LoadedWorkload | str | Path | Mapping[str, Any]
Told = bool | Callable[[str], None] | Progress
Names = str | Sequence[str]


def check(workload: Source, *, policies: OwnPolicies | None = None) -> Any:
    """Check a workload and return what it asks for: see `LoadedWorkload.check`. Nothing is run.

    Raises:
        WorkloadError, PolicyError: as `load`.
    """
    return loaded_of(workload, policies).check()


def simulate(
    workload: Source,
    *,
    profile: Names = (),
    repeats: int = 200,
    seed: int | None = None,
    scale: float = 1,
    only: Names = (),
    engine: str | None = None,
    model: str | None = None,
    servers: Mapping[str, str] | None = None,
    set: Mapping[str, Any] | None = None,
    policies: OwnPolicies | None = None,
    assume: Mapping[str, float] | None = None,
    extrapolate: bool = False,
    resamples: int | None = None,
    lengths: str | Path | None = None,
) -> RunResult:
    """Predict every candidate of a workload on a profile of a machine, in virtual time. Nothing is run or written.

    It takes about 25 microseconds for each call, that is below a second for the shipped workloads with 10 repeats;
    `resamples=0` leaves out what takes up to half of that again. The same arguments give the same result.

    Args:
        workload: what `load` returned or takes.
        profile: name or file of the machine's profile; of several machines or models as `slotwise simulate --profile`
            takes them. Not needed where the workload's servers are simulated ones.
        repeats: of each candidate, with other draws each time.
        seed: of everything drawn; left out: as in the workload.
        scale: factor on the number of jobs.
        only: candidates to look at, by name; none: all.
        engine, model: what servers that are started get instead of the workload's.
        servers: addresses by the name of a server.
        set: other values in the workload, as `LoadedWorkload.changed` takes them.
        policies: of your own, as `load` takes them.
        assume: what a profile does not know, such as `{"before_s": 0.01}`, in its unit.
        extrapolate: derive numbers of slots that the profile lacks; marked in the result.
        resamples: profiles tried for its uncertainty; left out: 20, or fewer where that takes long.
        lengths: a measured run's folder: its lengths of prompts and answers are taken.

    Raises:
        WorkloadError, PolicyError, UserError: with the words of `slotwise simulate`.
    """
    from harness.app.simulate import simulate as predict

    if not 1 <= repeats <= 100_000:
        raise UserError(f"repeats: expected 1 to 100000, found {repeats}")
    loaded = _changed(workload, set, policies)
    named = _names(profile)
    changes = Changes(
        scale=scale,
        seed=seed,
        only=_names(only),
        engine=engine,
        model=model,
        servers=servers or {},
        policies=loaded.policies,
    )
    assumptions = Assumptions(profiles=named, assume=assume or {}, extrapolate=extrapolate, resamples=resamples)
    options = SimulateOptions(
        changes=changes,
        assumptions=assumptions,
        repeats=repeats,
        lengths=None if lengths is None else Path(lengths),
        command="harness.simulate(...)",
    )
    run, analysis, _ = predict(loaded.written, options)
    return RunResult(run, analysis, workload=loaded, profiles=named)


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

    loaded = _changed(workload, set, policies)
    options = RunOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            only=_names(only),
            engine=engine,
            model=model,
            servers=_urls(server, loaded),
            policies=loaded.policies,
        ),
        repeats=repeats,
        warmup=warmup,
        until=until,
        at_most_s=at_most_s,
        out=Path(out),
        command="harness.measure(...)",
    )
    with _progress(progress) as told:
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


def recommend(
    workload: Source,
    *,
    profile: Names = (),
    measure: bool = False,
    budget_s: float = 300.0,
    max_slots: int | None = None,
    memory_bytes: int | None = None,
    seeds: int = 16,
    workers: int | None = None,
    seed: int | None = None,
    scale: float = 1,
    server: str | Mapping[str, str] | None = None,
    engine: str | None = None,
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    policies: OwnPolicies | None = None,
    assume: Mapping[str, float] | None = None,
    extrapolate: bool = False,
    resamples: int | None = None,
    out: str | Path = REPORTS,
    progress: Told = False,
) -> RecommendResult:
    """Search all ways to run a workload by simulation; where `measure` is set, confirm the best few on servers.

    A search takes seconds to a minute on every core; measuring takes `budget_s` at most. Nothing is written unless
    something is measured.

    Args:
        workload, seed, scale, set, assume, extrapolate, resamples: as of `simulate`.
        profile: as of `simulate`; left out: one of this machine and model. With `measure` one is made
            where there is none.
        measure: confirm by measurement. Other than `slotwise recommend`, a program has to ask for it.
        budget_s: seconds for the measurement.
        max_slots: of one server.
        memory_bytes: for all servers; left out: what the machine has.
        seeds: draws on which the last candidates are tried.
        workers: processes of the search; left out: one for each core. A script needs `if __name__ == "__main__":` then.
            With policies that are given as objects the search stays in this process: no other one can have them.
        server, engine, model, out, progress: as of `measure`.
        policies: as of `load`.

    Raises:
        WorkloadError, PolicyError, UserError: with the words of `slotwise recommend`.
        ServerFailure: a profile could not be made, or processes were lost.
        KeyboardInterrupt: before anything was known.
    """
    from harness.app.recommend import recommend as search

    loaded = _changed(workload, set, policies)
    options = RecommendOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            engine=engine,
            model=model,
            servers=_urls(server, loaded),
            policies=loaded.policies,
        ),
        assumptions=Assumptions(
            profiles=_names(profile), assume=assume or {}, extrapolate=extrapolate, resamples=resamples
        ),
        measure=measure,
        budget_s=budget_s,
        max_slots=max_slots,
        memory_bytes=memory_bytes,
        seeds=seeds,
        workers=1 if isinstance(loaded.policies, Policies) else workers,
        out=Path(out),
        command="harness.recommend(...)",
    )
    with _progress(progress) as told:
        return RecommendResult(search(loaded.written, options, told))


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
    with _progress(progress) as told:
        return fitted(server, options, told)


def score(prediction: RunResult, run: RunResult | str | Path) -> ScoreResult:
    """Hold a prediction to a measured run of the same workload: the error of every figure.

    As `slotwise score FILE --run DIR` does, it predicts the run again with the lengths of calls that were observed, so
    that the error is that of the model of the machine. It takes as long as the prediction; the next prediction on the
    same profile says how far off this one was.

    Args:
        prediction: what `simulate` returned: its workload and its profile are taken.
        run: what `measure` or `read_run` returned, or its folder.

    Raises:
        UserError: they are not of the same workload, or the prediction has been read from a folder.
    """
    from harness.app.score import score as join

    folder = run.folder if isinstance(run, RunResult) else Path(run)
    if folder is None:
        raise UserError("score: expected a measured run as the second, found a prediction that is kept nowhere")
    if prediction.workload is None or prediction.run.origin != "predicted":
        raise UserError("score: expected what harness.simulate returned as the first")
    workload = prediction.workload
    options = ScoreOptions(
        changes=Changes(policies=workload.policies), assumptions=Assumptions(profiles=prediction.profiles), run=folder
    )
    return ScoreResult(join(workload.written, options))


def read_run(folder: str | Path) -> RunResult:
    """Read a run that is kept in a folder, complete or not, and analyse it. Nothing that the folder names is executed.

    It takes about a second for 100,000 calls.

    Raises:
        UserError: the folder holds no run.
    """
    from harness.analysis.analyse import analyse
    from harness.runs.folder import read_run as read

    path = Path(folder)
    run = read(path)
    return RunResult(run, analyse(run, path), path)


def _changed(workload: Source, values: Mapping[str, Any] | None, policies: OwnPolicies | None) -> LoadedWorkload:
    loaded = loaded_of(workload, policies)
    return loaded.changed(values) if values else loaded


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _urls(server: str | Mapping[str, str] | None, loaded: LoadedWorkload) -> Mapping[str, str]:
    if not isinstance(server, str):
        return server or {}
    if len(loaded.servers) != 1:
        raise UserError(
            f"server: the workload has several ({', '.join(loaded.servers)}); say which: "
            f'server={{"{loaded.servers[0]}": "{server}"}}'
        )
    return {loaded.servers[0]: server}


class _Lines(Progress):
    """Tells a function of each step."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def say(self, text: str) -> None:
        self._tell(text)

    def trial(self, number: int, title: str) -> None:
        self._tell(f"trial {number}: {title}")


@contextmanager
def _progress(told: Told) -> Iterator[Progress]:
    if told is True:
        from harness.report.progress import progress_for

        with progress_for(sys.stderr) as shown:
            yield shown
    elif told is False:
        yield SILENT
    else:
        yield _Lines(told) if callable(told) else told
