"""What belongs above every number: failures, what is missing, and what the numbers do not mean."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from harness.analysis.measures import Index
from harness.analysis.model import CandidateSummary, Notice
from harness.analysis.timesplit import is_load_event
from harness.core.records import CallRecord, JobRecord
from harness.runs.model import Run
from harness.units import count, percent, safe_url, seconds

__all__ = ["notices_of"]

_LOOP_LAG_S = 0.020  # p99 of the client's event loop; above it times hold the client's own lateness (reference 7)
_CLIENT_SHARE = 0.05
_OTHER_CORES = 0.3  # an idle desktop keeps about a tenth of a core busy
_LONGEST_ERROR = 160
_LONGEST_RULE = 600  # what fitted no rule comes after the rules
_FEWEST_JOBS = 20  # of a trial; with fewer nothing can be said of rates
# A queue that grows: more than this share of the jobs is under way when the last one comes, and the last quarter takes
# so much longer than the second one. In a steady state they take equally long; in a growing queue 2.3 times as long.
_LATE_SHARE, _GROWTH = 0.2, 1.5


def notices_of(
    run: Run, candidates: Sequence[CandidateSummary], repeats: int, index: Index, folder: Path | None = None
) -> tuple[Notice, ...]:
    """Collect everything that a reader must know first, worst first: what is missing, then the run's own notes."""
    notices = _missing(run, candidates, repeats, folder)
    notices += [Notice(note.kind, note.text) for note in run.notes]
    if run.origin == "emulated":
        notices.append(Notice("origin", "Emulated: the servers were simulated. No engine was measured."))
    if run.origin == "predicted":
        notices.append(Notice("origin", "Predicted: everything happened in virtual time. Nothing was measured."))
    notices += _failures(run, candidates)
    for server in run.servers:
        if None not in (server.slots_asked, server.slots_found) and server.slots_asked != server.slots_found:
            notices.append(
                Notice(
                    "slots",
                    f"{server.name}: {count(server.slots_asked or 0, 'slot')} asked, {server.slots_found} found; "
                    "its numbers are those of the slots found.",
                )
            )
        elif server.slots_asked is not None and server.slots_found is None and run.origin == "measured":
            notices.append(
                Notice("slots", f"{server.name}: its slots were not probed; {server.slots_asked} is what was asked.")
            )
    notices += _overload(run, index)
    for server in run.servers:
        loaded, room = server.details.get("models_loaded"), server.details.get("max_loaded_models")
        if isinstance(loaded, int) and isinstance(room, int) and loaded < min(room, len(server.models)):
            notices.append(
                Notice(
                    "models",
                    f"{server.name}: {loaded} of {min(room, len(server.models))} models stayed loaded: there is no "
                    "memory for all of them, so they are swapped.",
                )
            )
    notices += _client(run, candidates)
    notices += _losers(run, candidates)
    notices += _short_answers(candidates)
    notices += _waits(run, candidates, index)
    if 1 in {candidate.repeats for candidate in candidates} and repeats == 1:
        notices.append(Notice("one repeat", "One repeat: no interval can be given, and no difference is resolved."))
    return tuple(notices)


def _missing(run: Run, candidates: Sequence[CandidateSummary], repeats: int, folder: Path | None) -> list[Notice]:
    short = [candidate for candidate in candidates if candidate.repeats < repeats]
    notices = []
    mend = ""
    if folder is not None and run.origin != "predicted" and run.file:
        mend = f" To measure what is missing: slotwise run --resume {shlex.quote(str(folder))}"
    if run.partial or short:
        have = ", ".join(f"{c.name} {c.repeats} of {repeats}" for c in candidates)
        notices.append(Notice("partial", f"Partial: complete repeats are {have}.{mend}"))
    cut = sum(candidate.cut for candidate in candidates)
    if cut:
        notices.append(
            Notice("cut", f"{count(cut, 'trial was', 'trials were')} cut short; nothing of them is in any number.")
        )
    recorded = Counter((call.candidate, call.repeat, call.pipeline, call.job) for call in run.calls)
    lost = sum(recorded[job.candidate, job.repeat, job.pipeline, job.job] < job.calls for job in run.jobs)
    if lost:
        what = f"{count(lost, 'job')} made more calls than are recorded; their time splits are incomplete."
        notices.append(Notice("lost", f"{what}{'' if run.partial or short else mend}"))
    return notices


