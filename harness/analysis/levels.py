"""Concurrency levels: the same call once, twice, four times at once; and how many slots a server really has."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from harness.analysis.statistics import EQUIVALENCE
from harness.analysis.throughput import output_tokens
from harness.analysis.timesplit import split_call
from harness.core.records import CallRecord, Origin, Reply
from harness.runs.model import Baseline, Run

__all__ = [
    "Level",
    "Levels",
    "began_together",
    "counted_surely",
    "effective_slots",
    "level_of",
    "levels_of",
    "median_level",
    "median_slots",
    "sent_together",
]

_TRIM = 0.25  # of each end of an interval
_NO_START = (0.5, 0.8)  # of what a call takes, after the first began: in waves none begins then
_FEWEST_LEVELS = 3


class Level(NamedTuple):
    """What happened when `concurrent` equal calls were sent at once."""

    concurrent: int
    wall_s: float  # first sent to last end
    aggregate_tokens_per_s: float  # all tokens really made over wall_s
    per_call_tokens_per_s: float | None  # mean decode rate of one call
    queue_wait_s: float | None  # median wait for a turn, in the server and before it; None: unknown
    short_answers: int  # stopped before the pinned length


class Levels(NamedTuple):
    """One server at several concurrency levels."""

    label: str
    slots_asked: int | None
    slots_found: int | None
    rows: tuple[Level, ...]
    origin: Origin
    model: str = ""
    engine: str = ""  # name and version
    cpu_share: float = 0.0  # of its model, which did not fit onto the accelerator
    others: bool = False  # others used it meanwhile, as far as calls waited for them
    slots_at_least: bool = False  # there may be more than were found
    kind: str = ""  # that it is started as
    url: str = ""  # where it runs already, without credentials; "": it was started for this

    @property
    def rises(self) -> bool:
        """Whether the most calls at once that were tried reach most, and the server has room for more of them."""
        most = max(row.aggregate_tokens_per_s for row in self.rows)
        before = max((row.aggregate_tokens_per_s for row in self.rows[:-1]), default=math.inf)
        room = self.slots_found is None or self.slots_at_least or self.slots_found > self.rows[-1].concurrent
        return room and before * EQUIVALENCE < most


def effective_slots(calls: Sequence[CallRecord]) -> int:
    """Return the largest number of calls that generated at the same time: the slots a server really has.

    A call held its slot during [end - decode - prefill, end] on the client's clock (reference 1.5, 2.6); where the
    server tells no times, at least from the first token that the client saw to the last. A quarter of
    the interval is trimmed from either end: the client sees an end late, when the next call in that slot has already
    begun, and on a busy machine late by tens of milliseconds; equal calls that really share a server overlap by far
    more. Send more calls than slots, all at once, or the answer is a lower bound.
    """
    changes: list[tuple[float, int]] = []
    for end_s, held_s in _held(calls):
        changes += [(end_s - held_s * (1 - _TRIM), 1), (end_s - held_s * _TRIM, -1)]
    most = now = 0
    for _, step in sorted(changes):  # an end sorts before a start at the same instant
        now += step
        most = max(most, now)
    return most


def sent_together(calls: Sequence[CallRecord]) -> bool:
    """Whether calls that were sent at once left so close to each other that all could be under way together.

    They did if between the first and the last less passed than half of what the quickest of them took.
    """
    ended = [call.reply for call in calls if call.outcome == "ok"]
    spans = [(reply.sent_s, reply.end_s) for reply in ended if reply.sent_s is not None and reply.end_s is not None]
    if not spans:
        return True
    sent = [sent_s for sent_s, _ in spans]
    return max(sent) - min(sent) <= min(end_s - sent_s for sent_s, end_s in spans) / 2


def began_together(calls: Sequence[CallRecord]) -> bool:
    """Whether calls began to generate in waves: at once, and more of them only as the first ended.

    A server with fewer slots than calls takes them in waves. Where this machine, or what lies between, hands calls on
    slowly, they begin one by one over longer than one of them takes, and fewer overlap than the server would let.
    Then some begin while the first is in the second half of its time, where no slot becomes free.
    """
    held = [(end_s - held_s, held_s) for end_s, held_s in _held(calls)]
    if not held:
        return True
    first_s, usual_s = min(start_s for start_s, _ in held), median(held_s for _, held_s in held)
    low_s, high_s = (first_s + usual_s * share for share in _NO_START)
    return not any(low_s < start_s < high_s for start_s, _ in held)


def counted_surely(bursts: Sequence[Sequence[CallRecord]], found: int) -> bool:
    """Whether bursts show that a server has `found` slots and no more, where more calls than that were sent.

    They do where most of them found so many, and their calls were sent, and began, close enough to each other.
    """
    agree = [calls for calls in bursts if effective_slots(calls) == found]
    close = all(map(sent_together, bursts)) and all(map(began_together, agree))
    return close and 2 * len(agree) > len(bursts)


def _held(calls: Sequence[CallRecord]) -> Iterator[tuple[float, float]]:
    """Yield when each call that ended well ended, with how long it held its slot."""
    for call in calls:
        held_s = _held_s(call.reply)
        if call.outcome == "ok" and call.reply.end_s is not None and held_s is not None:
            yield call.reply.end_s, held_s


def _held_s(reply: Reply) -> float | None:
    """Return how long a call held its slot; None where that is not known."""
    if reply.end_s is None:
        return None
    if reply.prefill_s is not None and reply.decode_s is not None and reply.prefill_s + reply.decode_s > 0:
        return reply.prefill_s + reply.decode_s
    return None if reply.first_token_s is None else reply.end_s - reply.first_token_s


def median_slots(runs: Sequence[Sequence[CallRecord]]) -> int:
    """Return the median of `effective_slots` over probe runs (three are usual; the lower one of an even number)."""
    found = sorted(effective_slots(calls) for calls in runs)
    return found[(len(found) - 1) // 2]


def level_of(calls: Sequence[CallRecord], baseline: Baseline | None = None, pinned_tokens: int | None = None) -> Level:
    """Sum one level up from the records of calls that were sent at once; failed ones count as not sent.

    Raises ValueError where none succeeded.
    """
    ended = [call for call in calls if call.outcome == "ok" and call.reply.sent_s is not None]
    spans = [(call.reply.sent_s, call.reply.end_s) for call in ended]
    wall_s = max((end or 0.0) for _, end in spans) - min((sent or 0.0) for sent, _ in spans)
    rates = [rate for call in ended if (rate := call.decode_tokens_per_s) is not None]
    splits = [split for call in ended if (split := split_call(call, baseline)) and split.queue_source != "unknown"]
    return Level(
        concurrent=len(ended),
        wall_s=wall_s,
        aggregate_tokens_per_s=output_tokens(ended) / wall_s if wall_s > 0 else math.nan,
        per_call_tokens_per_s=fmean(rates) if rates else None,
        queue_wait_s=median(s.parts.router_wait_s + s.parts.queue_wait_s for s in splits) if splits else None,
        short_answers=sum((call.reply.output_tokens or 0) < (pinned_tokens or 0) for call in ended),
    )


def median_level(rows: Sequence[Level]) -> Level:
    """Return the medians over repeats of one level; short answers are summed."""
    rates = [row.per_call_tokens_per_s for row in rows if row.per_call_tokens_per_s is not None]
    waits = [row.queue_wait_s for row in rows if row.queue_wait_s is not None]
    return Level(
        concurrent=rows[0].concurrent,
        wall_s=median(row.wall_s for row in rows),
        aggregate_tokens_per_s=median(row.aggregate_tokens_per_s for row in rows),
        per_call_tokens_per_s=median(rates) if rates else None,
        queue_wait_s=median(waits) if waits else None,
        short_answers=sum(row.short_answers for row in rows),
    )


def levels_of(run: Run, pinned: dict[tuple[str, str], int]) -> tuple[Levels, ...]:
    """Find the concurrency levels in a run, per candidate; empty where the workload is not made of them.

    It is one where every batch of calls (one node of one job) was alone: no two overlap in time, and there are at
    least three sizes. `pinned` maps (pipeline, node) to the pinned answer length.
    """
    facts = {server.name: server for server in run.servers}
    trials: dict[tuple[str, int], dict[tuple[str, int, str], list[CallRecord]]] = defaultdict(lambda: defaultdict(list))
    done = {(trial.candidate, trial.repeat) for trial in run.trials if trial.complete}
    for call in run.calls:
        if (call.candidate, call.repeat) in done and call.outcome == "ok":
            trials[call.candidate, call.repeat][call.pipeline, call.job, call.node].append(call)
    by_candidate: dict[str, dict[int, list[Level]]] = defaultdict(lambda: defaultdict(list))
    used: dict[str, set[str]] = defaultdict(set)
    for (candidate, _), batches in trials.items():
        if len({len(calls) for calls in batches.values()}) < _FEWEST_LEVELS or _overlap(list(batches.values())):
            return ()
        for (pipeline, _, node), calls in batches.items():
            used[candidate] |= {call.server for call in calls}
            server = facts.get(calls[0].server)
            row = level_of(calls, server.baseline if server else None, pinned.get((pipeline, node)))
            by_candidate[candidate][row.concurrent].append(row)
    found_levels = []
    for candidate in run.candidates:
        if len(used[candidate]) != 1:
            continue
        server = facts.get(next(iter(used[candidate])))
        rows = tuple(median_level(by_candidate[candidate][n]) for n in sorted(by_candidate[candidate]))
        asked, found = (server.slots_asked, server.slots_found) if server else (None, None)
        found_levels.append(Levels(candidate, asked, found, rows, run.origin))
    return tuple(found_levels)


def _overlap(batches: list[list[CallRecord]]) -> bool:
    spans = sorted((min(c.ready_s for c in calls), max(c.reply.end_s or 0.0 for c in calls)) for calls in batches)
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))
