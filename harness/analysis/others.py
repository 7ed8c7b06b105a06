"""The load of others: waits on a server that a run's own calls do not explain.

A server that has a free slot gives it to a call at once. So while a call of ours waits, the server works: for us, or
for others. What it does for us is known: which of our calls were there, and when they can have been reading their
prompts. docs/explanation/measuring.md has the rule and what it leaves out. More calls of ours only explain more.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.analysis.facts import TouchedTrial
from harness.analysis.timesplit import is_load_event
from harness.core.records import PREDICTED, CallRecord
from harness.runs.model import Baseline, Run

__all__ = ["NOISE_S", "Waited", "longest_read_s", "touched_trials", "untouched", "waits_for_others"]

# More than an idle machine spends on a request besides its baseline: tokenizing, a thread that has to be woken.
NOISE_S = 0.1
_MOST_OVERHEAD_S = 0.5  # a baseline above this was itself disturbed: no request costs so much besides its tokens


class Waited(NamedTuple):
    """A call of ours that waited while others had the server."""

    call: CallRecord
    others_s: float  # at least


def waits_for_others(
    calls: Iterable[CallRecord], slots: int | None, baseline: Baseline | None, read_s: float = 0.0
) -> tuple[Waited, ...]:
    """Return the calls that waited longer than all of our own calls there explain.

    Args:
        calls: every call of one trial to one server, whatever became of it.
        slots: that it was found to have; None: not known, so that any call of ours explains a wait.
        baseline: of a single call there; None: the server tells its queue exactly, or nothing can be said.
        read_s: the longest that it read a prompt of ours before this trial: it may put aside what that left.
    """
    mine = [call for call in calls if call.started_s is not None]
    if len({call.model for call in mine}) > 1:
        slots = None  # each model has slots of its own, and they make room for each other
    overhead_s = min(baseline.residual_s, _MOST_OVERHEAD_S) if baseline else 0.0
    own_s = 2 * overhead_s + max(read_s, longest_read_s(mine)) + _longest_step_s(mine) + NOISE_S
    unexplained = _Unexplained(mine, slots, overhead_s, own_s, baseline)
    found = []
    for call in mine:
        reply = call.reply
        if not _tells(call) or reply.sent_s is None or call.wall_s is None:
            continue
        held_s = (reply.prefill_s or 0.0) + (reply.decode_s or 0.0)
        if reply.queue_s is not None:
            # Where in the call the wait lies is known but for the rest of its time.
            window_s, allowed_s = reply.queue_s, max(0.0, call.wall_s - held_s - reply.queue_s) + own_s
        elif baseline is None or is_load_event(call, baseline):
            continue
        else:
            load_s = reply.load_s or 0.0
            window_s = load_s + (call.residual_s or 0.0)
            allowed_s = load_s + max(0.0, call.client_s or 0.0) + own_s
        if window_s > allowed_s:  # else there is nothing to look for
            others_s = unexplained.within(reply.sent_s, reply.sent_s + window_s) - allowed_s
            if others_s > 0:
                found.append(Waited(call, others_s))
    return tuple(found)


def touched_trials(run: Run) -> tuple[TouchedTrial, ...]:
    """Return the complete trials in which calls waited for others, on servers that ran already.

    Nobody else knows of a server that Slotwise started, and nobody else is there in a prediction.
    """
    specs = run.workload.servers or {}
    shared = {facts.name: facts for facts in run.servers if facts.name in specs and specs[facts.name].running}
    if not shared or run.origin in PREDICTED:
        return ()
    done = {(trial.candidate, trial.repeat) for trial in run.trials if trial.complete}
    trials: dict[tuple[str, int, str], list[CallRecord]] = defaultdict(list)
    for call in run.calls:
        if call.server in shared and (call.candidate, call.repeat) in done:
            trials[call.candidate, call.repeat, call.server].append(call)
    found = []
    for (candidate, repeat, server), calls in trials.items():
        facts = shared[server]
        waited = waits_for_others(calls, facts.slots_found, facts.baseline)
        if waited:
            others_s = math.fsum(one.others_s for one in waited)
            found.append(TouchedTrial(candidate, repeat, server, len(waited), others_s))
    return tuple(found)


def untouched(run: Run, touched: Iterable[TouchedTrial]) -> Run:
    """Return the run as if the touched trials had not been measured."""
    out = {(one.candidate, one.repeat) for one in touched}
    return run._replace(
        trials=tuple(one for one in run.trials if (one.candidate, one.repeat) not in out),
        calls=tuple(one for one in run.calls if (one.candidate, one.repeat) not in out),
        jobs=tuple(one for one in run.jobs if (one.candidate, one.repeat) not in out),
        delays=tuple(one for one in run.delays if (one.candidate, one.repeat) not in out),
    )


def longest_read_s(calls: Iterable[CallRecord]) -> float:
    """Return the longest time that a prompt was read; to put aside what is in a slot takes less than to read it."""
    return max((call.reply.prefill_s or 0.0 for call in calls), default=0.0)


def _longest_step_s(calls: Iterable[CallRecord]) -> float:
    """Return the longest step of any call: a new one waits until the step that is under way has ended."""
    steps = (
        (call.reply.decode_s or 0.0) / (call.reply.output_tokens - 1)
        for call in calls
        if call.reply.output_tokens is not None and call.reply.output_tokens > 1
    )
    return max(steps, default=0.0)


def _tells(call: CallRecord) -> bool:
    """Whether a call ended well and its server told how long it had its slot."""
    reply = call.reply
    return call.outcome == "ok" and None not in (reply.total_s, reply.prefill_s, reply.decode_s)


class _Unexplained:
    """When a call that waits cannot be waiting for ours: fewer of them have a slot than there are slots, and none reads
    a prompt.

    The same for every call: one that waits has no slot yet.

    Args:
        slots: None: it is not known which call has one, so each has from when it was sent.
        setup_s: a call may have its slot for so long before it reads its prompt.
    """

    def __init__(
        self,
        calls: Sequence[CallRecord],
        slots: int | None,
        overhead_s: float,
        setup_s: float,
        baseline: Baseline | None,
    ) -> None:
        changes: list[tuple[float, int, int]] = []  # when, calls with a slot, calls that may be reading
        for call in calls:
            sent_s, end_s = _there(call)
            read_s, first_s = _reading(call, overhead_s, baseline)
            from_s = max(sent_s, read_s - setup_s) if slots else sent_s
            changes += [(sent_s, 0, 0), (from_s, 1, 0), (end_s, -1, 0), (read_s, 0, 1), (first_s, 0, -1)]
        changes.sort()
        self._at_s = [at_s for at_s, *_ in changes]
        self._sum_s = [0.0]
        holding = reading = 0
        most = (slots or 2) - 1  # where it is not known, the call itself counts from when it was sent
        for (at_s, takes, reads), (next_s, *_) in pairwise(changes):
            holding, reading = holding + takes, reading + reads
            free = holding <= most and not reading and math.isfinite(next_s)
            self._sum_s.append(self._sum_s[-1] + (next_s - at_s if free else 0.0))

    def within(self, from_s: float, to_s: float) -> float:
        """Return how much of that time is unexplained, in seconds."""
        return self._until(to_s) - self._until(from_s)

    def _until(self, at_s: float) -> float:
        place = bisect_right(self._at_s, at_s) - 1
        if place < 0:
            return 0.0
        if place + 1 >= len(self._sum_s):
            return self._sum_s[-1]
        whole_s = self._sum_s[place + 1] - self._sum_s[place]
        return self._sum_s[place] + (min(whole_s, at_s - self._at_s[place]) if whole_s else 0.0)


def _there(call: CallRecord) -> tuple[float, float]:
    """Return from when to when a call may be in its server.

    What was given up may go on there, and may even hold its slot for good (ollama/ollama#17131).
    """
    sent_s, end_s = call.reply.sent_s, call.reply.end_s
    from_s = sent_s if sent_s is not None else call.started_s or 0.0
    return from_s, end_s if end_s is not None and call.outcome in ("ok", "rejected") else math.inf


def _reading(call: CallRecord, overhead_s: float, baseline: Baseline | None) -> tuple[float, float]:
    """Return from when to when a call may be reading its prompt, which others wait for even with a free slot.

    On the client's clock the answer ends late by no more than the client's share and what a server does at the end.
    """
    from_s, to_s = _there(call)
    if not _tells(call) or is_load_event(call, baseline) or call.reply.end_s is None:
        return from_s, to_s
    first_s = call.reply.end_s - (call.reply.decode_s or 0.0)
    late_s = max(0.0, call.client_s or 0.0) + overhead_s
    return max(from_s, first_s - (call.reply.prefill_s or 0.0) - late_s), first_s
