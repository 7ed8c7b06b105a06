"""When the jobs of an open loop are intended to start: one after the other, each drawn when the one before it is due.

Nothing here knows whether anybody can keep up: that is what makes the loop open.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from math import log, sqrt

from harness.core.draws import uniform
from harness.core.graph import Arrival, Ramp

__all__ = ["arrival_times", "expected_arrivals"]


def arrival_times(arrival: Arrival, base_s: float, seed: int, repeat: int, pipeline: str) -> Iterator[float]:
    """Yield the intended starts in order, counted from `base_s`; without end, but for a list of times.

    Arrival n of a Poisson process or a ramp is drawn by the key (seed, repeat, pipeline, n, "arrival"): it is the same
    for every candidate.
    """
    if arrival.every_s is not None:
        every_s = arrival.every_s
        return (base_s + n * every_s for n in count())
    if arrival.bursts is not None:
        size, every_s = arrival.bursts
        return (base_s + n // size * every_s for n in count())
    if arrival.poisson_per_s is not None:
        rate = arrival.poisson_per_s
        return (base_s + work / rate for work in _unit_poisson(seed, repeat, pipeline))
    if arrival.ramp is not None:
        ramp = arrival.ramp
        return (base_s + _when(ramp, work) for work in _unit_poisson(seed, repeat, pipeline))
    return (base_s + due_s for due_s in arrival.due_s)


def _unit_poisson(seed: int, repeat: int, pipeline: str) -> Iterator[float]:
    """Yield the arrivals of a Poisson process of rate 1: sums of exponential gaps."""
    at = 0.0
    for n in count():
        at -= log(1 - uniform(seed, repeat, pipeline, n, "arrival"))
        yield at


def expected_arrivals(ramp: Ramp, until_s: float) -> float:
    """Return how many arrivals a ramp brings by `until_s` on average: the integral of its rate."""
    first, last, over_s = ramp
    rising_s = min(until_s, over_s)
    return first * rising_s + (last - first) / over_s * rising_s**2 / 2 + last * (until_s - rising_s)


def _when(ramp: Ramp, work: float) -> float:
    """Return when `expected_arrivals` reaches `work`: its inverse.

    The n-th arrival of a process with integrated rate L is where L is the n-th arrival of one of rate 1 (Cinlar,
    "Introduction to Stochastic Processes", 1975, section 4.7). On the ramp it is the root of a quadratic, written so
    that nothing cancels and a flat ramp needs no case of its own.
    """
    first, last, over_s = ramp
    beyond = work - (first + last) / 2 * over_s
    if beyond >= 0:
        return over_s + beyond / last
    if not work:
        return 0.0
    slope = (last - first) / over_s
    return 2 * work / (first + sqrt(first * first + 2 * slope * work))
