"""One trial as it went on its servers: which call had a slot when, and who waited meanwhile.

No server tells which of its slots a call had, only when it had one. Calls are laid into as many lanes as there are
slots, each into the first that is free: who generated together with whom is true, the number of a lane is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.core.records import CallRecord, TrialRecord

__all__ = ["MOST_CALLS", "Bar", "ServerLanes", "Timeline", "median_trial", "timeline"]

MOST_CALLS = 2000  # of a trial; an eye sees no more, and a page grows by 150 bytes a call


class Bar(NamedTuple):
    """A call on a server. Times are seconds on the trial's clock."""

    call: CallRecord
    lane: int | None  # None: it failed, or was given up, and nothing tells whether it had a slot
    slot_s: float  # out of the queue
    prefill_s: float  # its prompt is taken up
    decode_s: float  # its first token
    end_s: float


class ServerLanes(NamedTuple):
    """One server: `lanes` is its slots, or as many as were in use where the slots are not known."""

    server: str
    lanes: int
    slots: int | None
    bars: tuple[Bar, ...]  # in the order of `slot_s`


class Timeline(NamedTuple):
    """One trial of one candidate, or the first calls of it."""

    candidate: str
    repeat: int
    makespan_s: float
    calls: int  # of the whole trial
    shown: int
    until_s: float | None  # all calls that were ready before it are shown; None: all of the trial
    servers: tuple[ServerLanes, ...]


def median_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial with the (lower) median makespan: one that happened."""
    ordered = sorted((trial for trial in trials if trial.complete), key=lambda trial: (trial.makespan_s, trial.repeat))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def timeline(
    trial: TrialRecord, calls: Sequence[CallRecord], slots: Mapping[str, int], most: int = MOST_CALLS
) -> Timeline:
    """Lay the calls of a trial out. `slots` maps servers to theirs; of more than `most` calls the first ready ones."""
    ordered = sorted(calls, key=lambda call: (call.ready_s, call.call))
    shown, until_s = ordered[:most], ordered[most].ready_s if len(ordered) > most else None
    names = sorted({call.server for call in shown})
    return Timeline(
        trial.candidate,
        trial.repeat,
        trial.makespan_s,
        len(ordered),
        len(shown),
        until_s,
        tuple(_lanes(name, [call for call in shown if call.server == name], slots.get(name)) for name in names),
    )


def _lanes(server: str, calls: Sequence[CallRecord], slots: int | None) -> ServerLanes:
    bars = sorted((_bar(call) for call in calls), key=lambda bar: (bar.slot_s, bar.call.call))
    free_s: list[float] = []  # of each lane: the end of its last call
    placed = []
    for bar in bars:
        if bar.lane is None:
            placed.append(bar)
            continue
        lane = next((i for i, end_s in enumerate(free_s) if end_s <= bar.slot_s), None)
        if lane is None and (slots is None or len(free_s) < slots):
            lane = len(free_s)
            free_s.append(0.0)
        if lane is None:  # an end comes a little late over the wire: the slot that is about to be free
            lane = min(range(len(free_s)), key=free_s.__getitem__)
        free_s[lane] = max(free_s[lane], bar.end_s)
        placed.append(bar._replace(lane=lane))
    return ServerLanes(server, slots or len(free_s), slots, tuple(placed))


def _bar(call: CallRecord) -> Bar:
    """Count back from the end: decode, prefill, load; what lies between these and `sent` was the queue."""
    reply = call.reply
    sent_s = reply.sent_s if reply.sent_s is not None else call.ready_s
    end_s = reply.end_s if reply.end_s is not None else sent_s
    if call.outcome != "ok" or reply.decode_s is None:
        return Bar(call, None, sent_s, sent_s, sent_s, max(sent_s, end_s))
    decode_s = max(sent_s, end_s - reply.decode_s)
    prefill_s = max(sent_s, decode_s - (reply.prefill_s or 0.0))
    slot_s = sent_s + reply.queue_s if reply.queue_s is not None else prefill_s - (reply.load_s or 0.0)
    return Bar(call, 0, min(max(sent_s, slot_s), prefill_s), prefill_s, decode_s, end_s)