def _failures(run: Run, candidates: Sequence[CandidateSummary]) -> list[Notice]:
    notices = []
    tried_again: set[tuple[str, int, str, int, str, int, int, int]] = set()
    if any(summary.calls_failed for candidate in candidates for summary in candidate.pipelines):
        tried_again = {(*_item(call), call.attempt - 1) for call in run.calls if call.attempt}
    for candidate in candidates:
        failed = sum(summary.calls_failed for summary in candidate.pipelines)
        jobs = sum(summary.jobs_failed for summary in candidate.pipelines)
        if not failed and not jobs:
            continue
        calls = sum(summary.calls for summary in candidate.pipelines)
        all_jobs = jobs + sum(summary.values for summary in candidate.pipelines)
        mine = [c for c in run.calls if c.candidate == candidate.name and c.outcome != "ok" and not c.not_needed]
        kinds = ", ".join(f"{n} {outcome}" for outcome, n in Counter(c.outcome for c in mine).most_common()) or "none"
        error = next((c.reply.error for c in mine if c.reply.error), None)
        first = f"; first: {safe_url(error)[:_LONGEST_ERROR]}" if error else ""
        again = sum((*_item(c), c.attempt) in tried_again for c in mine)
        retried = f", {again} of them were tried again" if again else ""
        told: dict[str, str] = {}  # what a rule did not fit, of each pipeline the first
        for job in run.jobs:
            if job.candidate == candidate.name and job.error:
                told.setdefault(job.pipeline, safe_url(job.error)[:_LONGEST_RULE])
        why = "".join(f" First of {pipeline}: {error}." for pipeline, error in told.items())
        text = f"{failed} of {count(calls, 'call')} failed ({kinds}{first}){retried}. " if failed else ""
        them = "it is" if jobs == 1 else "they are"
        text += f"{jobs} of {count(all_jobs, 'job')} did not end well" + (
            f"; {them} in no time below.{why}" if jobs else "."
        )
        notices.append(Notice("failures", f"{candidate.name}: {text}"))
    return notices


def _item(call: CallRecord) -> tuple[str, int, str, int, str, int, int]:
    """Name what a call and its retries are attempts at."""
    return (call.candidate, call.repeat, call.pipeline, call.job, call.node, call.iteration, call.item)


def _losers(run: Run, candidates: Sequence[CandidateSummary]) -> list[Notice]:
    """Say what was given up because others were enough: it is no failure, but a server may have worked on it."""
    if not any(summary.calls_dropped for candidate in candidates for summary in candidate.pipelines):
        return []  # without a look at a million calls
    lost = [call for call in run.calls if call.not_needed]
    total = Counter(call.candidate for call in run.calls)
    sent = Counter(call.candidate for call in lost if call.started_s is not None)
    mine = Counter(call.candidate for call in lost)
    each = "; ".join(
        f"{name} {mine[name]} of {count(total[name], 'call')} ({sent[name]} cancelled on a server, "
        f"{mine[name] - sent[name]} never sent)"
        for name in run.candidates
        if mine[name]
    )
    return [Notice("losers", f"Given up because others were enough: {each}.")]


def _overload(run: Run, index: Index) -> list[Notice]:
    """Say where jobs came faster than they went: their times depend on how many there were."""
    notices = []
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
                notices.append(
                    Notice(
                        "overload",
                        f'{name}: jobs of "{pipeline}" came at {came / window_s:.3g} a second and ended at '
                        f"{went / window_s:.3g} a second, which is about what it sustains; "
                        f"{percent(1 - went / came)} had not ended when the last one came. Each waits longer than the "
                        "one before, so these times depend on how many there are.",
                    )
                )
    return notices


