"""Quantiles of the gamma distribution against SciPy's."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy import stats

from harness.core.gamma import gamma_quantile

ENDS = (2.0**-53, 1e-12, 1e-6, 0.5, 1 - 1e-6, 1 - 2.0**-53)  # the smallest and the largest that is ever drawn
SHAPES = (0.01, 0.04, 0.25, 0.9, 1.0, 1.1, 4.0, 30.0, 400.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_are_those_of_scipy(shape: float) -> None:
    u = np.array([*ENDS, *np.random.default_rng(1).random(2000)])
    expected = stats.gamma.ppf(u, shape)
    found = np.array([gamma_quantile(shape)(each) for each in u.tolist()])
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_rise_through_where_the_method_changes(shape: float) -> None:
    quantile = gamma_quantile(shape)
    split = float(stats.gamma.cdf(shape + 1, shape))
    found = [quantile(split + n * 1e-9) for n in range(-20, 21) if split + n * 1e-9 < 1]
    assert found == sorted(found)
    assert found[len(found) // 2] == pytest.approx(shape + 1, rel=1e-5)


def test_shape_1_is_exponential_and_0_is_0() -> None:
    assert [gamma_quantile(1.0)(u) for u in ENDS] == pytest.approx([-log(1 - u) for u in ENDS], rel=1e-14)
    assert [gamma_quantile(shape)(0.0) for shape in SHAPES] == [0.0] * len(SHAPES)
