"""Intervals and comparisons. The repeat is the unit: jobs within one share a machine, a queue and a moment.

Times and rates are compared as ratios, so everything happens on logarithms: means are geometric, intervals are
Student's t on the logs, and two candidates are compared by a paired t over the repeats that both have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # what scipy.stats.t is made of; it alone takes 0.6 s to import

from harness.core.records import Origin

__all__ = [
    "CONFIDENCE",
    "EQUIVALENCE",
    "P95_NEEDS",
    "Comparison",
    "Estimate",
    "compare",
    "estimate",
    "p95",
    "repeats_needed",
]

CONFIDENCE = 0.95
EQUIVALENCE = 1.05  # a ratio between 1/1.05 and 1.05 makes no difference that is worth a choice
USELESS = 100.0  # an interval whose ends lie further apart than this factor says nothing
P95_NEEDS = 100  # fewer values hold fewer than five beyond the 95th percentile
_POWER = 0.8  # of the sample size that is advised
_MOST_REPEATS = 1000

Relation = Literal["better", "worse", "equivalent", "unresolved"]


class Estimate(NamedTuple):
    """A positive quantity over n repeats: geometric mean and its 95 % interval. One repeat has no interval."""

    value: float
    low: float | None
    high: float | None
    n: int
    origin: Origin

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval where there is one that says something."""
        return _telling(self.low, self.high)


class Comparison(NamedTuple):
    """`candidate` against `against`: the ratio of their values (below 1: less time), paired by repeat."""

    candidate: str
    against: str
    ratio: float
    low: float | None  # of the interval, widened for `comparisons`
    high: float | None
    p: float | None  # of the paired t, two-sided, before widening
    n: int
    comparisons: int  # how many were made beside this one: the interval's error is shared among them (Bonferroni)
    relation: Relation
    repeats_needed: (
        int | None
    )  # about this many would tell; None where it is resolved, or more than 1000 would be needed

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval where there is one that says something."""
        return _telling(self.low, self.high)


def _telling(low: float | None, high: float | None) -> tuple[float, float] | None:
    """Two noisy repeats give intervals from nothing to everything: such a one is better not shown."""
    return None if low is None or high is None or high > USELESS * low else (low, high)


def estimate(values: Sequence[float], origin: Origin) -> Estimate | None:
    """Estimate a quantity from one positive value per repeat; None where there is none or one is not positive."""
    if not values or min(values) <= 0:
        return None
    mean, half_width, _ = _t_interval(np.log(values), 1 - CONFIDENCE)
    if half_width is None:
        return Estimate(math.exp(mean), None, None, len(values), origin)
    return Estimate(math.exp(mean), math.exp(mean - half_width), math.exp(mean + half_width), len(values), origin)


def compare(
    name: str,
    values: Mapping[int, float],
    other_name: str,
    other: Mapping[int, float],
    comparisons: int = 1,
    lower_is_better: bool = True,
) -> Comparison | None:
    """Compare two candidates by their values per repeat; None where no repeat is common to both.

    Equivalent: the whole interval lies within 5 % of equal (two one-sided tests, at this interval's confidence).
    Better or worse: the interval excludes equal. Otherwise unresolved, as is everything known from one repeat.
    """
    common = sorted(values.keys() & other.keys())
    if not common:
        return None
    logs = np.log([values[repeat] for repeat in common]) - np.log([other[repeat] for repeat in common])
    mean, half_width, sd = _t_interval(logs, (1 - CONFIDENCE) / comparisons)
    if half_width is None or sd is None:
        return Comparison(
            name, other_name, math.exp(mean), None, None, None, len(common), comparisons, "unresolved", None
        )
    low, high = mean - half_width, mean + half_width
    margin = math.log(EQUIVALENCE)
    relation: Relation
    if -margin < low and high < margin:
        relation = "equivalent"
    elif low > 0 or high < 0:
        relation = "better" if (high < 0) == lower_is_better else "worse"
    else:
        relation = "unresolved"
    return Comparison(
        name,
        other_name,
        math.exp(mean),
        math.exp(low),
        math.exp(high),
        _p_value(mean, sd, len(common)),
        len(common),
        comparisons,
        relation,
        repeats_needed(mean, sd, len(common), comparisons) if relation == "unresolved" else None,
    )


def repeats_needed(mean_log: float, sd_log: float, n: int, comparisons: int = 1) -> int | None:
    """Estimate the repeats that would resolve a comparison in four cases of five, from the spread seen so far.

    Resolved by whichever is nearer: an interval narrower than the difference (better or worse), or one that fits beside
    it into the 5 % margin (equivalent). None beyond 1000.
    """
    target = max(abs(mean_log), math.log(EQUIVALENCE) - abs(mean_log))
    tail = (1 - CONFIDENCE) / comparisons / 2
    m = np.arange(n + 1, _MOST_REPEATS + 1)
    half_widths = (stdtrit(m - 1, 1 - tail) + stdtrit(m - 1, _POWER)) * sd_log / np.sqrt(m)
    enough = m[half_widths <= target]
    return int(enough[0]) if len(enough) else None


def p95(values: Sequence[float]) -> float | None:
    """Return the 95th percentile, or None where fewer than 100 values carry it."""
    return float(np.percentile(values, 95)) if len(values) >= P95_NEEDS else None


def _t_interval(logs: np.ndarray, error: float) -> tuple[float, float | None, float | None]:
    """Mean, half-width of its two-sided t interval with that error, and standard deviation."""
    n, mean = len(logs), float(np.mean(logs))
    if n < 2:
        return mean, None, None
    sd = float(np.std(logs, ddof=1))
    return mean, float(stdtrit(n - 1, 1 - error / 2)) * sd / math.sqrt(n), sd


def _p_value(mean: float, sd: float, n: int) -> float:
    if sd == 0:  # virtual repeats without noise are equal to the last bit
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))
