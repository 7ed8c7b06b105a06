"""A run as Chrome trace events, which Perfetto and chrome://tracing open: slots as tracks, queues as counters.

Format: "Trace Event Format", the JSON object form
(https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU). Times are microseconds. Trials lie
one after another, a second apart, whatever the time between them was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.analysis.slots import InSlot, slots_of
from harness.analysis.timesplit import split_call
from harness.core.records import CallRecord, JobRecord
from harness.runs.model import Baseline, Run
from harness.units import safe_text

__all__ = ["trace_lines"]

_APART_S = 1.0
_JOBS = 1  # process id of the pipelines; servers follow
Event = dict[str, Any]


def trace_lines(run: Run, candidates: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the lines of the file: one JSON object, an event a line."""
    about = {"run": run.name, "origin": run.origin, "started_at": run.started_at}
    yield f'{{"displayTimeUnit":"ms","otherData":{json.dumps(about)},"traceEvents":['
    before: str | None = None
    for event in _events(run, set(run.candidates if candidates is None else candidates)):
        if before is not None:
            yield f"{before},"
        before = json.dumps(event, separators=(",", ":"))
    if before is not None:
        yield before
    yield "]}"


def _events(run: Run, wanted: set[str]) -> Iterator[Event]:
    servers = sorted({call.server for call in run.calls if call.server and call.candidate in wanted})
    pids = {server: number for number, server in enumerate(servers, start=_JOBS + 1)}
    yield from _named_process(_JOBS, "pipelines")
    for server, pid in pids.items():
        yield from _named_process(pid, f"server {server}")
    baselines = {server.name: server.baseline for server in run.servers}
    slots = {server.name: server.slots_found or server.slots_asked for server in run.servers}
    jobs: dict[tuple[str, int], list[JobRecord]] = {}
    calls: dict[tuple[str, int], list[CallRecord]] = {}
    for job in run.jobs:
        jobs.setdefault((job.candidate, job.repeat), []).append(job)
    for call in run.calls:
        calls.setdefault((call.candidate, call.repeat), []).append(call)
    trials = [(trial.candidate, trial.repeat) for trial in sorted(run.trials, key=lambda trial: trial.position)]
    rest = [key for key in (*calls, *jobs) if key not in trials]  # cut
    named: set[tuple[int, int]] = set()
    zero_s = 0.0
    for key in dict.fromkeys((*trials, *rest)):
        if key[0] not in wanted:
            continue
        of_trial = (jobs.get(key, ()), calls.get(key, ()))
        ends = [job.end_s for job in of_trial[0]] + [call.reply.end_s or call.ready_s for call in of_trial[1]]
        starts = [job.due_s for job in of_trial[0]] + [call.ready_s for call in of_trial[1]]
        shift_s = zero_s - min(starts, default=0.0)
        for event in _trial(key, *of_trial, pids, baselines, slots):
            track = (event["pid"], event["tid"])
            if event["ph"] == "X" and track not in named and event["pid"] != _JOBS:
                named.add(track)
                yield _meta("thread_name", event["pid"], event["tid"], {"name": f"slot {event['tid']}"})
            yield _placed(event, shift_s)
        zero_s = shift_s + max(ends, default=0.0) + _APART_S


def _trial(
    key: tuple[str, int],
    jobs: Sequence[JobRecord],
    calls: Sequence[CallRecord],
    pids: Mapping[str, int],
    baselines: Mapping[str, Baseline | None],
    slots: Mapping[str, int | None],
) -> Iterator[Event]:
    """Yield the events of a trial; `ts` is still in seconds, and slices have an `end` instead of a `dur`."""
    trial = f"{key[0]}, repeat {key[1] + 1}"
    if jobs or calls:
        start_s = min([job.due_s for job in jobs] + [call.ready_s for call in calls])
        yield {"name": trial, "ph": "i", "s": "g", "pid": _JOBS, "tid": 0, "ts": start_s, "cat": "trial"}
    for job in jobs:
        shared = {"cat": f"job {job.pipeline}", "id": f"{trial}/{job.pipeline}/{job.job}", "pid": _JOBS, "tid": 0}
        args = {"trial": trial, "path": job.path, "outcome": job.outcome, "calls": job.calls}
        yield {"name": f"{job.pipeline} {job.job}", "ph": "b", "ts": job.due_s, "args": args, **shared}
        yield {"name": f"{job.pipeline} {job.job}", "ph": "e", "ts": max(job.due_s, job.end_s), **shared}
    by_server: dict[str, list[CallRecord]] = {}
    for call in calls:
        if call.server in pids:
            by_server.setdefault(call.server, []).append(call)
    for server, here in by_server.items():
        found = slots_of(here, baselines, slots.get(server))
        in_slots = [bar for bar in found if bar.slot is not None]
        for of_call in found:
            yield from (_in_slot if of_call.slot is not None else _failed)(of_call, pids[server], trial)
        waits = [wait for call in here for wait in _waits(call, baselines.get(server))]
        yield from _counter("waiting for routing", [span for kind, *span in waits if kind == "router"], pids[server])
        yield from _counter("queue in the server", [span for kind, *span in waits if kind == "queue"], pids[server])
        yield from _counter("slots busy", [[bar.start_s, bar.end_s] for bar in in_slots], pids[server])


