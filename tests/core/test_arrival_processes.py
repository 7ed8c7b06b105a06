"""Intended starts against theory: exponential gaps, the integral of a ramp's rate."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import stats

from harness.core.arrival_processes import ArrivalProcess, Bursts, Every, GammaGaps, Listed, Poisson, Ramp

RAMP = Ramp(0.5, 4.0, 200.0)


def first(arrival: ArrivalProcess, n: int, base_s: float = 0.0, repeat: int = 0, name: str = "p") -> list[float]:
    return list(islice(arrival.times(base_s, 11, repeat, name), n))


def until(arrival: ArrivalProcess, end_s: float, repeat: int) -> list[float]:
    due: list[float] = []
    for at_s in arrival.times(0.0, 11, repeat, "p"):
        if at_s > end_s:
            break
        due.append(at_s)
    return due


def test_the_gaps_of_poisson_arrivals_are_exponential_and_independent() -> None:
    due = first(Poisson(2.5), 20_000)
    gaps = np.diff([0.0, *due])
    assert stats.kstest(gaps, "expon", args=(0, 1 / 2.5)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 3 / np.sqrt(len(gaps))


def test_arrivals_are_the_same_whoever_asks_and_others_in_every_repeat_and_pipeline() -> None:
    poisson = Poisson(1.0)
    assert first(poisson, 50) == first(poisson, 100)[:50]
    assert first(poisson, 5, base_s=7.0) == pytest.approx([7.0 + at_s for at_s in first(poisson, 5)], abs=1e-12)
    seen = {tuple(first(poisson, 5, repeat=repeat, name=name)) for repeat in (0, 1) for name in ("p", "q")}
    assert len(seen) == 4


@pytest.mark.parametrize("ramp", [RAMP, Ramp(4.0, 0.5, 200.0), Ramp(0.0, 3.0, 200.0), Ramp(2.0, 2.0, 200.0)])
def test_a_ramp_brings_what_the_integral_of_its_rate_says(ramp: Ramp) -> None:
    repeats = 60
    counts = np.zeros(6)
    edges = np.linspace(0.0, 300.0, 7)  # the last two beyond the ramp
    for repeat in range(repeats):
        counts += np.histogram(until(ramp, 300.0, repeat), edges)[0]
    expected = repeats * np.diff([ramp.expected(at_s) for at_s in edges])
    rates = [(ramp.from_per_s + (ramp.to_per_s - ramp.from_per_s) * min(t, 200.0) / 200.0) for t in edges]
    by_hand = repeats * np.array([(a + b) / 2 * 50.0 for a, b in pairwise(rates)])
    assert expected == pytest.approx(by_hand)  # a trapezium is exact for straight lines
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected))


def test_a_ramp_in_its_own_time_is_a_poisson_process_of_rate_1() -> None:
    work = [RAMP.expected(at_s) for at_s in first(RAMP, 5000)]
    assert stats.kstest(np.diff([0.0, *work]), "expon").pvalue > 0.01


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0, 2.0, 5.0])
def test_gamma_gaps_have_their_rate_and_their_coefficient_of_variation(cv: float) -> None:
    """Over many draws, within four standard errors; the variance of a sample variance needs the fourth moment."""
    n = 40_000
    gaps = np.diff([0.0, *first(GammaGaps(2.5, cv), n)])
    shape = 1 / cv**2
    fourth = 3 + 6 / shape  # kurtosis of a gamma distribution
    assert abs(gaps.mean() - 0.4) < 4 * 0.4 * cv / np.sqrt(n)
    assert abs(gaps.var() / (0.4 * cv) ** 2 - 1) < 4 * np.sqrt((fourth - 1) / n)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(n)


@pytest.mark.parametrize("cv", [0.1, 0.5, 2.0])  # far above, many gaps are too short for the sum of all before them
def test_gamma_gaps_have_a_gamma_distribution(cv: float) -> None:
    gaps = np.diff([0.0, *first(GammaGaps(2.5, cv), 20_000)])
    assert stats.kstest(gaps, "gamma", args=(1 / cv**2, 0, 0.4 * cv**2)).pvalue > 0.01


def test_gamma_gaps_of_cv_1_are_a_poisson_process() -> None:
    gaps = np.diff([0.0, *first(GammaGaps(2.5, 1.0), 20_000)])
    assert stats.kstest(gaps, "expon", args=(0, 1 / 2.5)).pvalue > 0.01
    assert first(GammaGaps(2.5, 1.0), 100) == pytest.approx(first(Poisson(2.5), 100), rel=1e-13)  # start by start


def test_bursts_and_paces_and_lists_are_what_they_say() -> None:
    assert first(Bursts(3, 30.0), 7, base_s=1.0) == [1.0, 1.0, 1.0, 31.0, 31.0, 31.0, 61.0]
    assert first(Every(2.5), 3, base_s=1.0) == [1.0, 3.5, 6.0]
    assert first(Every(0.0), 3) == [0.0, 0.0, 0.0]
    assert first(Listed((0.0, 3.0, 9.0)), 99, base_s=0.5) == [0.5, 3.5, 9.5]
