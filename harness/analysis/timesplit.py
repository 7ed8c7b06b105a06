"""Where the time of a call went, from its records alone.

A call's life on the client's clock is ready -> started -> sent -> end. Between sent and end lies the server's own
total, which holds the wait for a slot, load, prefill and decode; what is left over is the client's share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from harness.core.records import CallRecord, QueueSource, Reply
from harness.runs.model import Baseline

__all__ = ["Parts", "TimeSplit", "add_parts", "is_load_event", "mean_parts", "split_call"]

_new = tuple.__new__  # half the cost of a NamedTuple's own constructor, and there is one for every call
_LOAD_EVENT_S = 0.5  # a load longer than this, and than ten times its baseline, loaded the model
_LOAD_EVENT_RATIO = 10.0


class Parts(NamedTuple):
    """Seconds by kind of time. They add up to the whole that was split; an unknown part lies in `not_attributed_s`."""

    router_wait_s: float = 0.0  # held back by the router: the cap or the order
    throttle_wait_s: float = 0.0  # paced by starts_per_s
    queue_wait_s: float = 0.0  # waiting in the server for a slot
    load_s: float = 0.0  # the server's load_duration, the model's check or load
    slot_setup_s: float = 0.0  # has a slot, and waits for the engine to take its prompt up: between two steps only
    prefill_s: float = 0.0
    decode_s: float = 0.0  # the answer, after its first token
    client_s: float = 0.0  # this program: connecting, parsing, a busy event loop
    tool_s: float = 0.0  # tool delays, on a critical path
    harness_s: float = 0.0  # between one call's end and its successor's start, on a critical path
    not_attributed_s: float = 0.0
    thinking_s: float = 0.0  # the server's decode before the answer, as far as that is known

    @property
    def generating_s(self) -> float:
        """From the first token to the last, whatever they were: what the server calls decode."""
        return self.thinking_s + self.decode_s

    @property
    def total_s(self) -> float:
        """The whole that was split."""
        return math.fsum(self)


class TimeSplit(NamedTuple):
    """One call's parts, and how its wait in the server is known."""

    parts: Parts
    queue_source: QueueSource


def split_call(call: CallRecord, baseline: Baseline | None) -> TimeSplit | None:
    """Split the time from ready to end of a call that succeeded; None for any other.

    The wait in the server's queue is exact where it was told. Otherwise, with R = total - load - prefill - decode
    and the medians R0, L0 of single warm calls: queue = max(0, R - R0) + max(0, load - L0), unless the call loaded the
    model (load > max(0.5 s, 10 L0)): its load then stays load. Without a baseline the wait is unknown and stays in
    `not_attributed_s`. R holds more than the wait for a slot (templating, slot set-up between two steps), hence R0.
    """
    reply = call.reply
    if reply.outcome != "ok" or call.started_s is None or reply.sent_s is None or reply.end_s is None:
        return None
    load_s = reply.load_s or 0.0  # Ollama leaves a zero out
    queue_s, source = _queue(call, baseline)
    if source == "residual" and baseline is not None and not is_load_event(call, baseline):
        load_s = min(load_s, baseline.load_s)
    router_wait_s, throttle_wait_s = call.started_s - call.ready_s, reply.sent_s - call.started_s
    prefill_s, decode_s = reply.prefill_s or 0.0, reply.decode_s or 0.0
    client_s = 0.0 if reply.total_s is None else reply.end_s - reply.sent_s - reply.total_s
    # By subtraction, so that the parts add up whatever the server told. Spelled out: this runs for every call there is.
    rest_s = math.fsum(
        (
            reply.end_s, -call.ready_s, -router_wait_s, -throttle_wait_s, -queue_s, -load_s, -prefill_s, -decode_s,
            -client_s,
        )
    )  # fmt: skip
    # Exact: all that is left of the server's total is slot set-up, it says itself what the queue was.
    slot_setup_s = max(0.0, min(rest_s, reply.total_s or 0.0)) if source == "exact" else 0.0
    thinking_s = 0.0 if reply.first_thought_s is None and not reply.thinking_tokens else _thinking(reply, decode_s)
    answer_s = decode_s - thinking_s if thinking_s else decode_s
    rest_s -= slot_setup_s
    waits = (router_wait_s, throttle_wait_s, queue_s, load_s, slot_setup_s)
    parts = _new(Parts, (*waits, prefill_s, answer_s, client_s, 0.0, 0.0, rest_s, thinking_s))
    return _new(TimeSplit, (parts, source))


def _thinking(reply: Reply, decode_s: float) -> float:
    """Return how much of the decode came before the answer: as seen, or else as the tokens have it."""
    if reply.first_thought_s is not None:
        if reply.first_token_s is None:
            return decode_s  # it never came to an answer
        return min(decode_s, reply.first_token_s - reply.first_thought_s)
    tokens = (reply.output_tokens or 1) - 1
    return decode_s * min(1.0, (reply.thinking_tokens or 0) / tokens) if tokens else 0.0


def is_load_event(call: CallRecord, baseline: Baseline | None) -> bool:
    """Tell whether this call had to load the model, by how long its load took."""
    usual_s = baseline.load_s if baseline else 0.0
    return (call.reply.load_s or 0.0) > max(_LOAD_EVENT_S, _LOAD_EVENT_RATIO * usual_s)


def add_parts(parts: Iterable[Parts]) -> Parts:
    """Add up parts kind by kind."""
    rows = tuple(parts)
    if len(rows) == 1:
        return rows[0]
    columns = zip(*rows, strict=True)
    return Parts(*(math.fsum(column) for column in columns))


def mean_parts(parts: list[Parts]) -> Parts:
    """Average parts kind by kind; zeros where there is none."""
    return Parts(*(part / len(parts) for part in add_parts(parts))) if parts else Parts()


def _queue(call: CallRecord, baseline: Baseline | None) -> tuple[float, QueueSource]:
    if call.reply.queue_s is not None:
        return call.reply.queue_s, "exact"
    if baseline is None or call.residual_s is None:
        return 0.0, "unknown"
    wait_s = max(0.0, call.residual_s - baseline.residual_s)
    if not is_load_event(call, baseline):
        wait_s += max(0.0, (call.reply.load_s or 0.0) - baseline.load_s)
    return wait_s, "residual"
