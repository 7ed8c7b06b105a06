"""A run as OpenTelemetry spans, by the GenAI semantic conventions: a trace for each job, a span for each attempt.

Format: OTLP JSON, one ExportTraceServiceRequest for each trial, a line each, as a collector's file exporter writes
them (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/). Names: semantic conventions for GenAI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/); what they have no name for begins with `slotwise.`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from harness import __version__
from harness.core.records import CallRecord, DelayRecord, JobRecord, TrialRecord
from harness.runs.model import Run
from harness.workload.dependencies import dependencies
from harness.workload.replies import replies_of

__all__ = ["otlp_lines"]

INTERNAL, CLIENT = 1, 3
ERROR = 2
_PROVIDERS = {"ollama": "ollama", "llamacpp": "llama.cpp", "simulated": "simulated"}

Record = CallRecord | JobRecord | DelayRecord


def otlp_lines(run: Run, candidates: Iterable[str] | None = None) -> Iterator[str]:
    """Yield one line of OTLP JSON for each trial of the run, or of these candidates only.

    A call's span begins when the call was ready and so holds its wait in the router; when it was sent and when its
    first token came are events. Times are absolute: the start of the trial, and of simulated ones that of the run,
    plus the record's own.
    """
    wanted = set(run.candidates if candidates is None else candidates)
    by_trial: dict[tuple[str, int], list[Record]] = {}
    records: tuple[Record, ...] = (*run.jobs, *run.calls, *run.delays)  # jobs first: their spans are the roots
    for record in records:
        if record.candidate in wanted:
            by_trial.setdefault((record.candidate, record.repeat), []).append(record)
    answering = {name: replies_of(dependencies(run.workload, name)).answering for name in run.workload.pipelines}
    providers = {facts.name: _PROVIDERS.get(facts.kind, facts.kind) for facts in run.servers}
    trials = {(trial.candidate, trial.repeat): trial for trial in run.trials}
    for key, of_trial in by_trial.items():
        yield json.dumps(_request(run, key, trials.get(key), of_trial, providers, answering), separators=(",", ":"))


def _request(
    run: Run,
    key: tuple[str, int],
    trial: TrialRecord | None,
    records: Iterable[Record],
    providers: Mapping[str, str],
    answering: Mapping[str, Collection[str]],  # nodes, by pipeline
) -> dict[str, Any]:
    candidate, repeat = key
    started_at = (trial.started_at if trial else "") or run.started_at
    base_ns = round(datetime.fromisoformat(started_at).timestamp()) * 1_000_000_000
    base_ns += datetime.fromisoformat(started_at).microsecond * 1000
    ids = _Ids(f"{run.name}/{run.started_at}/{candidate}/{repeat}", base_ns)
    spans = []
    with_root = set()
    for record in records:
        if isinstance(record, JobRecord):
            with_root.add((record.pipeline, record.job))
            spans.append(_job(record, ids))
        else:
            span = (
                _call(
                    record,
                    ids,
                    providers.get(record.server, record.server),
                    answers=record.node in answering.get(record.pipeline, ()),
                )
                if isinstance(record, CallRecord)
                else _delay(record, ids)
            )
            if (record.pipeline, record.job) not in with_root:  # its job was cut off
                del span["parentSpanId"]
            spans.append(span)
    resource = {
        "service.name": run.name,
        "service.version": __version__,
        "slotwise.origin": run.origin,
        "slotwise.candidate": candidate,
        "slotwise.repeat": repeat,
    }
    scope = {"name": "slotwise", "version": __version__}
    group = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}
    return {"resourceSpans": [group]}


class _Ids:
    """The ids of one trial's spans, the same each time it is exported, and its clock."""

    def __init__(self, trial: str, base_ns: int) -> None:
        self._trial = trial
        self._base_ns = base_ns

    def make(self, digits: int, *parts: object) -> str:
        text = "/".join(map(str, (self._trial, *parts)))
        return sha256(text.encode()).hexdigest()[:digits]

    def ns(self, at_s: float) -> str:
        """Return an instant as OTLP writes it: 64-bit numbers are texts in JSON."""
        return str(self._base_ns + round(at_s * 1e9))

    def span(
        self, record: Record, name: str, kind: int, start_s: float, end_s: float, parts: tuple[object, ...]
    ) -> dict[str, Any]:
        job = (record.pipeline, record.job)
        span = {
            "traceId": self.make(32, *job),
            "spanId": self.make(16, *job, *parts),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": self.ns(start_s),
            "endTimeUnixNano": self.ns(max(start_s, end_s)),
        }
        if parts != ("job",):
            span["parentSpanId"] = self.make(16, *job, "job")
        return span


