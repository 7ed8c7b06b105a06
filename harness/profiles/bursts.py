"""Bursts of calls, and which of their times a fit compares with those of a replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from harness.core.step_costs import StepCosts
from harness.profiles.replay import Observed, Predicted, replay
from harness.profiles.solve import Vector

__all__ = ["bursts_of", "clusters_of", "equal_calls", "joined", "measured_times", "replayed_times"]


def bursts_of(observed: Sequence[Observed]) -> list[list[Observed]]:
    """Return the calls of each repetition of each burst."""
    found: dict[tuple[str, int], list[Observed]] = defaultdict(list)
    for call in observed:
        found[call.burst, call.repetition].append(call)
    return list(found.values())


def equal_calls(burst: Sequence[Observed]) -> list[list[int]]:
    """Return the indices of calls that nobody can tell apart: of one length, sent to one server at the same time."""
    found: dict[tuple[int, int, int, int], list[int]] = defaultdict(list)
    for i, call in enumerate(burst):
        found[call.server, call.group, call.prompt_tokens, call.output_tokens].append(i)
    return list(found.values())


def joined(burst: Sequence[Observed]) -> list[Observed]:
    """Return the calls with those sent at once that began in one step sent at the very same time.

    They arrive a millisecond or two apart, in any order, and how many of them the first step still takes decides
    chance. The server tells: they began when the first one did, not after its prompt.
    """
    calls = list(burst)
    for indices in equal_calls(burst):
        begun = {
            i: c.sent_s + c.wall_s - (c.decode_s or 0.0) - (c.prefill_s or 0.0) for i in indices for c in [burst[i]]
        }
        first = min(indices, key=begun.__getitem__)
        until_s = begun[first] + (burst[first].prefill_s or 0.0) / 2
        together = sum(begun[i] <= until_s for i in indices)
        by_sent = sorted(indices, key=lambda i: burst[i].sent_s)
        sent_s = burst[by_sent[0]].sent_s
        for i in by_sent[:together]:
            calls[i] = burst[i]._replace(sent_s=sent_s, wall_s=burst[i].wall_s + burst[i].sent_s - sent_s)
    return calls


def _parts(calls: Sequence[Observed | Predicted], like: Sequence[Observed]) -> list[float]:
    """The times of a burst that count; the same ones of the measured calls `like` and of their predictions.

    Which of several equal calls comes first is chance, so they are compared by rank.
    """
    parts: list[float] = []
    for indices in equal_calls(like):
        parts += sorted(calls[i].wall_s for i in indices)
        if all(like[i].prefill_s for i in indices):
            parts += sorted(calls[i].prefill_s or 0.0 for i in indices)
        if all(like[i].decode_s and like[i].output_tokens > 1 for i in indices):
            parts += sorted(calls[i].decode_s or 0.0 for i in indices)
    return parts


def measured_times(bursts: Sequence[Sequence[Observed]]) -> Vector:
    """Return the times that count, in seconds, burst by burst."""
    return np.array([part for burst in bursts for part in _parts(burst, burst)])


def clusters_of(bursts: Sequence[Sequence[Observed]]) -> list[int]:
    """Return the number of the burst that each of `measured_times` is of."""
    return [number for number, burst in enumerate(bursts) for _ in _parts(burst, burst)]


def replayed_times(
    bursts: Sequence[Sequence[Observed]],
    costs: Callable[[Sequence[Observed]], Sequence[StepCosts]],
    stretch: float,
) -> Vector:
    """Return the same times of the bursts run on the server model.

    Args:
        bursts: of calls.
        costs: of the servers of a burst.
        stretch: the factor of contention.
    """
    return np.array([part for burst in bursts for part in _parts(replay(costs(burst), burst, stretch), burst)])
