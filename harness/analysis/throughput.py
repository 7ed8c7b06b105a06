"""Throughput: tokens over the time in which they were made, never the sum of per-call rates (those overcount)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.core.records import CallRecord

__all__ = ["AtConcurrency", "by_concurrency", "output_tokens", "throughput"]


class AtConcurrency(NamedTuple):
    """What a server did while exactly `in_flight` calls were sent and not ended."""

    in_flight: int
    time_s: float
    tokens: float  # decoded meanwhile; a call's tokens spread evenly over its decode time
    tokens_per_s: float


def output_tokens(calls: Iterable[CallRecord]) -> int:
    """Count the tokens of the calls that succeeded."""
    return sum(call.reply.output_tokens or 0 for call in calls if call.outcome == "ok")


def throughput(calls: Sequence[CallRecord], makespan_s: float) -> float | None:
    """Return all output tokens over the makespan, or None for an empty one."""
    return output_tokens(calls) / makespan_s if makespan_s > 0 else None


def by_concurrency(calls: Sequence[CallRecord]) -> tuple[AtConcurrency, ...]:
    """Weigh the calls of one trial on one server by the time that 1, 2, ... of them were in flight.

    In flight means from sent to end; a call that waits in the server counts, since that is what a client can choose.
    """
    changes: list[tuple[float, int, float]] = []  # at, change of in-flight, change of the decode rate
    for call in calls:
        reply = call.reply
        if call.outcome != "ok" or reply.sent_s is None or reply.end_s is None:
            continue
        changes += [(reply.sent_s, 1, 0.0), (reply.end_s, -1, 0.0)]
        if reply.decode_s and reply.output_tokens:
            rate = reply.output_tokens / reply.decode_s
            changes += [(reply.end_s - reply.decode_s, 0, rate), (reply.end_s, 0, -rate)]
    time_s: dict[int, float] = defaultdict(float)
    tokens: dict[int, float] = defaultdict(float)
    in_flight, rate, now_s = 0, 0.0, 0.0
    for at_s, step, rate_step in sorted(changes):
        time_s[in_flight] += at_s - now_s
        tokens[in_flight] += rate * (at_s - now_s)
        in_flight, rate, now_s = in_flight + step, rate + rate_step, at_s
    return tuple(
        AtConcurrency(n, time_s[n], tokens[n], tokens[n] / time_s[n]) for n in sorted(time_s) if n > 0 and time_s[n] > 0
    )
