"""Figures for Prometheus, made from the engine's records.

Labels are classes, servers and outcomes, of which there are few; nothing that a client sends becomes a label.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.core.open_engine import OpenEngine
from harness.core.records import CallRecord, DelayRecord, JobRecord

__all__ = ["CONTENT_TYPE", "Metrics"]

WAITS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
disable_created_metrics()  # type: ignore[no-untyped-call]  # its own has no types; when a label was first seen is of no use here


class Metrics(Collector):
    """Counts what has ended; what stands now is asked of the engine when the figures are read."""

    def __init__(self, engine: OpenEngine) -> None:
        self._engine = engine
        self._registry = own = CollectorRegistry()
        own.register(self)
        said = "Calls that have ended; no upstream: never started."
        self._calls = Counter("slotwise_calls", said, ["class", "upstream", "outcome"], registry=own)
        said = "Tokens that servers counted, of prompts and answers."
        self._tokens = Counter("slotwise_tokens", said, ["class", "direction"], registry=own)
        said = "How long calls waited for a slot here."
        self._waits = Histogram("slotwise_wait_seconds", said, ["class"], buckets=WAITS_S, registry=own)

    def record(self, record: CallRecord | JobRecord | DelayRecord) -> None:
        """Count a call that has ended."""
        if not isinstance(record, CallRecord):
            return
        server = record.server if record.started_s is not None else ""
        self._calls.labels(record.path, server, record.outcome).inc()
        for way, tokens in (("in", record.reply.prompt_tokens), ("out", record.reply.output_tokens)):
            self._tokens.labels(record.path, way).inc(tokens or 0)
        if record.router_wait_s is not None:
            self._waits.labels(record.path).observe(record.router_wait_s)

    def collect(self) -> Iterator[Metric]:
        """Yield what stands now."""
        yield GaugeMetricFamily("slotwise_queue_length", "Calls that wait for a slot.", value=self._engine.queued)
        flying = GaugeMetricFamily("slotwise_in_flight", "Calls that a server is answering.", labels=["upstream"])
        slots = GaugeMetricFamily("slotwise_slots", "Slots of a server.", labels=["upstream"])
        for queue, (in_flight, _) in zip(self._engine.plan.queues, self._engine.queues(), strict=True):
            flying.add_metric([queue.server], in_flight)
            slots.add_metric([queue.server], queue.slots)
        yield flying
        yield slots

    def text(self) -> bytes:
        """Return all figures."""
        return generate_latest(self._registry)