def _job(job: JobRecord, ids: _Ids) -> dict[str, Any]:
    span = ids.span(job, f"invoke_workflow {job.pipeline}", INTERNAL, job.due_s, job.end_s, ("job",))
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": job.pipeline,
            "gen_ai.conversation.id": None if job.session is None else f"{job.pipeline}/{job.session}",
            "error.type": None if job.outcome == "ok" else job.outcome,
            "slotwise.path": job.path,
            "slotwise.job": job.job,
            "slotwise.arrived_late_s": job.arrived_s - job.due_s,
            "slotwise.reply_s": job.pipeline_time_s if job.path == "interactive" and job.outcome == "ok" else None,
        }
    )
    if job.replied_s is not None:
        span["events"] = [{"timeUnixNano": ids.ns(job.replied_s), "name": "slotwise.replied"}]
    span["status"] = _status(job.outcome, job.error)
    return span


def _call(call: CallRecord, ids: _Ids, provider: str, *, answers: bool) -> dict[str, Any]:
    reply = call.reply
    ends = (reply.end_s, reply.sent_s, call.started_s, call.ready_s)
    end_s = next(at_s for at_s in ends if at_s is not None)
    parts = (call.node, call.item, call.iteration, call.attempt)
    operation = "embeddings" if call.embeds else "chat"
    span = ids.span(call, f"{operation} {call.model}".strip(), CLIENT, call.ready_s, end_s, parts)
    # Thinking comes in chunks too.
    begins_s = reply.first_token_s if reply.first_thought_s is None else reply.first_thought_s
    first_s = None if begins_s is None or reply.sent_s is None else begins_s - reply.sent_s
    failed = call.outcome != "ok" and not call.not_needed
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": call.model or None,
            "gen_ai.agent.name": call.agent or None,
            "gen_ai.usage.input_tokens": reply.prompt_tokens,
            "gen_ai.usage.output_tokens": reply.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": reply.cached_tokens,
            "gen_ai.response.finish_reasons": [reply.done_reason] if reply.done_reason else None,
            "gen_ai.response.time_to_first_chunk": first_s,
            "error.type": call.outcome if failed else None,
            "slotwise.outcome": call.outcome,
            "slotwise.node": call.node,
            "slotwise.answers": True if answers else None,
            "slotwise.item": call.item,
            "slotwise.iteration": call.iteration,
            "slotwise.attempt": call.attempt,
            "slotwise.server": call.server,
            "slotwise.router_wait_s": call.router_wait_s,
            "slotwise.server_queue_s": reply.queue_s,
            "slotwise.load_s": reply.load_s,
            "slotwise.prefill_s": reply.prefill_s,
            "slotwise.decode_s": reply.decode_s,
            "slotwise.thinking_tokens": reply.thinking_tokens,
        }
    )
    happened = (
        ("slotwise.sent", reply.sent_s),
        ("slotwise.first_thought", reply.first_thought_s),
        ("slotwise.first_token", reply.first_token_s),
    )
    span["events"] = [{"timeUnixNano": ids.ns(at_s), "name": name} for name, at_s in happened if at_s is not None]
    span["status"] = _status("ok" if call.not_needed else call.outcome, reply.error)
    return span


def _delay(delay: DelayRecord, ids: _Ids) -> dict[str, Any]:
    parts = (delay.node, "tool", delay.start_s)
    span = ids.span(delay, f"execute_tool {delay.node}", INTERNAL, delay.start_s, delay.end_s, parts)
    span["attributes"] = _attributes(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": delay.node, "slotwise.node": delay.node}
    )
    return span


def _status(outcome: str, error: str | None) -> dict[str, Any]:
    if outcome == "ok":
        return {}
    return {"code": ERROR, "message": error or outcome}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is known as OTLP attributes."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(part) for part in value]}}
    return {"stringValue": str(value)}
