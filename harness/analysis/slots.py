"""Which call was in which slot of its server, and when.

The log of a managed Ollama tells. Elsewhere it is seen from outside: who generated together with whom is true, the
number of a slot is not, each call lies in the lowest that was free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from harness.analysis.timesplit import split_call
from harness.core.records import CallRecord
from harness.runs.model import Baseline

__all__ = ["InSlot", "slots_of"]


class InSlot(NamedTuple):
    """One call on its server. Times are seconds on the trial's clock."""

    call: CallRecord
    slot: int | None  # 0, 1, ...; None: it failed, or was given up, and nothing tells whether it had one
    queued_s: float  # it waited in the server's queue until then; where that is not known, when it was sent
    start_s: float  # the same, or a little later, when the one before it in its slot had ended
    prefill_s: float | None  # its prompt was taken up; None where it failed
    decode_s: float | None  # its answer began
    end_s: float

    @property
    def turn_s(self) -> float:
        """When it was the call's turn: of one that failed, the end of its waiting for one."""
        return self.end_s if self.slot is None else self.start_s


def slots_of(
    calls: Sequence[CallRecord], baselines: Mapping[str, Baseline | None], slots: int | None = None
) -> list[InSlot]:
    """Put the calls of one trial on one server into slots, in the order in which they began.

    Each comes in the slot that was told; where that is not known of all, in the lowest that was free. Of these there
    are as many as `slots` says, or more where more calls overlapped. A call that the clock shows beginning before the
    one in front of it has ended (the client sees an end late) begins where that ends: in one slot nothing overlaps.
    Calls that failed come in no slot, in the order in which they were given up.
    """
    spans = [_span(call, baselines.get(call.server)) for call in calls]
    spans.sort(key=lambda span: (span.turn_s, span.call.call))
    served = [span for span in spans if span.slot is not None]
    place: _Told | _LowestFree
    if all(span.call.reply.slot is not None for span in served):
        place = _Told()
    else:
        place = _LowestFree(max(slots or 1, _width(served)))
    return [span if span.slot is None else _from(span, *place(span)) for span in spans]


class _Told:
    """Says which slot a call was in, and from when on it can have been there: slots are known."""

    def __init__(self) -> None:
        self._left_s: dict[int, float] = {}

    def __call__(self, span: InSlot) -> tuple[int, float]:
        slot = span.call.reply.slot
        assert slot is not None
        free_s = max(span.start_s, self._left_s.get(slot, span.start_s))
        self._left_s[slot] = max(span.end_s, free_s)
        return slot, free_s


class _LowestFree:
    """Says the same where slots are not known."""

    def __init__(self, slots: int) -> None:
        self._free = list(range(slots))
        self._busy: list[tuple[float, int]] = []  # (end, slot)

    def __call__(self, span: InSlot) -> tuple[int, float]:
        free, busy = self._free, self._busy
        while busy and busy[0][0] <= span.start_s:
            heappush(free, heappop(busy)[1])
        if free:
            free_s, slot = span.start_s, heappop(free)
        else:  # within the tolerance of the clocks: goes on where the first one ends
            free_s, slot = heappop(busy)
        heappush(busy, (max(span.end_s, free_s), slot))
        return slot, free_s


def _from(span: InSlot, slot: int, free_s: float) -> InSlot:
    """Return a call in its slot, from when that is free."""
    assert span.prefill_s is not None and span.decode_s is not None
    start_s = min(free_s, span.end_s)
    return span._replace(
        slot=slot, start_s=start_s, prefill_s=max(span.prefill_s, start_s), decode_s=max(span.decode_s, start_s)
    )


def _span(call: CallRecord, baseline: Baseline | None) -> InSlot:
    """Count back from the end: client, decode, prefill. The slot is still to be found."""
    reply = call.reply
    split = split_call(call, baseline)
    if split is None or reply.sent_s is None or reply.end_s is None:  # nothing but its ends is known
        start_s = call.ready_s if reply.sent_s is None else reply.sent_s
        end_s = start_s if reply.end_s is None else max(start_s, reply.end_s)
        return InSlot(call, None, start_s, start_s, None, None, end_s)
    parts = split.parts
    end_s = max(reply.sent_s, reply.end_s - max(0.0, parts.client_s))
    start_s = min(end_s, reply.sent_s + parts.queue_wait_s)
    decode_s = max(start_s, end_s - parts.generating_s)
    return InSlot(call, 0, start_s, start_s, max(start_s, decode_s - parts.prefill_s), decode_s, end_s)


def _width(spans: Sequence[InSlot]) -> int:
    """Return the most calls that overlap less a quarter of each at either end (docs/explanation/measuring.md)."""
    edges = []
    for span in spans:
        trim_s = (span.end_s - span.start_s) / 4
        edges += [(span.start_s + trim_s, 1), (span.end_s - trim_s, -1)]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most
