"""Which call was in which slot of its server, and when: seen from outside, since no server tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from harness.analysis.timesplit import split_call
from harness.core.records import CallRecord
from harness.runs.model import Baseline

__all__ = ["InSlot", "slots_of"]


class InSlot(NamedTuple):
    """One call in a slot. The numbers of slots are ours; what a server calls them is not known."""

    call: CallRecord
    slot: int  # 0, 1, ...
    start_s: float  # it had waited in the server's queue until then; where that is not known, when it was sent
    prefill_s: float | None  # where its prompt began, where that is known
    decode_s: float | None  # where its answer began
    end_s: float


def slots_of(calls: Sequence[CallRecord], baselines: Mapping[str, Baseline | None]) -> list[InSlot]:
    """Put the calls of one trial on one server into slots in the order in which they began, each into the lowest free.

    A call that the clock shows beginning before the one in front of it has ended (the client sees an end late) begins
    where that ends: in one slot nothing overlaps. Calls that never reached the server are left out.
    """
    spans = [span for call in calls if (span := _span(call, baselines.get(call.server))) is not None]
    spans.sort(key=lambda span: (span[1], span[0].call))
    free = list(range(_width(spans)))
    busy: list[tuple[float, int]] = []  # (end, slot)
    found = []
    for call, start_s, decode_at_s, end_s in spans:
        free_s = start_s
        while busy and busy[0][0] <= start_s:
            heappush(free, heappop(busy)[1])
        if free:
            slot = heappop(free)
        else:  # within the tolerance of the clocks: goes on where the first one ends
            free_s, slot = heappop(busy)
            start_s = min(free_s, end_s)
        parts = split_call(call, baselines.get(call.server))
        decode_s = None if decode_at_s is None else min(max(decode_at_s, start_s), end_s)
        prefill_s = None
        if decode_s is not None and parts is not None:
            prefill_s = max(start_s, decode_s - parts.parts.prefill_s)
        found.append(InSlot(call, slot, start_s, prefill_s, decode_s, end_s))
        heappush(busy, (max(end_s, free_s), slot))
    return found


Span = tuple[CallRecord, float, float | None, float]  # call, start, where its answer began, end


def _span(call: CallRecord, baseline: Baseline | None) -> Span | None:
    reply = call.reply
    if reply.sent_s is None or reply.end_s is None:
        return None
    split = split_call(call, baseline)
    if split is None:  # it failed: nothing but its ends is known
        return call, reply.sent_s, None, max(reply.sent_s, reply.end_s)
    parts = split.parts
    end_s = max(reply.sent_s, reply.end_s - max(0.0, parts.client_s))
    start_s = min(end_s, reply.sent_s + parts.queue_wait_s)
    return call, start_s, max(start_s, end_s - parts.decode_s), end_s


def _width(spans: Sequence[Span]) -> int:
    """Return the most calls that overlap where a quarter of each is trimmed from either end (docs/measuring.md)."""
    edges = []
    for _, start_s, _, end_s in spans:
        trim_s = (end_s - start_s) / 4
        edges += [(start_s + trim_s, 1), (end_s - trim_s, -1)]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return max(1, most)
