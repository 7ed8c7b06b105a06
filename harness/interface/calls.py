"""One function for each use case, with keyword arguments in place of its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.app.check import Checked
from harness.app.options import REPORTS, Assumptions, Changes, RecommendOptions, ScoreOptions, SimulateOptions
from harness.core.policies import Policies
from harness.core.records import PREDICTED
from harness.errors import UserError
from harness.interface.arguments import Names, Source, Told, changed, names, progress_of, urls
from harness.interface.results import RecommendResult, RunResult, ScoreResult
from harness.interface.workloads import OwnPolicies, load, loaded_of

__all__ = ["check", "load", "read_run", "recommend", "score", "simulate"]


def check(workload: Source, *, policies: OwnPolicies | None = None) -> Checked:
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
    loaded = changed(workload, set, policies)
    named = names(profile)
    changes = Changes(
        scale=scale,
        seed=seed,
        only=names(only),
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

    loaded = changed(workload, set, policies)
    options = RecommendOptions(
        changes=Changes(
            scale=scale,
            seed=seed,
            engine=engine,
            model=model,
            servers=urls(server, loaded),
            policies=loaded.policies,
        ),
        assumptions=Assumptions(
            profiles=names(profile), assume=assume or {}, extrapolate=extrapolate, resamples=resamples
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
    with progress_of(progress) as told:
        return RecommendResult(search(loaded.written, options, told))


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
    if prediction.workload is None or prediction.run.origin not in PREDICTED:
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
