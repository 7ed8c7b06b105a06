"""One trial as it went on its servers: which call had a slot when, and who waited meanwhile.

No server tells which of its slots a call had, only when it had one. Calls are laid into as many lanes as there are
slots, each into the first that is free: who generated together with whom is true, the number of a lane is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.core.records import CallRecord, TrialRecord

__all__ = ["MOST_CALLS", "Bar", "ServerLanes", "Timeline", "Waiting", "median_trial", "timeline"]

MOST_CALLS = 2000  # of a trial; an eye sees no more, and a page grows by 150 bytes a call
_MOST_STEPS = 400  # of a queue


class Bar(NamedTuple):
    """A call on a server. Times are seconds on the trial's clock."""

    call: CallRecord
    lane: int | None  # None: it failed, or was given up, and nothing tells whether it had a slot
    slot_s: float  # out of the queue
    prefill_s: float  # its prompt is taken up
    decode_s: float  # its first token
    end_s: float


class Waiting(NamedTuple):
    """So many calls waited from `time_s` on, until the next of these: means where there were more than can be seen."""

    time_s: float
    router: float  # ready, not sent
    server: float  # sent, no slot yet


class ServerLanes(NamedTuple):
    """One server: `lanes` is its slots, or as many as were in use where the slots are not known."""

    server: str
    lanes: int
    slots: int | None
    bars: tuple[Bar, ...]  # in the order in which their turns came
    waiting: tuple[Waiting, ...]  # of all calls, not only of those that have a bar


class Timeline(NamedTuple):
    """One trial of one candidate, or the first calls of it."""

    candidate: str
    repeat: int
    makespan_s: float
    calls: int  # of the whole trial
    shown: int
    until_s: float | None  # all calls whose turn came before it are shown; None: all of the trial
    servers: tuple[ServerLanes, ...]


def median_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial with the (lower) median makespan: one that happened."""
    ordered = sorted((trial for trial in trials if trial.complete), key=lambda trial: (trial.makespan_s, trial.repeat))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def timeline(
    trial: TrialRecord, calls: Sequence[CallRecord], slots: Mapping[str, int], most: int = MOST_CALLS
) -> Timeline:
    """Lay the calls of a trial out, of more than `most` those served first. `slots` maps servers to theirs."""
    bars = sorted((_bar(call) for call in calls), key=lambda bar: (_turn_s(bar), bar.call.call))
    until_s = _turn_s(bars[most]) if len(bars) > most else None
    servers = []
    for name in sorted({bar.call.server for bar in bars}):
        mine = [bar for bar in bars if bar.call.server == name]
        shown = [bar for bar in bars[:most] if bar.call.server == name]
        servers.append(_lanes(name, shown, slots.get(name), _waiting(mine, until_s)))
    return Timeline(
        trial.candidate, trial.repeat, trial.makespan_s, len(bars), len(bars[:most]), until_s, tuple(servers)
    )


def _turn_s(bar: Bar) -> float:
    """When it was a call's turn: of one that failed, the end of its waiting for one."""
    return bar.end_s if bar.lane is None else bar.slot_s


def _waiting(bars: Sequence[Bar], until_s: float | None) -> tuple[Waiting, ...]:
    changes: list[tuple[float, int, int]] = []
    for bar in bars:
        sent_s = bar.end_s if bar.call.reply.sent_s is None else bar.call.reply.sent_s
        changes += [(bar.call.ready_s, 1, 0), (sent_s, -1, 0)]
        if bar.lane is not None:
            changes += [(sent_s, 0, 1), (bar.slot_s, 0, -1)]
    changes.sort()
    steps: list[Waiting] = []
    router = server = 0
    for time_s, more_router, more_server in changes:
        if until_s is not None and time_s > until_s:
            break
        router, server = router + more_router, server + more_server
        if steps and steps[-1].time_s == time_s:
            steps.pop()
        steps.append(Waiting(time_s, router, server))
    return tuple(steps) if len(steps) <= _MOST_STEPS else _means(steps)


def _means(steps: Sequence[Waiting]) -> tuple[Waiting, ...]:
    """Average over equal pieces of the whole time."""
    start_s, end_s = steps[0].time_s, steps[-1].time_s
    piece_s = (end_s - start_s) / _MOST_STEPS
    router, server = [0.0] * _MOST_STEPS, [0.0] * _MOST_STEPS
    for step, after in pairwise(steps):
        from_s = step.time_s
        while from_s < after.time_s:
            piece = min(_MOST_STEPS - 1, int((from_s - start_s) / piece_s))
            to_s = after.time_s if piece == _MOST_STEPS - 1 else min(after.time_s, start_s + (piece + 1) * piece_s)
            to_s = max(to_s, math.nextafter(from_s, math.inf))  # rounding must not stop it
            router[piece] += step.router * (to_s - from_s) / piece_s
            server[piece] += step.server * (to_s - from_s) / piece_s
            from_s = to_s
    pieces = [Waiting(start_s + i * piece_s, router[i], server[i]) for i in range(_MOST_STEPS)]
    return (*pieces, steps[-1])


def _lanes(server: str, bars: Sequence[Bar], slots: int | None, waiting: tuple[Waiting, ...]) -> ServerLanes:
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
    return ServerLanes(server, slots or len(free_s), slots, tuple(placed), waiting)


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
