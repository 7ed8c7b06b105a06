"""What takes long on a design, so that it goes on beside the writing: a search, a measurement, other machines."""

from __future__ import annotations

from typing import NamedTuple

from harness.app.figures import DesignOptions, machine_profiles, simulated_design, with_turned
from harness.app.machines import compare_machines
from harness.app.options import Assumptions, Changes, MachinesOptions, RecommendOptions, RunOptions, SimulateOptions
from harness.app.recommend import recommend
from harness.app.report import keep_report
from harness.app.run import run
from harness.app.settings import answer_settings
from harness.app.workload import Written
from harness.deploy.kinds import SETTINGS
from harness.errors import ServerFailure, SlotwiseError, UserError
from harness.measure.progress import Progress
from harness.wording.answer import Answer
from harness.wording.machines_answer import machines_answer
from harness.wording.run_answer import run_answer
from harness.wording.search_answer import search_answer

__all__ = ["MOST_COMPARED", "REPEATS", "Beside", "DesignFound", "compare_design", "measure_design", "search_design"]

REPEATS = 3  # of each candidate that is measured: a first look, and `slotwise run` takes more
MOST_COMPARED = 4  # machines


class Beside(NamedTuple):
    """A time that was measured beside the one that was predicted; seconds. `error`: predicted / measured - 1."""

    candidate: str
    pipeline: str
    measured_s: float
    predicted_s: float | None  # None: it cannot be predicted on the chosen machine
    error: float | None


class DesignFound(NamedTuple):
    """What came of it: an answer, and what goes with it."""

    answer: Answer
    settings: tuple[tuple[str, str], ...] = ()  # of what is recommended: the kind, and the text to copy
    folder: str = ""  # of the run, where one was measured
    beside: tuple[Beside, ...] = ()
    interrupted: bool = False


def search_design(written: Written, options: DesignOptions, progress: Progress) -> DesignFound:
    """Search all ways to run a design by simulation, as `slotwise recommend FILE --no-measure` does.

    Raises:
        WorkloadError, PolicyError, UserError, ServerFailure: as `harness.app.recommend.recommend`.
    """
    assumptions = Assumptions(profiles=machine_profiles(options.machine), extrapolate=options.extrapolate)
    found = recommend(
        _turned(written, options), RecommendOptions(assumptions=assumptions, measure=False), progress
    ).recommendation
    settings = []
    for kind in SETTINGS:
        try:
            text = answer_settings(found, kind)
        except SlotwiseError:  # not for this answer: the others are there
            continue
        if text.strip():
            settings.append((kind, text))
    return DesignFound(search_answer(found), tuple(settings), interrupted=found.interrupted)


def measure_design(
    written: Written, candidates: tuple[str, ...], options: DesignOptions, progress: Progress
) -> DesignFound:
    """Measure some candidates of a design on servers, and put what was predicted beside it.

    The run is kept where `slotwise run` would keep it.

    Raises:
        WorkloadError, PolicyError, UserError: the workload cannot be used.
        ServerFailure: no server could be started or reached, and nothing was measured.
    """
    written = _turned(written, options)
    asked = RunOptions(changes=Changes(only=candidates), repeats=REPEATS, warmup=1)
    found = run(written, asked, progress)
    if found.analysis is None:
        raise found.failure or ServerFailure("nothing was measured: it was stopped before the first trial had ended")
    progress.say("writing the report")
    keep_report(found.folder, found.analysis, found.run)
    try:
        predicted = simulated_design(written, DesignOptions(machine=options.machine, extrapolate=options.extrapolate))
        by_name = predicted.analysis.by_name
    except UserError:  # on a machine that says nothing of it: what was measured is there
        by_name = {}
    beside = []
    for one in found.analysis.candidates:
        expected = {each.pipeline: each.time for each in by_name[one.name].pipelines} if one.name in by_name else {}
        for each in one.pipelines:
            if each.time is not None:
                time = expected.get(each.pipeline)
                error = None if time is None else time.value / each.time.value - 1
                predicted_s = None if time is None else time.value
                beside.append(Beside(one.name, each.pipeline, each.time.value, predicted_s, error))
    return DesignFound(
        run_answer(found.analysis), folder=str(found.folder), beside=tuple(beside), interrupted=found.interrupted
    )


def compare_design(
    written: Written, machines: tuple[str, ...], options: DesignOptions, progress: Progress
) -> DesignFound:
    """Predict a design on several machines, as `slotwise simulate FILE --profile A --profile B` does.

    Raises:
        WorkloadError, PolicyError, UserError: as `harness.app.machines.compare_machines`, or too few or many machines.
    """
    if not 2 <= len(machines) <= MOST_COMPARED:
        raise UserError(f"expected two to {MOST_COMPARED} machines, found {len(machines)}")
    each = SimulateOptions(assumptions=Assumptions(extrapolate=options.extrapolate))
    found = compare_machines(_turned(written, options), MachinesOptions(profiles=machines, each=each), progress)
    return DesignFound(machines_answer(found))


def _turned(written: Written, options: DesignOptions) -> Written:
    return with_turned(written, options.turned) if options.turned else written
