"""What belongs above every number: failures, what is missing, and what the numbers do not mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.analysis.facts import (
    NUMBERS_WRONG,
    BesideWork,
    BusyMachine,
    ClientShare,
    Failures,
    GivenUp,
    Implausible,
    InterruptedTrials,
    LateClient,
    LayersOnCpu,
    LoadedMidRun,
    LostRecords,
    MeasuredUntil,
    ModelsNotLoaded,
    Notice,
    NotMeasured,
    OneRepeat,
    OtherCalls,
    Overload,
    Partial,
    ShortAnswers,
    SlotsDiffer,
    UnknownQueue,
    WaitedForModels,
)
from harness.analysis.filled import filled_slots
from harness.analysis.measures import Index
from harness.analysis.model import CandidateSummary
from harness.analysis.timesplit import is_load_event
from harness.core.device import on_accelerator, share_on_cpu
from harness.core.records import PREDICTED, CallRecord, JobRecord
from harness.runs.model import Run

__all__ = ["notices_of"]

_LOOP_LAG_S = 0.020  # p99 of the client's event loop; above it times hold the client's own lateness (reference 7)
_CLIENT_SHARE = 0.05
_OTHER_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy
_FEWEST_JOBS = 20  # of a trial; with fewer nothing can be said of rates
# A queue that grows: more than this share of the jobs is under way when the last one comes, and the last quarter takes
# so much longer than the second one. In a steady state they take equally long; in a growing queue 2.3 times as long.
_LATE_SHARE, _GROWTH = 0.2, 1.5


def notices_of(
    run: Run,
    candidates: Sequence[CandidateSummary],
    repeats: int,
    index: Index,
    folder: Path | None = None,
    until: MeasuredUntil | None = None,
    others: OtherCalls | None = None,
    beside: Sequence[BesideWork] = (),
) -> tuple[Notice, ...]:
    """Collect everything that a reader must know first, worst first.

    What makes the numbers wrong comes before what is missing: figures of a busy machine mislead however many there are,
    while fewer of them are only less certain, and their intervals show that. Then the run's own notes, and the rest.
    """
    # On an accelerator an engine waits for no core.
    cores = not run.servers or not all(on_accelerator(server.details) for server in run.servers)
    notes = [note for note in run.notes if cores or note.kind != "busy at start"]
    notices: list[Notice] = [*_layers(run, candidates)]
    notices += [] if others is None else [others]
    notices += _disturbed(run, cores=cores)
    notices += [note for note in notes if note.kind in NUMBERS_WRONG]
    notices += _missing(run, candidates, repeats, folder, until)
    notices += [note for note in notes if note.kind not in NUMBERS_WRONG]
    if run.origin in ("emulated", *PREDICTED):
        notices.append(NotMeasured(run.origin))
    notices += _failures(run, candidates)
    notices += _implausible(run)
    for server in run.servers:
        asked, found = server.slots_asked, server.slots_found
        differ = asked is not None and (found is not None or run.origin == "measured")
        if asked != found and (differ or server.slots_at_least):
            notices.append(SlotsDiffer(server.name, asked, found, server.slots_at_least))
    notices += [*_overload(run, index), *beside]
    for server in run.servers:
        loaded, room = server.details.get("models_loaded"), server.details.get("max_loaded_models")
        if isinstance(loaded, int) and isinstance(room, int) and loaded < min(room, len(server.models)):
            notices.append(ModelsNotLoaded(server.name, loaded, min(room, len(server.models))))
    notices += _client(candidates)
    notices += _given_up(run, candidates)
    notices += [*filled_slots(run, candidates), *_short_answers(candidates)]
    notices += _waits(run, candidates, index)
    if 1 in {candidate.repeats for candidate in candidates} and repeats == 1:
        notices.append(OneRepeat())
    return tuple(notices)


def _layers(run: Run, candidates: Sequence[CandidateSummary]) -> Iterator[Notice]:
    without = any(candidate.repeats and not candidate.on_cpu for candidate in candidates)
    for server in run.servers:
        if share_on_cpu(server.details):
            size, vram = (int(server.details[key]) for key in ("size_bytes", "size_vram_bytes"))
            users = [c.name for c in candidates if any(use.server == server.name for use in c.servers)]
            yield LayersOnCpu(server.name, size, vram, tuple(users), without)


def _missing(
    run: Run,
    candidates: Sequence[CandidateSummary],
    repeats: int,
    folder: Path | None,
    until: MeasuredUntil | None,
) -> Iterator[Notice]:
    short = [candidate for candidate in candidates if candidate.repeats < repeats]
    resume = str(folder) if folder is not None and run.origin not in PREDICTED and run.file else None
    if until is not None:
        yield until
    elif run.partial or short:
        yield Partial(tuple((candidate.name, candidate.repeats) for candidate in candidates), repeats, resume)
    if interrupted := sum(candidate.interrupted for candidate in candidates):
        yield InterruptedTrials(interrupted)
    recorded = Counter((call.candidate, call.repeat, call.pipeline, call.job) for call in run.calls)
    lost = sum(recorded[job.candidate, job.repeat, job.pipeline, job.job] < job.calls for job in run.jobs)
    if lost:
        yield LostRecords(lost, None if run.partial or short else resume)


def _failures(run: Run, candidates: Sequence[CandidateSummary]) -> Iterator[Notice]:
    tried_again: set[tuple[str, int, str, int, str, int, int, int]] = set()
    if any(summary.calls_failed for candidate in candidates for summary in candidate.pipelines):
        tried_again = {(*_item(call), call.attempt - 1) for call in run.calls if call.attempt}
    for candidate in candidates:
        failed = sum(summary.calls_failed for summary in candidate.pipelines)
        jobs = sum(summary.jobs_failed for summary in candidate.pipelines)
        if not failed and not jobs:
            continue
        mine = [c for c in run.calls if c.candidate == candidate.name and c.outcome != "ok" and not c.not_needed]
        rules: dict[str, str] = {}  # the first of each pipeline
        for job in run.jobs:
            if job.candidate == candidate.name and job.error:
                rules.setdefault(job.pipeline, job.error)
        yield Failures(
            candidate.name,
            failed,
            calls=sum(summary.calls for summary in candidate.pipelines),
            outcomes=tuple(Counter(call.outcome for call in mine).most_common()),
            error=next((call.reply.error for call in mine if call.reply.error), None),
            tried_again=sum((*_item(call), call.attempt) in tried_again for call in mine),
            jobs_failed=jobs,
            jobs=jobs + sum(summary.values for summary in candidate.pipelines),
            rules=tuple(rules.items()),
        )


def _implausible(run: Run) -> Iterator[Notice]:
    doubted = [call for call in run.calls if call.outcome == "ok" and call.reply.error]
    if doubted:
        first = doubted[0]
        yield Implausible(
            len(doubted), first.candidate, f"{first.pipeline}.{first.node}", first.job, first.reply.error or ""
        )


def _item(call: CallRecord) -> tuple[str, int, str, int, str, int, int]:
    """Name what a call and its retries are attempts at."""
    return (call.candidate, call.repeat, call.pipeline, call.job, call.node, call.iteration, call.item)


def _given_up(run: Run, candidates: Sequence[CandidateSummary]) -> Iterator[Notice]:
    if not any(summary.calls_dropped for candidate in candidates for summary in candidate.pipelines):
        return  # without a look at a million calls
    lost = [call for call in run.calls if call.not_needed]
    total = Counter(call.candidate for call in run.calls)
    sent = Counter(call.candidate for call in lost if call.started_s is not None)
    mine = Counter(call.candidate for call in lost)
    yield GivenUp(tuple((name, mine[name], sent[name], total[name]) for name in run.candidates if mine[name]))


def _overload(run: Run, index: Index) -> Iterator[Notice]:
    """Find where jobs came faster than they went."""
    for name in run.candidates:
        for pipeline, spec in run.workload.pipelines.items():
            if spec.arrival.process().mean_per_s is None:
                continue
            trials: dict[int, list[JobRecord]] = defaultdict(list)
            for job in index.jobs.get((name, pipeline), ()):
                trials[job.repeat].append(job)
            came = went = 0
            window_s = early_s = end_s = 0.0
            for jobs in trials.values():
                jobs.sort(key=lambda job: job.due_s)
                quarter = len(jobs) // 4
                came += len(jobs)
                went += sum(job.end_s <= jobs[-1].due_s for job in jobs)
                window_s += jobs[-1].due_s - jobs[0].due_s
                early_s += sum(job.pipeline_time_s for job in jobs[quarter : 2 * quarter])
                end_s += sum(job.pipeline_time_s for job in jobs[-quarter:] if quarter)
            growing = came - went > _LATE_SHARE * came and end_s > _GROWTH * early_s
            if window_s > 0 and came >= _FEWEST_JOBS * len(trials) and growing:
                yield Overload(name, pipeline, came / window_s, went / window_s, 1 - went / came)


def _disturbed(run: Run, *, cores: bool) -> Iterator[Notice]:
    """Find where other programs, or this one, kept trials waiting; `cores`: engines need them."""
    disturbed = [trial for trial in run.trials if (trial.other_cores or 0) > _OTHER_CORES]
    if disturbed and cores:
        most = max(trial.other_cores or 0 for trial in disturbed)
        yield BusyMachine(tuple(Counter(trial.candidate for trial in disturbed).items()), len(run.trials), most)
    late: dict[str, float] = {}
    for trial in run.trials:
        if trial.loop_lag_p99_s is not None and trial.loop_lag_p99_s > _LOOP_LAG_S:
            late[trial.candidate] = max(late.get(trial.candidate, 0.0), trial.loop_lag_p99_s)
    if late:
        yield LateClient(tuple(late.items()), _LOOP_LAG_S)


def _client(candidates: Sequence[CandidateSummary]) -> Iterator[Notice]:
    shares = []
    for candidate in candidates:
        for summary in candidate.pipelines:
            parts = summary.call_parts
            wall_s = parts.total_s - parts.router_wait_s - parts.throttle_wait_s
            if wall_s > 0 and parts.client_s > _CLIENT_SHARE * wall_s:
                shares.append((summary.pipeline, candidate.name, parts.client_s / wall_s))
    if shares:
        yield ClientShare(tuple(shares))


def _short_answers(candidates: Sequence[CandidateSummary]) -> Iterator[Notice]:
    short = sum(summary.short_answers for candidate in candidates for summary in candidate.pipelines)
    if short:
        yield ShortAnswers(short, sum(summary.calls for candidate in candidates for summary in candidate.pipelines))


def _waits(run: Run, candidates: Sequence[CandidateSummary], index: Index) -> Iterator[Notice]:
    facts = {server.name: server.baseline for server in run.servers}
    swapping = {(candidate.name, swaps.server) for candidate in candidates for swaps in candidate.swaps}
    for candidate in candidates:
        for swaps in candidate.swaps:
            if swaps.waited:
                server = swaps.server if len(candidate.servers) > 1 else None
                yield WaitedForModels(candidate.name, server, swaps.waited, swaps.calls, swaps.median_s, swaps.total_s)
    good = (
        call
        for calls in index.calls.values()
        for call in calls
        if call.outcome == "ok" and (call.candidate, call.server) not in swapping
    )
    if loads := sum(is_load_event(call, facts.get(call.server)) for call in good):
        yield LoadedMidRun(loads)
    if any(s.queue_source == "unknown" and s.values for candidate in candidates for s in candidate.pipelines):
        yield UnknownQueue()
