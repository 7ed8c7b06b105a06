"""Whether a goal is met, and whether that is certain."""

from __future__ import annotations

import math

import pytest

from harness.analysis.goals import Judged, figure_of, goals_met, judge
from harness.analysis.model import GoalResult
from harness.analysis.statistics import Estimate


def around(value: float, half: float, profile: float = 0.0) -> Estimate:
    """An estimate whose intervals have these half-widths, on logarithms."""
    ends = (value * math.exp(-half), value * math.exp(half))
    over_profile = (value * math.exp(-profile), value * math.exp(profile)) if profile else (None, None)
    return Estimate(value, *ends, 5, "measured", *over_profile)


def goal(kind: str, found_s: float) -> GoalResult:
    state = "met" if found_s <= 2.0 else "missed"
    return GoalResult("ask", kind, 2.0, found_s, state)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found_s", "half", "state"),
    [(1.0, 0.1, "met"), (1.9, 0.2, "not certain"), (2.1, 0.2, "not certain"), (3.0, 0.1, "missed")],
)
def test_a_goal_is_met_by_the_whole_interval(found_s: float, half: float, state: Judged) -> None:
    assert judge(goal("p50_s", found_s), around(found_s, half), None).state == state


def test_the_interval_lies_around_the_median_that_is_judged() -> None:
    """That of the mean, 1.0 s, ends at 1.5 s; around a median of 1.5 s it reaches over 2 s."""
    found = judge(goal("p50_s", 1.5), around(1.0, 0.4), None)
    assert found.state == "not certain"
    assert found.ends == pytest.approx((1.5 * math.exp(-0.4), 1.5 * math.exp(0.4)))


@pytest.mark.parametrize(("found_s", "state"), [(1.9, "not certain"), (1.0, "met")])
def test_a_95th_percentile_spreads_like_the_median(found_s: float, state: Judged) -> None:
    assert judge(goal("p95_s", found_s), around(0.7, 0.2), None).state == state


def test_a_first_token_has_an_interval_of_its_own() -> None:
    assert judge(goal("first_token_s", 1.9), around(5.0, 0.01), around(1.9, 0.2)).state == "not certain"
    assert judge(goal("first_token_s", 1.9), around(5.0, 0.2), around(1.9, 0.01)).state == "met"


def test_draws_and_profile_count_together() -> None:
    """1.3 s and 0.3 beside 0.4 reach to 1.3 s * exp(0.5), beyond 2 s; neither alone does."""
    assert judge(goal("p50_s", 1.3), around(1.3, 0.3), None).state == "met"
    assert judge(goal("p50_s", 1.3), around(1.3, 0.01, profile=0.4), None).state == "met"
    assert judge(goal("p50_s", 1.3), around(1.3, 0.3, profile=0.4), None).state == "not certain"


def test_an_interval_too_wide_to_show_still_makes_it_uncertain() -> None:
    found = judge(goal("p50_s", 1.0), around(1.0, 6.0), None)
    assert (found.state, found.ends) == ("not certain", None)


def test_without_an_interval_the_figure_decides() -> None:
    once = Estimate(1.0, None, None, 1, "measured")
    assert judge(goal("p50_s", 1.0), once, None).state == "met"
    assert judge(goal("p50_s", 3.0), once, None).state == "missed"


def test_what_was_not_found_is_not_judged() -> None:
    unknown = GoalResult("ask", "p95_s", 2.0, None, "not judged")
    assert judge(unknown, around(1.0, 0.1), None).state == "not judged"


def test_how_many_goals_are_met_at_least_and_at_most() -> None:
    sure, open_, missed = (judge(goal("p50_s", found_s), around(found_s, 0.2), None) for found_s in (1.0, 1.9, 9.0))
    assert goals_met([sure, open_, missed]) == (1, 2)
    assert goals_met([sure, sure]) == (2, 2)


def test_what_is_shown_is_what_the_goal_was_held_against() -> None:
    shown = figure_of([goal("p50_s", 1.5)], "p50_s", around(1.0, 0.4))
    assert shown is not None and shown.value == 1.5
    assert shown.interval == pytest.approx((1.5 * math.exp(-0.4), 1.5 * math.exp(0.4)))
    assert figure_of([goal("p50_s", 1.5)], "first_token_s", around(1.0, 0.4)) == around(1.0, 0.4)
    assert figure_of([], "p50_s", None) is None
