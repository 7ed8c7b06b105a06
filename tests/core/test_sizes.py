"""Draws against the moments and the distribution functions of theory."""

from __future__ import annotations

from statistics import fmean

import pytest
from scipy import stats

from harness.core.sizes import Distribution, fixed

N = 4000
SHAPES = {
    "uniform": (Distribution("uniform", (20.0, 80.0)), stats.uniform(20, 60)),
    "lognormal": (Distribution("lognormal", (60.0, 0.5)), stats.lognorm(0.5, scale=60)),
    "gamma": (Distribution("gamma", (60.0, 0.5)), stats.gamma(4, scale=15)),
    "gamma, heavy": (Distribution("gamma", (60.0, 2.0)), stats.gamma(0.25, scale=240)),
    "exponential": (Distribution("exponential", (2.0,)), stats.expon(scale=2)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_draws_follow_their_distribution(name: str) -> None:
    """Kolmogorov-Smirnov at a fixed seed, and the mean that is promised."""
    distribution, theory = SHAPES[name]
    drawn = [distribution.draw(7, name, i) for i in range(N)]
    assert stats.kstest(drawn, theory.cdf).pvalue > 0.01
    assert distribution.mean == pytest.approx(theory.mean())
    assert fmean(drawn) == pytest.approx(theory.mean(), abs=4 * theory.std() / N**0.5)


def test_whole_numbers_reach_both_ends_equally_often() -> None:
    dice = Distribution("uniform", (1.0, 6.0), whole=True)
    drawn = [dice.draw(1, i) for i in range(6 * 600)]
    assert set(drawn) == {1, 2, 3, 4, 5, 6}
    assert stats.chisquare([drawn.count(face) for face in range(1, 7)]).pvalue > 0.01


def test_a_draw_belongs_to_its_key() -> None:
    gamma = SHAPES["gamma"][0]
    assert gamma.draw(1, "a", 2) == gamma.draw(1, "a", 2)
    assert len({gamma.draw(1, "a", 2), gamma.draw(1, "a", 3), gamma.draw(2, "a", 2)}) == 3


def test_empirical_draws_are_the_values() -> None:
    seen = Distribution("empirical", (3.0, 5.0, 5.0))
    drawn = [seen.draw(3, i) for i in range(900)]
    assert set(drawn) == {3.0, 5.0}
    assert 0.6 < drawn.count(5.0) / 900 < 0.73
    assert seen.mean == pytest.approx(13 / 3)


def test_the_cut_bounds_draws_and_mean() -> None:
    cut = Distribution("lognormal", (60.0, 1.0), whole=True, most=70)
    drawn = [cut.draw(5, i) for i in range(200)]
    assert max(drawn) == 70 == cut.mean == cut.highest
    assert all(value == int(value) for value in drawn)
    assert Distribution("exponential", (1.0,)).highest is None
    assert Distribution("uniform", (1.0, 9.0), most=5).highest == 5
    assert fixed(3).highest == fixed(3).mean == fixed(3).draw(0) == 3


@pytest.mark.parametrize("name", SHAPES)
def test_the_largest_is_the_bound_or_the_rarest_in_a_thousand(name: str) -> None:
    shape, theory = SHAPES[name]
    rare = shape.highest if shape.highest is not None else theory.ppf(0.999)
    assert shape.largest == pytest.approx(rare, rel=1e-6)


def test_the_largest_of_a_narrow_gamma() -> None:
    assert Distribution("gamma", (60.0, 0.02)).largest == pytest.approx(
        stats.gamma(2500, scale=0.024).ppf(0.999), 0.002
    )
    assert Distribution("gamma", (60.0, 0.0)).largest == 60