def _in_slot(bar: InSlot, pid: int, trial: str) -> Iterator[Event]:
    spans = [(_name(bar.call), bar.start_s, bar.end_s, _about(bar.call, trial))]
    if bar.prefill_s is not None and bar.decode_s is not None:
        spans += [("prefill", bar.prefill_s, bar.decode_s, {}), ("decode", bar.decode_s, bar.end_s, {})]
    for title, start_s, end_s, about in spans:
        event = {"name": title, "cat": "call", "ph": "X", "pid": pid, "tid": bar.slot, "ts": start_s, "end": end_s}
        yield {**event, "args": about}


def _failed(bar: InSlot, pid: int, trial: str) -> Iterator[Event]:
    """Yield a call of which nobody knows whether it had a slot: on a track of its own, since such calls overlap."""
    mine = {"name": _name(bar.call), "cat": "failed call", "id": f"{trial}/call {bar.call.call}", "pid": pid, "tid": 0}
    yield {**mine, "ph": "b", "ts": bar.start_s, "args": _about(bar.call, trial)}
    yield {**mine, "ph": "e", "ts": bar.end_s}


def _name(call: CallRecord) -> str:
    return f"{call.pipeline}/{call.node}" + (f"[{call.item}]" if call.item else "")


def _about(call: CallRecord, trial: str) -> Event:
    reply = call.reply
    about = {
        "trial": trial,
        "pipeline": call.pipeline,
        "job": call.job,
        "node": call.node,
        "item": call.item,
        "iteration": call.iteration,
        "attempt": call.attempt,
        "agent": call.agent,
        "outcome": call.outcome,
        "router_wait_s": call.router_wait_s,
        "prompt_tokens": reply.prompt_tokens,
        "output_tokens": reply.output_tokens,
        "thinking_tokens": reply.thinking_tokens,
        "error": None if reply.error is None else safe_text(reply.error),
    }
    return {key: value for key, value in about.items() if value is not None}


def _waits(call: CallRecord, baseline: Baseline | None) -> Iterator[tuple[str, float, float]]:
    if call.started_s is not None:
        yield "router", call.ready_s, call.started_s
    split = split_call(call, baseline)
    if split is not None and call.reply.sent_s is not None:
        yield "queue", call.reply.sent_s, call.reply.sent_s + split.parts.queue_wait_s


def _counter(name: str, spans: Iterable[Sequence[float]], pid: int) -> Iterator[Event]:
    """Yield how many of these spans are open, whenever that changes."""
    steps: dict[float, int] = {}
    for start_s, end_s in spans:
        if end_s > start_s:
            steps[start_s] = steps.get(start_s, 0) + 1
            steps[end_s] = steps.get(end_s, 0) - 1
    open_ = 0
    for at_s in sorted(steps):
        if steps[at_s]:
            open_ += steps[at_s]
            yield {"name": name, "ph": "C", "pid": pid, "tid": 0, "ts": at_s, "args": {"calls": open_}}


def _named_process(pid: int, name: str) -> Iterator[Event]:
    yield _meta("process_name", pid, 0, {"name": name})
    yield _meta("process_sort_index", pid, 0, {"sort_index": pid})


def _meta(name: str, pid: int, tid: int, args: Event) -> Event:
    return {"name": name, "ph": "M", "pid": pid, "tid": tid, "ts": 0, "args": args}


def _placed(event: Event, shift_s: float) -> Event:
    """Return an event in microseconds. Ends are rounded, and not durations: what touched or nested still does."""
    start_ns = round((event["ts"] + shift_s) * 1e9)
    placed = {**event, "ts": start_ns / 1000}
    if "end" in event:
        placed["dur"] = (round((placed.pop("end") + shift_s) * 1e9) - start_ns) / 1000
    return placed
