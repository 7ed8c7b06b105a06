"""Intervals and comparisons against scipy's own tests and against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.analysis.statistics import compare, compare_unpaired, estimate, p95, repeats_needed

A = {0: 4.1, 1: 4.4, 2: 3.9, 3: 4.6, 4: 4.2}
B = {0: 5.0, 1: 5.6, 2: 4.9, 3: 5.5, 4: 5.3}


def test_comparison_is_the_paired_t_test_on_logs() -> None:
    found = compare("a", A, "b", B)
    theirs = stats.ttest_rel(np.log(list(A.values())), np.log(list(B.values())))
    interval = theirs.confidence_interval(0.95)
    assert found is not None and found.low is not None and found.high is not None
    assert found.p == pytest.approx(theirs.pvalue)
    assert math.log(found.low) == pytest.approx(interval.low)
    assert math.log(found.high) == pytest.approx(interval.high)
    assert found.relation == "better"


def test_several_comparisons_share_the_error() -> None:
    found = compare("a", A, "b", B, comparisons=3)
    interval = stats.ttest_rel(np.log(list(A.values())), np.log(list(B.values()))).confidence_interval(1 - 0.05 / 3)
    assert found is not None and found.low is not None
    assert math.log(found.low) == pytest.approx(interval.low)


def test_only_common_repeats_are_paired() -> None:
    found = compare("a", {**A, 7: 1000.0}, "b", {**B, 8: 0.001})
    assert found == compare("a", A, "b", B)
    assert compare("a", {0: 1.0}, "b", {1: 1.0}) is None


def test_estimate_is_the_one_sample_interval_on_logs() -> None:
    logs = np.log(list(A.values()))
    found = estimate(list(A.values()), "measured")
    interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(stats.gmean(list(A.values())))
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((interval.low, interval.high))


def test_one_repeat_has_no_interval_and_resolves_nothing() -> None:
    alone = estimate([4.0], "measured")
    assert alone is not None and alone.value == pytest.approx(4.0)
    assert (alone.low, alone.high, alone.n) == (None, None, 1)
    found = compare("a", {0: 1.0}, "b", {0: 2.0})
    assert found is not None
    assert found.ratio == pytest.approx(0.5)
    assert (found.low, found.p, found.relation) == (None, None, "unresolved")


def test_no_values_and_zeros_have_no_estimate() -> None:
    assert estimate([], "measured") is None
    assert estimate([0.0, 1.0], "measured") is None


def test_within_five_percent_is_equivalent_even_where_it_is_different() -> None:
    other = {repeat: value * 1.02 * (1 + repeat / 10_000) for repeat, value in A.items()}
    found = compare("a", A, "b", other)
    assert found is not None and found.high is not None
    assert found.high < 1  # significantly faster, and not worth a choice
    assert found.relation == "equivalent"


def test_an_interval_that_reaches_over_the_margin_is_not_equivalent() -> None:
    factors = (1.0, 1.06, 0.95, 1.04, 0.97)
    other = {repeat: A[repeat] * factors[repeat] for repeat in A}
    found = compare("a", A, "b", other)
    assert found is not None
    assert found.relation == "unresolved"
    assert found.repeats_needed is not None and found.repeats_needed > 5


def test_higher_can_be_better() -> None:
    found = compare("b", B, "a", A, lower_is_better=False)
    assert found is not None and found.relation == "better"


def test_equal_values_are_equivalent_without_a_warning() -> None:
    found = compare("a", A, "b", A)
    assert found is not None
    assert (found.ratio, found.relation, found.p) == (1.0, "equivalent", 1.0)


def test_repeats_needed_resolves_four_times_of_five() -> None:
    """Try the advice out: a fresh sample of that size must be resolved about 80 % of the time."""
    mean, sd = math.log(1.10), 0.12
    needed = repeats_needed(mean, sd, 5)
    assert needed is not None
    rng = np.random.default_rng(20260304)
    resolved = 0
    for _ in range(500):
        logs = rng.normal(mean, sd, needed)
        ratio = compare("a", dict(enumerate(np.exp(logs))), "b", dict.fromkeys(range(needed), 1.0))
        resolved += ratio is not None and ratio.relation != "unresolved"
    assert resolved / 500 == pytest.approx(0.8, abs=0.05)


def test_repeats_needed_grows_with_the_spread_and_ends() -> None:
    few, many = repeats_needed(0.1, 0.05, 2), repeats_needed(0.1, 0.2, 2)
    assert few is not None and many is not None and few < many
    assert repeats_needed(0.02, 5.0, 5) is None


def test_p95_needs_a_hundred_values() -> None:
    assert p95(list(range(99))) is None
    assert p95(list(range(101))) == 95.0


def test_draws_and_profile_together_decide() -> None:
    """Half-widths add as independent errors do; each interval is still its own."""
    b = {repeat: value * 1.12 for repeat, value in A.items()}
    quiet = {repeat: value * (1.12 + 0.001 * (-1) ** repeat) for repeat, value in A.items()}
    factors = [1.02, 0.98, 1.01, 0.99, 1.03, 0.97]
    alone, found = compare("a", A, "b", quiet), compare("a", A, "b", quiet, by_profile=factors)
    assert alone is not None and found is not None and found.profile_low is not None and found.profile_high is not None
    assert (found.low, found.high, found.relation) == (alone.low, alone.high, "better")
    spread = stats.t.ppf(0.975, 6) * math.sqrt(np.mean(np.log(factors) ** 2))
    assert math.log(found.profile_high / found.ratio) == pytest.approx(spread)
    assert math.log(found.ratio / found.profile_low) == pytest.approx(spread)
    wide = compare("a", A, "b", b, by_profile=[factor**3 for factor in factors])
    assert wide is not None
    assert (wide.relation, wide.unresolved_by, wide.repeats_needed) == ("unresolved", "profile", None)
    assert compare("a", A, "b", b, by_profile=factors[:4]) == compare("a", A, "b", b)  # too few to say anything


def test_more_repeats_are_advised_only_where_they_would_help() -> None:
    noisy = {repeat: value * (1.1 + 0.15 * (-1) ** repeat) for repeat, value in A.items()}
    found = compare("a", A, "b", noisy, by_profile=[1.001, 0.999] * 3)
    assert found is not None
    assert (found.relation, found.unresolved_by) == ("unresolved", "draws")
    assert found.repeats_needed is not None


def test_unpaired_is_welchs_t_on_logarithms() -> None:
    mine, theirs = [10.0, 11.0, 10.5, 10.2], [9.0, 9.9, 9.2, 9.1, 9.5, 9.3]
    found = compare_unpaired("a", mine, "b", theirs)
    assert found is not None and found.low is not None and found.high is not None
    t = stats.ttest_ind(np.log(mine), np.log(theirs), equal_var=False)
    interval = t.confidence_interval(0.95)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(t.pvalue)
    assert found.ratio == pytest.approx(stats.gmean(mine) / stats.gmean(theirs))
    assert (found.relation, found.n) == ("worse", 4)
    shared = compare_unpaired("a", mine, "b", theirs, comparisons=5)
    assert shared is not None and shared.low is not None
    assert math.log(shared.low) == pytest.approx(t.confidence_interval(0.99).low)


def test_unpaired_without_values_or_spread() -> None:
    assert compare_unpaired("a", [], "b", [1.0]) is None
    one = compare_unpaired("a", [2.0], "b", [1.0, 1.0])
    assert one is not None and (one.ratio, one.low, one.relation) == (2.0, None, "unresolved")
    same = compare_unpaired("a", [2.0, 2.0], "b", [2.0, 2.0])
    assert same is not None and (same.relation, same.p) == ("equivalent", 1.0)
