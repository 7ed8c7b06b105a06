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
    "LEAST_PROFILES",
    "NO_WIDTH",
    "P95_NEEDS",
    "Comparison",
    "Estimate",
    "Relation",
    "against_goal",
    "compare",
    "compare_unpaired",
    "ends_of",
    "estimate",
    "p95",
    "repeats_needed",
]

CONFIDENCE = 0.95
EQUIVALENCE = 1.05  # a ratio between 1/1.05 and 1.05 makes no difference that is worth a choice
NO_WIDTH = 1e-6  # ends of an interval that lie nearer, relatively: nothing varied, so nothing is known of a spread
USELESS = 100.0  # an interval whose ends lie further apart than this factor says nothing
P95_NEEDS = 100  # fewer values hold fewer than five beyond the 95th percentile
_POWER = 0.8  # of the sample size that is advised
_MOST_REPEATS = 1000
_WIDEST = 700.0  # of half an interval, on logarithms: what is wider is no float
LEAST_PROFILES = 5  # fewer resampled profiles say too little of how far they spread

Relation = Literal["better", "worse", "equivalent", "unresolved"]


class Estimate(NamedTuple):
    """A positive quantity over n repeats: geometric mean and its 95 % interval. One repeat has no interval.

    A predicted one has a second interval, over resampled calibrations of its profile, where that is known.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    origin: Origin
    profile_low: float | None = None
    profile_high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval where there is one that says something."""
        return _telling(self.low, self.high)

    @property
    def profile_interval(self) -> tuple[float, float] | None:
        """The interval over the profile where there is one that says something."""
        return _telling(self.profile_low, self.profile_high)


