"""Figures for Prometheus, in its text format 0.0.4, made from the engine's records.

Labels are classes, servers and outcomes, of which there are few; nothing that a client sends becomes a label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from harness.core.open_engine import OpenEngine
from harness.core.records import CallRecord, DelayRecord, JobRecord

__all__ = ["Metrics"]

WAITS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts what has ended; what stands now is asked of the engine."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str], int] = defaultdict(int)
        self._tokens: dict[tuple[str, str], int] = defaultdict(int)
        self._waits: dict[str, list[int]] = {}
        self._wait_s: dict[str, float] = defaultdict(float)

    def record(self, record: CallRecord | JobRecord | DelayRecord) -> None:
        """Count a call that has ended."""
        if not isinstance(record, CallRecord):
            return
        server = record.server if record.started_s is not None else ""
        self._calls[record.path, server, record.outcome] += 1
        for way, tokens in (("in", record.reply.prompt_tokens), ("out", record.reply.output_tokens)):
            self._tokens[record.path, way] += tokens or 0
        wait_s = record.router_wait_s
        if wait_s is not None:
            counts = self._waits.setdefault(record.path, [0] * (len(WAITS_S) + 1))
            for at, most_s in enumerate(WAITS_S):
                counts[at] += wait_s <= most_s
            counts[-1] += 1
            self._wait_s[record.path] += wait_s

    def text(self, engine: OpenEngine) -> str:
        """Return all figures."""
        names = [queue.server for queue in engine.plan.queues]
        stands = dict(zip(names, engine.queues(), strict=True))
        lines = [
            *_head("slotwise_queue_length", "gauge", "Calls that wait for a slot."),
            f"slotwise_queue_length {engine.queued}",
            *_head("slotwise_in_flight", "gauge", "Calls that a server is answering."),
            *(_line("slotwise_in_flight", {"upstream": name}, flying) for name, (flying, _) in stands.items()),
            *_head("slotwise_slots", "gauge", "Slots of a server."),
            *(_line("slotwise_slots", {"upstream": q.server}, q.slots) for q in engine.plan.queues),
            *_head("slotwise_calls_total", "counter", "Calls that have ended; no upstream: never started."),
        ]
        for (path, server, outcome), number in sorted(self._calls.items()):
            labels = {"class": path, "upstream": server, "outcome": outcome}
            lines.append(_line("slotwise_calls_total", labels, number))
        lines += _head("slotwise_tokens_total", "counter", "Tokens that servers counted, of prompts and answers.")
        for (path, way), number in sorted(self._tokens.items()):
            lines.append(_line("slotwise_tokens_total", {"class": path, "direction": way}, number))
        lines += _head("slotwise_wait_seconds", "histogram", "How long calls waited for a slot here.")
        for path, counts in sorted(self._waits.items()):
            for most, number in zip((*(f"{s:g}" for s in WAITS_S), "+Inf"), counts, strict=True):
                lines.append(_line("slotwise_wait_seconds_bucket", {"class": path, "le": most}, number))
            lines.append(_line("slotwise_wait_seconds_sum", {"class": path}, self._wait_s[path]))
            lines.append(_line("slotwise_wait_seconds_count", {"class": path}, counts[-1]))
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, about: str) -> Iterable[str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{said}}} {value:.15g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
