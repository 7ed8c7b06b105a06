"""One synthetic record at a time, for tests of what is computed from records; what is left out has a sensible value.

Times are exact: multiples of 1/512 s where sums of them must be. For a whole run take `scenarios`.
"""

from __future__ import annotations

from typing import Any

from harness.core.arrival_processes import Listed
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord, Origin, Outcome, Path, Reply, TrialRecord
from harness.runs.model import Baseline, Note, Run, ServerFacts
from harness.workload.candidates import plans
from harness.workload.schema import Workload


def call(
    node: str = "reply",
    *,
    candidate: str = "serial",
    repeat: int = 0,
    origin: Origin = "measured",
    pipeline: str = "chat",
    path: Path = "interactive",
    job: int = 0,
    item: int = 0,
    serial: int = 0,
    server: str = "one-slot",
    ready: float = 0.0,
    router: float = 0.0,
    throttle: float = 0.0,
    queue: float | None = 0.0,
    load: float = 0.0,
    prefill: float = 0.25,
    decode: float = 1.0,
    overhead: float = 0.0,
    client: float = 0.0,
    tokens: int = 33,
    prompt_tokens: int = 60,
    streamed: bool = False,
    outcome: Outcome = "ok",
    tell_queue: bool = True,
) -> CallRecord:
    """Build a call from the durations of its parts; `queue` is in the server's total whether it is told or not."""
    started = ready + router
    sent = started + throttle
    total = (queue or 0.0) + load + prefill + decode + overhead
    end = sent + total + client
    if outcome != "ok":
        reply = Reply(outcome, sent_s=sent, end_s=end, error="HTTP 500: it broke")
    else:
        reply = Reply(
            "ok",
            sent_s=sent,
            first_token_s=end - decode if streamed else None,
            end_s=end,
            done_reason="length",
            prompt_tokens=prompt_tokens,
            output_tokens=tokens,
            total_s=total,
            load_s=load,
            prefill_s=prefill,
            decode_s=decode,
            queue_s=queue if tell_queue else None,
        )
    return CallRecord(
        candidate, repeat, origin, pipeline, path, job, node, item, 0, 0, serial,
        "agent", "model", server, ready, started, reply,
    )  # fmt: skip


def delay(node: str, start: float, end: float, *, pipeline: str = "digest", job: int = 0) -> DelayRecord:
    """Build a tool delay of the candidate `serial`."""
    return DelayRecord("serial", 0, "measured", pipeline, job, node, start, end)


def job(
    pipeline: str = "chat",
    *,
    candidate: str = "serial",
    repeat: int = 0,
    origin: Origin = "measured",
    path: Path = "interactive",
    number: int = 0,
    due: float = 0.0,
    end: float = 1.25,
    outcome: Outcome = "ok",
    calls: int = 1,
) -> JobRecord:
    """Build a job that arrived when it was due."""
    return JobRecord(candidate, repeat, origin, pipeline, path, number, due, due, end, outcome, calls)


def trial(
    candidate: str = "serial",
    repeat: int = 0,
    *,
    origin: Origin = "measured",
    makespan: float = 10.0,
    lag: float | None = 0.002,
    complete: bool = True,
) -> TrialRecord:
    """Build a trial."""
    return TrialRecord(candidate, repeat, origin, repeat, "2026-03-04T05:06:07+00:00", makespan, lag, complete)


def server(
    name: str,
    slots: int,
    *,
    found: int | None = None,
    kind: str = "llamacpp",
    exact: bool = True,
    baseline: Baseline | None = None,
) -> ServerFacts:
    """Build what is known about a server."""
    return ServerFacts(
        name, kind, "http://127.0.0.1:4001", "smollm2-135m", slots, slots if found is None else found,
        "llama.cpp b1", exact, baseline, {"context_tokens": 2048},
    )  # fmt: skip


def workload(**changes: Any) -> Workload:
    """Build a digest-and-chat workload."""
    plain: dict[str, Any] = {
        "version": 1,
        "name": "research-digest",
        "description": "Documents are summarised and merged while a person chats.",
        "pipelines": {
            "digest": {
                "path": "batch",
                "jobs": 2,
                "nodes": {
                    "summarize": {"agent": "summarizer", "over": "documents"},
                    "merge": {"agent": "editor", "after": ["summarize"]},
                },
            },
            "chat": {
                "path": "interactive",
                "while": "digest",
                "arrival": {"closed": 1, "think_s": 2},
                "nodes": {"reply": {"agent": "chat"}},
            },
        },
        "agents": {
            name: {"prompt": "{item}", "output_tokens": 33, "exact_output": True}
            for name in ("summarizer", "editor", "chat")
        },
        "inputs": {"documents": {"synthetic": {"count": 8, "tokens": 50}}},
        "servers": {
            "one-slot": {"kind": "llamacpp", "slots": 1},
            "four-slot": {"kind": "llamacpp", "slots": 4},
        },
        "compare": {
            "serial": {"placement": "one-slot", "concurrency": "serial"},
            "batched": {"placement": "four-slot", "concurrency": "window", "scheduling": "interactive-first"},
            "split": {
                "placement": {"digest": "four-slot", "chat": "one-slot"},
                "concurrency": {"four-slot": "window", "one-slot": "serial"},
            },
        },
        "measure": {"repeats": 5, "warmup": 1},
        "seed": 7,
    }
    return Workload.model_validate({**plain, **changes})


def run(
    *,
    trials: tuple[TrialRecord, ...] = (),
    calls: tuple[CallRecord, ...] = (),
    jobs: tuple[JobRecord, ...] = (),
    delays: tuple[DelayRecord, ...] = (),
    spec: Workload | None = None,
    candidates: tuple[str, ...] = ("serial", "batched", "split"),
    servers: tuple[ServerFacts, ...] = (),
    notes: tuple[str, ...] = (),
    partial: bool = False,
    origin: Origin = "measured",
) -> Run:
    """Build a run around records."""
    return Run(
        name="research-digest-20260304-050607",
        origin=origin,
        started_at="2026-03-04T05:06:07+00:00",
        workload=spec or workload(),
        candidates=candidates,
        machine={
            "cpu": "A quiet processor",
            "cores": 2,
            "memory_bytes": 8_000_000_000,
            "os": "Linux 6.1",
            "python": "3.12.1",
            "packages": {"networkx": "3.6"},
        },
        servers=servers or (server("one-slot", 1), server("four-slot", 4)),
        notes=tuple(Note("run", text) for text in notes),
        partial=partial,
        trials=trials,
        calls=calls,
        jobs=jobs,
        delays=delays,
        command="slotwise run workloads/research-digest.yaml",
        plans=tuple(plan for plan in _plans(spec or workload()) if plan.name in candidates),
    )


def _plans(spec: Workload) -> tuple[Plan, ...]:
    pipelines = [
        Pipeline(
            name, pipeline.path, Graph(tuple(Node(node, "agent", (), ()) for node in pipeline.nodes)), Listed(()), 1
        )
        for name, pipeline in spec.pipelines.items()
    ]
    return plans(spec, pipelines).plans
