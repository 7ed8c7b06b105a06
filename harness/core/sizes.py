"""Sizes and times that vary: distributions as data, drawn by pure functions of what the draw is for."""

from __future__ import annotations

from math import exp, lgamma, log, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple

from harness.core.draws import uniform

__all__ = ["Distribution", "Kind", "fixed"]

Kind = Literal["fixed", "uniform", "lognormal", "gamma", "exponential", "empirical"]

_NORMAL = NormalDist()
_RARELY = 0.999
_RARE = _NORMAL.inv_cdf(_RARELY)


class Distribution(NamedTuple):
    """A distribution over numbers of 0 or more.

    `values` by kind: fixed (value,); uniform (low, high), both ends possible; lognormal (median, sigma of the
    logarithm); gamma (mean, coefficient of variation); exponential (mean,); empirical: the values themselves, all
    equally likely. Where `whole`, draws are whole numbers. `most` cuts what is above it down to it.
    """

    kind: Kind
    values: tuple[float, ...]
    whole: bool = False
    most: float | None = None

    def draw(self, seed: int, *key: int | str) -> float:
        """Draw the value for this key; the same key gives the same value, for every caller and at any time."""
        if self.kind == "fixed":
            return self.values[0]
        value = _DRAWS[self.kind](self.values, self.whole, seed, key)
        if self.whole:
            value = float(round(value))
        return value if self.most is None or value <= self.most else self.most

    @property
    def mean(self) -> float:
        """The mean, before `most` cuts it: what a designer plans with."""
        first = self.values[0]
        if self.kind == "uniform":
            mean = (first + self.values[1]) / 2
        elif self.kind == "lognormal":
            mean = first * exp(self.values[1] ** 2 / 2)
        elif self.kind == "empirical":
            mean = sum(self.values) / len(self.values)
        else:
            mean = first
        return mean if self.most is None or mean <= self.most else self.most

    @property
    def highest(self) -> float | None:
        """The largest value it can give; None where there is no bound."""
        bound = {"fixed": self.values[-1], "uniform": self.values[-1], "empirical": max(self.values)}.get(self.kind)
        if bound is None or self.most is None:
            return self.most if bound is None else bound
        return min(bound, self.most)

    @property
    def largest(self) -> float:
        """The largest value it can give; where there is no bound, its 99.9th percentile."""
        highest, first = self.highest, self.values[0]
        if highest is not None:
            return highest
        if self.kind == "lognormal":
            return first * exp(self.values[1] * _RARE)
        return -first * log(1 - _RARELY) if self.kind == "exponential" else _gamma_largest(first, self.values[1])

    @property
    def words(self) -> str:
        """It in words, without a unit: `6`, `2 to 10`, `about 4.5 (lognormal)`."""
        if self.kind == "fixed":
            return f"{self.values[0]:g}"
        if self.kind == "uniform":
            return f"{self.values[0]:g} to {self.values[1]:g}"
        return f"about {self.mean:.3g} ({self.kind})"


def fixed(value: float) -> Distribution:
    """Return the distribution that is always `value`."""
    return Distribution("fixed", (value,))


Key = tuple[int | str, ...]


def _uniform(values: tuple[float, ...], whole: bool, seed: int, key: Key) -> float:
    low, high = values
    if whole:  # every whole number from low to high is equally likely
        return low + int(uniform(seed, *key) * (high - low + 1))
    return low + uniform(seed, *key) * (high - low)


def _lognormal(values: tuple[float, ...], whole: bool, seed: int, key: Key) -> float:
    median, sigma = values
    return median * exp(sigma * _normal(seed, key))


def _exponential(values: tuple[float, ...], whole: bool, seed: int, key: Key) -> float:
    return -values[0] * log(1 - uniform(seed, *key))


def _empirical(values: tuple[float, ...], whole: bool, seed: int, key: Key) -> float:
    return values[int(uniform(seed, *key) * len(values))]


def _gamma(values: tuple[float, ...], whole: bool, seed: int, key: Key) -> float:
    """Marsaglia and Tsang, "A simple method for generating gamma variables" (2000): rejection, each try its own key."""
    mean, variation = values
    if variation == 0:
        return mean
    shape = 1 / variation**2
    scale = mean / shape
    boost = 1.0
    if shape < 1:  # their section 6: a gamma of shape + 1, times a power of a uniform
        boost = (1 - uniform(seed, *key, "boost")) ** (1 / shape)
        shape += 1
    d = shape - 1 / 3
    c = 1 / sqrt(9 * d)
    attempt = 0
    while True:
        x = _normal(seed, (*key, "normal", attempt))
        v = (1 + c * x) ** 3
        if v > 0 and log(1 - uniform(seed, *key, "accept", attempt)) < x * x / 2 + d - d * v + d * log(v):
            return d * v * scale * boost
        attempt += 1


def _gamma_largest(mean: float, variation: float) -> float:
    """Return the 99.9th percentile of a gamma distribution, by bisection; of a narrow one that of a normal one."""
    if variation < 0.03:
        return mean * (1 + _RARE * variation)
    shape = 1 / variation**2
    low, high = 0.0, shape + 10 * sqrt(shape) + 20
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _gamma_below(shape, middle) < _RARELY else (low, middle)
    return mean * high / shape


def _gamma_below(shape: float, x: float) -> float:
    """Return the share of a gamma distribution of this shape, and scale 1, below x: the series of its integral."""
    term = total = exp(shape * log(x) - x - lgamma(shape + 1))
    n = shape
    while term > total * 1e-12:
        n += 1
        term *= x / n
        total += term
    return total


def _normal(seed: int, key: Key) -> float:
    # The middle of the draw's cell: 0 has no quantile.
    return _NORMAL.inv_cdf(uniform(seed, *key) + 2.0**-54)


_DRAWS = {
    "uniform": _uniform,
    "lognormal": _lognormal,
    "gamma": _gamma,
    "exponential": _exponential,
    "empirical": _empirical,
}