def _client(run: Run, candidates: Sequence[CandidateSummary]) -> list[Notice]:
    notices = []
    late: dict[str, float] = {}
    for trial in run.trials:
        if trial.loop_lag_p99_s is not None and trial.loop_lag_p99_s > _LOOP_LAG_S:
            late[trial.candidate] = max(late.get(trial.candidate, 0.0), trial.loop_lag_p99_s)
    if late:
        worst = ", ".join(f"{name} {seconds(lag_s)}" for name, lag_s in late.items())
        notices.append(
            Notice(
                "client",
                f"The client could not always keep up: its event loop was late ({worst}; 99th percentile; "
                f"{seconds(_LOOP_LAG_S)} is the limit), and that is in the times.",
            )
        )
    disturbed = [trial for trial in run.trials if (trial.other_cores or 0) > _OTHER_CORES]
    if disturbed:
        most = max(trial.other_cores or 0 for trial in disturbed)
        where = ", ".join(f"{n} of {name}" for name, n in Counter(trial.candidate for trial in disturbed).items())
        notices.append(
            Notice(
                "busy machine",
                f"{len(disturbed)} of {count(len(run.trials), 'trial')} ran while other programs kept up to {most:.1f} "
                f"cores busy ({where}). An engine that spreads over all cores waits for them in every step, so those "
                "times are too long: measure again on an idle machine.",
            )
        )
    shares = {}
    for candidate in candidates:
        for summary in candidate.pipelines:
            parts = summary.call_parts
            wall_s = parts.total_s - parts.router_wait_s - parts.throttle_wait_s
            if wall_s > 0 and parts.client_s > _CLIENT_SHARE * wall_s:
                shares[f"{summary.pipeline} under {candidate.name}"] = parts.client_s / wall_s
    if shares:
        worst = ", ".join(f"{where} {percent(share)}" for where, share in shares.items())
        notices.append(Notice("client", f"The client's own share of a call is high ({worst}; up to 5 % is usual)."))
    return notices


def _short_answers(candidates: Sequence[CandidateSummary]) -> list[Notice]:
    short = sum(summary.short_answers for candidate in candidates for summary in candidate.pipelines)
    if not short:
        return []
    calls = sum(summary.calls for candidate in candidates for summary in candidate.pipelines)
    return [
        Notice(
            "short answers",
            f"{short} of {count(calls, 'answer')} stopped before the pinned length. Rates go by the tokens really "
            "made; times are those of the shorter answers.",
        )
    ]


def _waits(run: Run, candidates: Sequence[CandidateSummary], index: Index) -> list[Notice]:
    notices = []
    facts = {server.name: server.baseline for server in run.servers}
    swapping = {(candidate.name, swaps.server) for candidate in candidates for swaps in candidate.swaps}
    for candidate in candidates:
        for swaps in candidate.swaps:
            if swaps.waited:
                where = f" on {swaps.server}" if len(candidate.servers) > 1 else ""
                notices.append(
                    Notice(
                        "swaps",
                        f"Model swaps under {candidate.name}{where}: {swaps.waited} of {count(swaps.calls, 'call')} "
                        f"waited {seconds(swaps.median_s)} (median) for a model to load, {seconds(swaps.total_s)} in "
                        "all; the wait for another model's calls to end is in it.",
                    )
                )
    good = (
        call
        for calls in index.calls.values()
        for call in calls
        if call.outcome == "ok" and (call.candidate, call.server) not in swapping
    )
    loads = sum(is_load_event(call, facts.get(call.server)) for call in good)
    if loads:
        notices.append(Notice("load", f"{count(loads, 'call')} had to load the model in the middle of the run."))
    unknown = any(s.queue_source == "unknown" and s.values for c in candidates for s in c.pipelines)
    if unknown:
        notices.append(
            Notice(
                "queue", "Some waits in the server's queue are unknown (no baseline); they are in the unexplained part."
            )
        )
    return notices
