"""Measured sizes and times as distributions of the workload language; says which it chose and why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, sqrt
from statistics import NormalDist, fmean, median, pstdev
from typing import Any, NamedTuple

from harness.workload.numbers import MAX_NUMBERS

__all__ = ["SizeFit", "as_seen", "chance_of_end", "cut_mean", "fit", "gaps_are_poisson"]

FEW = 12  # up to this many values can stand in the file itself
ENOUGH = 50  # fewer say too little about the shape of a distribution


class SizeFit(NamedTuple):
    """A distribution as it stands in the file, what it is called, and the values that go into a file of their own."""

    spec: Any
    words: str
    values: tuple[float, ...] = ()  # where they are too many: `spec` is then to be `{empirical: FILE}`


def fit(values: Sequence[float], *, whole: bool) -> SizeFit:
    """Choose the simplest distribution that the values do not speak against.

    One number where all are equal; lognormal where there are 50 values or more and the largest distance between its
    distribution function and theirs (Kolmogorov-Smirnov) is at most 0.05 or what chance alone exceeds once in twenty
    times (1.36 / sqrt(n)), whichever is more; else the values themselves (empirical). `values` must not be empty.
    The lognormal is shifted so that its mean, cut at the largest value, is theirs: as much work as was seen.
    """
    low, high = min(values), max(values)
    if low == high:
        return SizeFit(_number(low, whole), f"always {_number(low, whole)}")
    n = len(values)
    if n >= ENOUGH and low > 0:
        logs = sorted(log(value) for value in values)
        mean, sigma = fmean(logs), pstdev(logs)
        if _distance(logs, NormalDist(mean, sigma)) <= max(0.05, 1.36 / sqrt(n)):
            for _ in range(20):  # the cut takes a part of each shift back
                mean += log(fmean(values) / cut_mean(mean, sigma, high))
            spec = {"median": _rounded(exp(mean)), "sigma": _rounded(sigma), "max": _number(high, whole)}
            return SizeFit({"lognormal": spec}, f"lognormal, fitted to {n} values")
    return as_seen(values, whole=whole)


def as_seen(values: Sequence[float], *, whole: bool = True) -> SizeFit:
    """Keep the values themselves. `values` must not be empty."""
    if min(values) == max(values):
        return fit(values, whole=whole)
    shown = f"{len(values)} values as they were (median {_rounded(median(values)):g})"
    if len(values) > MAX_NUMBERS:
        shown = f"{len(values)} values as {MAX_NUMBERS} means of neighbours (median {_rounded(median(values)):g})"
        ordered = sorted(values)
        ends = [len(ordered) * i // MAX_NUMBERS for i in range(MAX_NUMBERS + 1)]
        values = (
            _whole([fmean(ordered[a:b]) for a, b in pairwise(ends)])
            if whole
            else [fmean(ordered[a:b]) for a, b in pairwise(ends)]
        )
    if len(values) <= FEW:
        return SizeFit({"empirical": [_number(value, whole) for value in values]}, shown)
    return SizeFit(None, shown, tuple(_number(value, whole) for value in values))


def _distance(logs: list[float], normal: NormalDist) -> float:
    n = len(logs)
    return max(
        max(abs(normal.cdf(value) - i / n), abs((i + 1) / n - normal.cdf(value))) for i, value in enumerate(logs)
    )


def cut_mean(mean: float, sigma: float, most: float) -> float:
    """Return the mean of a lognormal of which no draw exceeds `most`; `mean` and `sigma` are those of its logarithm."""
    unit, edge = NormalDist(), (log(most) - mean) / sigma
    return exp(mean + sigma**2 / 2) * unit.cdf(edge - sigma) + most * (1 - unit.cdf(edge))


def _whole(values: Sequence[float]) -> list[float]:
    """Round so that the sum stays: what one loses, the next one gets."""
    result, left = list[float](), 0.0
    for value in values:
        rounded = round(value + left)
        left += value - rounded
        result.append(rounded)
    return result


def chance_of_end(passes: Sequence[int]) -> float | None:
    """Return the chance with which each pass of a loop is the last, where so the passes seen are explained; else None.

    With a chance p and at most m passes there are (1 - (1 - p)^m) / p on average: p is chosen so that it is the mean
    seen. It explains them where there are 50 or more, by the distance that `fit` allows.
    """
    n, most, mean = len(passes), max(passes), fmean(passes)
    if n < ENOUGH or min(passes) == most:
        return None
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        low, high = (p, high) if (1 - (1 - p) ** most) / p > mean else (low, p)
    p = (low + high) / 2
    at_most = ((k, sum(count <= k for count in passes) / n) for k in range(1, most))
    distance = max(abs(share - (1 - (1 - p) ** k)) for k, share in at_most)
    return float(f"{p:.6g}") if distance <= max(0.05, 1.36 / sqrt(n)) else None


def gaps_are_poisson(starts_s: Sequence[float]) -> bool:
    """Tell whether the gaps between this many starts look exponential: their Kolmogorov-Smirnov distance, as above.

    Where the mean is fitted too, chance alone exceeds 1.08 / sqrt(n) once in twenty times (Lilliefors, 1969).
    """
    gaps = sorted(b - a for a, b in pairwise(starts_s))
    n = len(gaps)
    if n < 20 or gaps[-1] <= 0:
        return False
    mean = fmean(gaps)
    distance = max(
        max(abs(1 - exp(-gap / mean) - i / n), abs((i + 1) / n - 1 + exp(-gap / mean))) for i, gap in enumerate(gaps)
    )
    return distance <= 1.08 / sqrt(n)


def _number(value: float, whole: bool) -> float:
    return round(value) if whole else _rounded(value)


def _rounded(value: float) -> float:
    """Keep four significant figures."""
    return float(f"{value:.4g}")
