"""What a design should run as: a search whose answer can be measured afterwards, and machines side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from harness.analysis.machines import MachineResult
from harness.app.figures import DesignMachine, Turned, machine_profiles, with_turned
from harness.app.machines import compare_machines
from harness.app.options import REPORTS, Assumptions, MachinesOptions, RecommendOptions, RunOptions, SimulateOptions
from harness.app.recommend import SearchEnd, confirm, searched
from harness.app.share import CopiedText, copied_texts
from harness.app.workload import Written
from harness.errors import UserError
from harness.measure.progress import SILENT, Progress
from harness.recommend.model import Difference, Recommendation
from harness.report.recommendation import recommendation_text
from harness.servers.ollama import INSTALL
from harness.units import count
from harness.wording.answer import Answer
from harness.wording.machines_answer import carries_text, machines_answer, time_text, what_of
from harness.wording.search_answer import search_answer
from harness.workload.schema import ServerSpec

__all__ = [
    "MOST_BESIDE",
    "MOST_MEASURED",
    "Advice",
    "AdviceOptions",
    "BesideOptions",
    "BesideTime",
    "MachineBeside",
    "MachinesBeside",
    "advise",
    "beside",
    "cannot_start",
    "measure_advice",
]

MOST_BESIDE = 4  # machines: more do not stand side by side
MOST_MEASURED = 3  # candidates: the recommended one, and the two that stand nearest to it


@dataclass(frozen=True, kw_only=True)
class AdviceOptions:
    """Of `advise`."""

    machine: DesignMachine = field(default_factory=DesignMachine)
    turned: Turned = field(default_factory=Turned)
    extrapolate: bool = False  # derive numbers of slots that a profile lacks; marked in the result


@dataclass(frozen=True, kw_only=True)
class BesideOptions:
    """Of `beside`."""

    machines: Sequence[DesignMachine]  # two to four, each with one profile or device
    turned: Turned = field(default_factory=Turned)
    extrapolate: bool = False


class CopiedSettings(NamedTuple):
    """All that can be copied for a candidate of an answer."""

    candidate: str
    remarks: tuple[str, ...]
    texts: tuple[CopiedText, ...]


class Advice(NamedTuple):
    """An answer as every command gives it, and what stands behind it."""

    answer: Answer
    settings: tuple[CopiedSettings, ...]  # of those that are recommended
    recommendation: dict[str, Any]  # what `slotwise recommend --json` prints
    differences: tuple[Difference, ...]  # what was measured, beside what had been predicted
    folder: str  # of the measurement; "": nothing was measured
    interrupted: bool  # ended by a person: it is the best that was known
    why_not: str  # it cannot be measured here; "": it can be


class BesideTime(NamedTuple):
    """The time of one pipeline on one machine, written with its interval; seconds."""

    pipeline: str
    what: str  # "reply" or "job"
    time_s: float | None
    text: str


class MachineBeside(NamedTuple):
    """What the candidate takes that is recommended for a machine. `why_not`: it cannot be predicted there."""

    name: str
    machine: str
    model: str
    origin: str
    candidate: str
    slots: int
    times: tuple[BesideTime, ...]
    goals: str  # met, missed, not certain, none ...
    needed_bytes: int | None
    there_bytes: int | None
    why_not: str


class MachinesBeside(NamedTuple):
    """Machines side by side, in the order in which they were chosen, and the answer."""

    answer: Answer
    machines: tuple[MachineBeside, ...]


def advise(
    written: Written, options: AdviceOptions = AdviceOptions(), progress: Progress = SILENT
) -> tuple[Advice, SearchEnd]:
    """Search as `slotwise recommend --no-measure` does; return the answer, and what a measurement of it needs.

    Raises:
        WorkloadError, PolicyError, UserError: the design cannot be used as it is, or there is no profile.
        ServerFailure: processes of the search were lost.
        KeyboardInterrupt: before anything was known.
    """
    if options.turned:
        written = with_turned(written, options.turned)
    assumptions = Assumptions(profiles=machine_profiles(options.machine), extrapolate=options.extrapolate)
    end = searched(written, RecommendOptions(assumptions=assumptions, measure=False), progress)
    return _advice(end.found.recommendation, end), end


def measure_advice(end: SearchEnd, budget_s: float, progress: Progress = SILENT, out: Path = REPORTS) -> Advice:
    """Measure the recommended candidate and the two best others, and say what that changes.

    Servers are started and stopped as in `slotwise recommend`, and the run gets a folder below `out`.

    Args:
        end: of a search.
        budget_s: the longest that it may take, starts of servers included.
        progress: is told what goes on.
        out: where runs get their folders.

    Raises:
        UserError: servers cannot be started here, or the folder cannot be made.
    """
    if refused := cannot_start(end.found.space.loaded.servers.values()):
        raise UserError(refused)
    return _advice(confirm(end.found, end.memory, budget_s, RunOptions(out=out), progress, MOST_MEASURED), end)


def cannot_start(servers: Collection[ServerSpec]) -> str:
    """Return why servers of these kinds cannot be started on this machine; "" where they can, or run already."""
    kinds = {spec.kind for spec in servers if not spec.running}
    if "llamacpp" in kinds and find_spec("xllamacpp") is None:
        return "The embedded engine is not installed: pip install 'slotwise[local]'."
    if "ollama" in kinds and shutil.which("ollama") is None:
        return f"There is no `ollama` on the PATH; {INSTALL}."
    return ""


def beside(written: Written, options: BesideOptions, progress: Progress = SILENT) -> MachinesBeside:
    """Predict a design on two to four machines, as `slotwise simulate` with several profiles does.

    Raises:
        WorkloadError, PolicyError, UserError: the design cannot be used as it is, or the machines cannot be compared.
    """
    if not 2 <= len(options.machines) <= MOST_BESIDE:
        raise UserError(f"expected two to {MOST_BESIDE} machines, found {len(options.machines)}")
    profiles: list[str] = []
    for machine in options.machines:
        names = machine_profiles(machine)
        if len(names) != 1:
            raise UserError(
                f"expected one profile or one device for each machine, found {count(len(names), 'profile')}"
            )
        profiles += names
    if options.turned:
        written = with_turned(written, options.turned)
    each = SimulateOptions(assumptions=Assumptions(extrapolate=options.extrapolate))
    found = compare_machines(written, MachinesOptions(profiles=tuple(profiles), each=each), progress)
    return MachinesBeside(machines_answer(found), tuple(map(_beside, found.machines)))


def _beside(one: MachineResult) -> MachineBeside:
    times = tuple(
        BesideTime(each.pipeline, what_of(each.path), each.shown.value if each.shown else None, time_text(each))
        for each in one.times
    )
    return MachineBeside(
        one.name, one.machine, one.model, one.origin, one.candidate, one.slots, times,
        "" if one.why_not else carries_text(one), one.needed_bytes, one.there_bytes, one.why_not,
    )  # fmt: skip


def _advice(found: Recommendation, end: SearchEnd) -> Advice:
    confirmation = found.confirmation
    analysis = confirmation.analysis if confirmation else found.analysis
    settings = (CopiedSettings(one.candidate, one.remarks, copied_texts(one)) for one in analysis.choice.settings)
    return Advice(
        answer=search_answer(found),
        settings=tuple(settings),
        recommendation=json.loads(recommendation_text(found)),
        differences=confirmation.differences if confirmation else (),
        folder=confirmation.folder if confirmation else "",
        interrupted=found.interrupted,
        why_not=cannot_start(end.found.space.loaded.servers.values()),
    )