class Comparison(NamedTuple):
    """`candidate` against `against`: the ratio of their values (below 1: less time), paired by repeat."""

    candidate: str
    against: str
    ratio: float
    low: float | None  # of the interval, widened for `comparisons`
    high: float | None
    p: float | None  # of the paired t, two-sided, before widening
    n: int
    comparisons: int  # among how many the interval's error is shared (Bonferroni): those made, times looks' shares
    relation: Relation
    repeats_needed: int | None  # about this many would tell; None where it is resolved, or no number up to 1000 would
    profile_low: float | None = None  # over resampled calibrations, on the same draws; widened alike
    profile_high: float | None = None
    unresolved_by: Literal["draws", "profile"] | None = None  # profile: however many repeats would not tell

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval where there is one that says something."""
        return _telling(self.low, self.high)

    @property
    def profile_interval(self) -> tuple[float, float] | None:
        """The interval over the profile where there is one that says something."""
        return _telling(self.profile_low, self.profile_high)


def _telling(low: float | None, high: float | None) -> tuple[float, float] | None:
    """Two noisy repeats give intervals from nothing to everything: such a one is better not shown."""
    return None if low is None or high is None or high > USELESS * low else (low, high)


def estimate(
    values: Sequence[float], origin: Origin, by_profile: Sequence[float] = (), shares: int = 1
) -> Estimate | None:
    """Estimate a quantity from one positive value per repeat; None where there is none or one is not positive.

    Args:
        values: one per repeat.
        origin: of the values.
        by_profile: the factor on it under each resampled profile.
        shares: among how many the error is shared, of which one is this interval's (Bonferroni).
    """
    if not values or min(values) <= 0:
        return None
    error = (1 - CONFIDENCE) / shares
    mean, half_width, _ = _t_interval(np.log(values), error)
    low, high = (None, None) if half_width is None else _around(mean, half_width)
    spread = _profile_half_width(by_profile, error)
    profile_low, profile_high = (None, None) if spread is None else _around(mean, spread)
    return Estimate(math.exp(mean), low, high, len(values), origin, profile_low, profile_high)


def ends_of(found: Estimate, *, useless: bool = False) -> tuple[float, float] | None:
    """Return the interval over draws and profile together, whose errors are independent; None where it has no width.

    Args:
        found: what the interval is of.
        useless: also where it is too wide to say anything.
    """
    intervals = ((found.low, found.high), (found.profile_low, found.profile_high))
    halves = [
        math.log(high / low) / 2
        for low, high in intervals
        if low is not None and high is not None
        if (useless or _telling(low, high)) and not math.isclose(low, high, rel_tol=NO_WIDTH)
    ]
    half = min(math.hypot(*halves), _WIDEST)
    return (found.value * math.exp(-half), found.value * math.exp(half)) if half > 0 else None


def against_goal(found: Estimate, wanted: float, shares: int = 1) -> tuple[bool, int | None]:
    """Whether it is settled on which side of a wanted value an estimate lies, or that it is within 5 % of it.

    Args:
        found: over repeats.
        wanted: in the unit of the estimate.
        shares: among how many the error of the estimate's interval is shared.

    Returns:
        That, and where it is not: about how many repeats would settle it; None where no number up to 1000 would.
    """
    if found.low is None or found.high is None:
        return False, None
    mean, half_width = math.log(found.value / wanted), math.log(found.high / found.value)
    if _relation(mean, half_width, True) != "unresolved":
        return True, None
    sd = half_width * math.sqrt(found.n) / float(stdtrit(found.n - 1, 1 - (1 - CONFIDENCE) / shares / 2))
    return False, repeats_needed(mean, sd, found.n, shares)


def _around(mean_log: float, half_width: float) -> tuple[float, float]:
    return math.exp(mean_log - half_width), math.exp(mean_log + half_width)


def _profile_half_width(factors: Sequence[float], error: float) -> float | None:
    """Half-width of the two-sided t interval around the fitted profile, whose own factor is 1; None from fewer than 5.

    A percentile of 20 resampled calibrations would hang on the outermost of them.
    """
    if len(factors) < LEAST_PROFILES:
        return None
    rms = math.sqrt(math.fsum(math.log(factor) ** 2 for factor in factors) / len(factors))
    return float(stdtrit(len(factors), 1 - error / 2)) * rms


def compare(
    name: str,
    values: Mapping[int, float],
    other_name: str,
    other: Mapping[int, float],
    comparisons: int = 1,
    lower_is_better: bool = True,
    by_profile: Sequence[float] = (),
) -> Comparison | None:
    """Compare two candidates by their values per repeat; None where no repeat is common to both.

    Equivalent: the whole interval lies within 5 % of equal (two one-sided tests, at this interval's confidence).
    Better or worse: the interval excludes equal. Otherwise unresolved, as is everything known from one repeat.

    `by_profile` is the factor on their ratio under each resampled profile. The interval that decides has the half-width
    of draws and profile together, whose errors are independent.
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
    spread = _profile_half_width(by_profile, (1 - CONFIDENCE) / comparisons)
    relation = _relation(mean, math.hypot(half_width, spread or 0.0), lower_is_better)
    unresolved_by: Literal["draws", "profile"] | None = None
    if relation == "unresolved":
        more_repeats_help = _relation(mean, spread or 0.0, lower_is_better) != "unresolved"
        unresolved_by = "draws" if more_repeats_help or spread is None else "profile"
    profile_low, profile_high = (None, None) if spread is None else _around(mean, spread)
    return Comparison(
        name,
        other_name,
        math.exp(mean),
        *_around(mean, half_width),
        _p_value(mean, sd, len(common)),
        len(common),
        comparisons,
        relation,
        repeats_needed(mean, sd, len(common), comparisons) if unresolved_by == "draws" else None,
        profile_low,
        profile_high,
        unresolved_by,
    )


def compare_unpaired(
    name: str, values: Sequence[float], other_name: str, other: Sequence[float], comparisons: int = 1
) -> Comparison | None:
    """Compare times that have no repeat in common: Welch's t on logarithms; None where one side has none.

    `n` is the smaller of both numbers. Wider than the paired interval, since what the draws do to both does not cancel.
    Degrees of freedom: B. L. Welch, Biometrika 34 (1947); F. E. Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    if not values or not other:
        return None
    mine, theirs = np.log(values), np.log(other)
    mean, n = float(np.mean(mine) - np.mean(theirs)), min(len(mine), len(theirs))
    if n < 2:
        return Comparison(name, other_name, math.exp(mean), None, None, None, n, comparisons, "unresolved", None)
    parts = [float(np.var(logs, ddof=1)) / len(logs) for logs in (mine, theirs)]
    error = math.sqrt(sum(parts))
    if error == 0:
        p, half_width = (1.0 if mean == 0 else 0.0), 0.0
    else:
        freedom = sum(parts) ** 2 / sum(
            part**2 / (len(logs) - 1) for part, logs in zip(parts, (mine, theirs), strict=True)
        )
        p = float(2 * stdtr(freedom, -abs(mean) / error))
        half_width = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / comparisons / 2)) * error
    relation = _relation(mean, half_width, True)
    around = _around(mean, half_width)
    return Comparison(name, other_name, math.exp(mean), *around, p, n, comparisons, relation, None)


def _relation(mean_log: float, half_width: float, lower_is_better: bool) -> Relation:
    low, high = mean_log - half_width, mean_log + half_width
    margin = math.log(EQUIVALENCE)
    if -margin < low and high < margin:
        return "equivalent"
    if low > 0 or high < 0:
        return "better" if (high < 0) == lower_is_better else "worse"
    return "unresolved"


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
