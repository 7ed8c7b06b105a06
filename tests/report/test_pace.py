"""How long the rest of a measurement takes, worked out by hand."""

from __future__ import annotations

import pytest

from harness.report.pace import Pace


def test_before_anything_has_ended_nothing_is_known() -> None:
    pace = Pace(["a", "b", "a", "b"], 100.0)
    assert pace.left_s(101.0) is None
    pace.begin(1, 101.0)
    assert pace.left_s(105.0) is None
    assert pace.done(105.0) == 0.0


def test_alike_trials_take_alike_times() -> None:
    pace = Pace(["a", "b", "a", "b", "a"], 0.0)
    pace.begin(1, 0.0)
    pace.begin(2, 10.0)  # a took 10 s; b is not known, and taken for the mean of all
    assert pace.left_s(12.0) == pytest.approx(8 + 10 + 10 + 10)
    pace.begin(3, 14.0)  # b took 4 s
    assert pace.left_s(15.0) == pytest.approx(9 + 4 + 10)
    pace.begin(4, 34.0)  # a took 20 s: 15 s in the mean
    assert pace.left_s(34.0) == pytest.approx(4 + 15)
    assert pace.left_s(99.0) == pytest.approx(15)  # longer than it should: never less than nothing
    assert pace.done(34.0) == pytest.approx(34 / (34 + 19))


def test_a_prediction_is_scaled_by_what_was_seen() -> None:
    pace = Pace(["a", "b", "c"], 0.0, {"a": 2.0, "b": 3.0})
    pace.begin(1, 0.0)
    assert pace.left_s(0.5) is None  # nobody knows of c
    pace.begin(2, 4.0)  # a took twice what was predicted; c is taken for the mean of what ended
    assert pace.left_s(5.0) == pytest.approx(5 + 4)
    known = Pace(["a", "b"], 0.0, {"a": 2.0, "b": 3.0})
    known.begin(1, 0.0)
    assert known.left_s(0.5) == pytest.approx(1.5 + 3)


def test_a_bound_holds() -> None:
    pace = Pace(["a"] * 60, 0.0, until_s=30.0)
    assert pace.left_s(5.0) == 25.0
    pace.begin(1, 5.0)
    assert pace.left_s(6.0) == 24.0
    pace.begin(2, 15.0)
    assert pace.left_s(15.0) == 15.0
    assert pace.left_s(31.0) == 0.0
