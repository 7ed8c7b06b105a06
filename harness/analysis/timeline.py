"""One trial as it went on its servers: which call had a slot when (`slots_of`), and who waited meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.analysis.slots import InSlot, slots_of
from harness.core.records import CallRecord, TrialRecord
from harness.runs.model import Baseline

__all__ = [
    "MOST_CALLS",
    "MOST_REPEATS",
    "ServerLanes",
    "Timeline",
    "Waiting",
    "median_trial",
    "timeline",
    "trials_to_show",
]

MOST_CALLS = 2000  # of a trial; an eye sees no more, and a page grows by 150 bytes a call
MOST_REPEATS = 10  # nobody looks through more
_MEDIANS = 6000  # calls in the median trials of all candidates together
_ALL = 9000  # calls in all timelines together
_MOST_STEPS = 400  # of a queue


class Waiting(NamedTuple):
    """So many calls waited from `time_s` on, until the next of these: means where there were more than can be seen."""

    time_s: float
    router: float  # ready, not sent
    server: float  # sent, no slot yet


class ServerLanes(NamedTuple):
    """One server: `lanes` is its slots, or as many as were in use where the slots are not known, or were more."""

    server: str
    lanes: int
    slots: int | None
    bars: tuple[InSlot, ...]  # in the order in which their turns came
    waiting: tuple[Waiting, ...]  # of all calls, not only of those that have a bar


class Timeline(NamedTuple):
    """One trial of one candidate, or the first calls of it."""

    candidate: str
    repeat: int
    median: bool  # of its candidate's trials it is the one with the median makespan
    makespan_s: float
    calls: int  # of the whole trial
    shown: int
    until_s: float | None  # all calls whose turn came before it are shown; None: all of the trial
    servers: tuple[ServerLanes, ...]


def median_trial(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the complete trial with the (lower) median makespan: one that happened."""
    ordered = sorted((trial for trial in trials if trial.complete), key=lambda trial: (trial.makespan_s, trial.repeat))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def trials_to_show(
    candidates: Sequence[str], trials: Sequence[TrialRecord], calls: Mapping[tuple[str, int], int]
) -> tuple[list[TrialRecord], int]:
    """Return the trials that have room on a page, by candidate and repeat, and the most calls to show of each.

    First the median trial of each candidate; then whole repeats, since the candidates of a repeat faced the same work:
    those with a median trial before others. `calls` says how many a trial had, by (candidate, repeat).
    """
    complete = {name: [t for t in trials if t.candidate == name and t.complete] for name in candidates}
    medians = [found for name in candidates if (found := median_trial(complete[name])) is not None]
    most = min(MOST_CALLS, _MEDIANS // max(1, len(medians)))

    def size(some: Sequence[TrialRecord]) -> int:
        return sum(min(most, calls.get((trial.candidate, trial.repeat), 0)) for trial in some)

    shown, repeats = list(medians), {trial.repeat for trial in medians}
    for count, repeat in enumerate(dict.fromkeys((*sorted(repeats), *sorted({t.repeat for t in trials})))):
        more = [trial for mine in complete.values() for trial in mine if trial.repeat == repeat and trial not in shown]
        if count >= MOST_REPEATS or size(shown) + size(more) > _ALL:
            break
        shown += more
    place = {name: i for i, name in enumerate(candidates)}
    return sorted(shown, key=lambda trial: (place[trial.candidate], trial.repeat)), most


def timeline(
    trial: TrialRecord,
    calls: Sequence[CallRecord],
    slots: Mapping[str, int],
    baselines: Mapping[str, Baseline | None],
    most: int = MOST_CALLS,
    *,
    median: bool = True,
) -> Timeline:
    """Lay the calls of a trial out, of more than `most` those served first. `slots` maps servers to theirs."""
    by_server: dict[str, list[CallRecord]] = {}
    for call in calls:
        by_server.setdefault(call.server, []).append(call)
    bars = {name: slots_of(mine, baselines, slots.get(name)) for name, mine in sorted(by_server.items())}
    turns = sorted(bar.turn_s for mine in bars.values() for bar in mine)
    until_s = turns[most] if len(turns) > most else None
    servers = []
    for name, mine in bars.items():
        shown = tuple(bar for bar in mine if until_s is None or bar.turn_s < until_s)
        lanes = max((bar.slot + 1 for bar in mine if bar.slot is not None), default=0)
        known = slots.get(name)
        servers.append(ServerLanes(name, max(known or 0, lanes), known, shown, _waiting(mine, until_s)))
    return Timeline(
        trial.candidate,
        trial.repeat,
        median,
        trial.makespan_s,
        len(turns),
        sum(len(server.bars) for server in servers),
        until_s,
        tuple(servers),
    )


def _waiting(bars: Sequence[InSlot], until_s: float | None) -> tuple[Waiting, ...]:
    changes: list[tuple[float, int, int]] = []
    for bar in bars:
        sent_s = bar.end_s if bar.call.reply.sent_s is None else bar.call.reply.sent_s
        changes += [(bar.call.ready_s, 1, 0), (sent_s, -1, 0)]
        if bar.slot is not None:
            changes += [(sent_s, 0, 1), (bar.queued_s, 0, -1)]
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
