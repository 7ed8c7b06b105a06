"""One repeat of one candidate of a design: which call was where and when, where time went, and the memory it takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.analysis.critical_path import PathEdges, PathStep, critical_path
from harness.analysis.timeline import Timeline, timeline
from harness.analysis.timesplit import Parts, mean_parts
from harness.app.figures import REPEATS, DesignOptions, machine_profiles, with_turned
from harness.app.prediction import profiles_of
from harness.app.workload import Written, load
from harness.core.record_log import Records
from harness.core.records import CallRecord, DelayRecord
from harness.errors import UserError, did_you_mean
from harness.predict.simulation import predict_trial
from harness.recommend.candidate_memory import MachineMemory, memory_of_candidate
from harness.report.bars import KINDS
from harness.report.page_data import timeline_data
from harness.report.text import plain
from harness.workload.dependencies import dependencies
from harness.workload.load import Loaded

__all__ = ["MOST_CALLS", "JobPath", "SplitPart", "TrialDelay", "TrialOptions", "TrialShown", "TrialSplit", "trial_of"]

MOST_CALLS = 20_000  # that are shown of a trial: those served first


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """Of `trial_of`."""

    candidate: str
    repeat: int = 0  # which, from 0
    design: DesignOptions = field(default_factory=DesignOptions)


class TrialDelay(NamedTuple):
    """A tool's delay; seconds on the trial's clock."""

    pipeline: str
    node: str
    job: int
    start_s: float
    end_s: float


class JobPath(NamedTuple):
    """One job and its critical path: `steps` are calls by their number, and delays: -1 is the first, -2 the second."""

    pipeline: str
    job: int
    due_s: float
    end_s: float  # of the reply, where somebody waits
    outcome: str
    steps: tuple[int, ...]  # in the order of time


class SplitPart(NamedTuple):
    """Seconds of one kind of time."""

    kind: str  # a field of `harness.analysis.timesplit.Parts`
    label: str
    seconds: float


class TrialSplit(NamedTuple):
    """Where the time of a pipeline's jobs went: the mean over the critical paths of those that succeeded."""

    pipeline: str
    jobs: int
    parts: tuple[SplitPart, ...]


class TrialShown(NamedTuple):
    """The same records as those of `slotwise simulate`; times are seconds on the trial's clock and not rounded."""

    candidate: str
    repeat: int
    origin: str
    makespan_s: float
    calls_of_trial: int
    until_s: float | None  # all calls whose turn came before it are there; None: all of the trial
    fields: tuple[str, ...]  # of a row of `calls`, see `harness.report.page_data`
    texts: tuple[str, ...]  # a field that ends in `_text` is the number of one of these
    calls: tuple[tuple[int | float | None, ...], ...]
    servers: tuple[Mapping[str, Any], ...]
    delays: tuple[TrialDelay, ...]
    jobs: tuple[JobPath, ...]
    split: tuple[TrialSplit, ...]
    memory: tuple[MachineMemory, ...]


def trial_of(written: Written, options: TrialOptions) -> TrialShown:
    """Simulate one repeat of one candidate, with the draws that this repeat has in `figures` and `slotwise simulate`.

    Raises:
        WorkloadError, PolicyError, UserError: the workload or the machine cannot be used, there is no such candidate,
            or it cannot be predicted.
    """
    if not 0 <= options.repeat < REPEATS:
        raise UserError(f"repeat: expected 1 to {REPEATS}, found {options.repeat + 1}")
    design = options.design
    if design.turned:
        written = with_turned(written, design.turned)
    loaded = load(written)
    names = {plan.name: plan for plan in loaded.plans}
    if options.candidate not in names:
        raise UserError(f'there is no candidate "{options.candidate}"{did_you_mean(options.candidate, names)}')
    plan = names[options.candidate]
    profiles = profiles_of(machine_profiles(design.machine), loaded.path.parent, loaded)
    trial, records = predict_trial(loaded, profiles, plan, options.repeat, extrapolate=design.extrapolate)
    slots = {queue.server: loaded.servers[queue.server].slots for queue in plan.queues}
    drawn = timeline(trial, records.calls, slots, {}, MOST_CALLS)
    data = timeline_data([drawn], digits=None)
    jobs, split = _paths(loaded, records, drawn)
    return TrialShown(
        candidate=plan.name,
        repeat=options.repeat,
        origin=trial.origin,
        makespan_s=trial.makespan_s,
        calls_of_trial=drawn.calls,
        until_s=drawn.until_s,
        fields=data["fields"],
        texts=tuple(data["texts"]),
        calls=tuple(map(tuple, data["timelines"][0]["calls"])),
        servers=tuple(data["timelines"][0]["servers"]),
        delays=tuple(TrialDelay(plain(d.pipeline), plain(d.node), d.job, d.start_s, d.end_s) for d in records.delays),
        jobs=jobs,
        split=split,
        memory=memory_of_candidate(loaded, profiles, plan),
    )


def _paths(loaded: Loaded, records: Records, drawn: Timeline) -> tuple[tuple[JobPath, ...], tuple[TrialSplit, ...]]:
    """Return the critical path of every job, and the mean of where their time went."""
    calls: dict[tuple[str, int], list[CallRecord]] = defaultdict(list)
    delays: dict[tuple[str, int], list[DelayRecord]] = defaultdict(list)
    for call in records.calls:
        calls[call.pipeline, call.job].append(call)
    for delay in records.delays:
        delays[delay.pipeline, delay.job].append(delay)
    shown = [bar.call for server in drawn.servers for bar in server.bars]
    at = {(c.pipeline, c.job, c.node, c.item, c.ready_s, c.reply.end_s): number for number, c in enumerate(shown)}
    at |= {(d.pipeline, d.job, d.node, 0, d.start_s, d.end_s): -1 - number for number, d in enumerate(records.delays)}
    edges = {name: PathEdges.compiled(dependencies(loaded.workload, name)) for name in loaded.workload.pipelines}
    jobs: list[JobPath] = []
    parts: dict[str, list[Parts]] = {name: [] for name in edges}
    for job in records.jobs:
        key = (job.pipeline, job.job)
        found = critical_path(job, calls[key], delays[key], edges[job.pipeline], {})
        places = () if found is None else tuple(at.get((*key, *_ends(step))) for step in found.steps)
        steps = tuple(place for place in places if place is not None)
        jobs.append(JobPath(plain(job.pipeline), job.job, job.due_s, job.reply_end_s, job.outcome, steps))
        if found is not None and job.outcome == "ok":
            parts[job.pipeline].append(found.parts)
    return tuple(jobs), tuple(TrialSplit(plain(name), len(mine), _split(mine)) for name, mine in parts.items())


def _ends(step: PathStep) -> tuple[str, int, float, float]:
    return step.node, step.item, step.start_s, step.end_s


def _split(parts: Sequence[Parts]) -> tuple[SplitPart, ...]:
    mean = mean_parts(list(parts))
    return tuple(SplitPart(kind.field, kind.label, getattr(mean, kind.field)) for kind in KINDS)
