"""Profiles as they might have come out: kept replicates, draws from standard errors, or nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness.errors import WorkloadError
from harness.profiles.compile import compile_costs
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.resample import resampled
from harness.profiles.schema import Profile
from harness.profiles.solve import solve

TEXT = """\
version: 1
name: box
origin: measured
source: a test
date: null
machine: 2 vCPUs
engine: none
model: none
slots:
  2:
    step_s: {1: 0.01, 2: 0.02}
    prefill_s_per_token: 0.004
    prefill_batch_tokens: 512
    context_s_per_token: 0
    before_s: 0.003
    after_s: 0.001
    EXTRA
contention: {2: 1.5}
"""
KEPT = "replicates: {step_s.1: [0.011, 0.009], prefill_s_per_token: [0.0044, 0.0036], overhead_s: [0.008, 0.002]}"
ERRORS = "standard_error: {step_s.1: 0.1, step_s.2: 0.02, overhead_s: 0.3, prompt_step_s: 0.5}"


def load(tmp_path: Path, extra: str, more: str = "") -> Profile:
    path = tmp_path / "p.yaml"
    path.write_text(TEXT.replace("EXTRA", extra) + more, encoding="utf-8")
    return load_profile(str(path))


def test_kept_replicates_are_taken_whole(tmp_path: Path) -> None:
    profile = load(tmp_path, KEPT, "contention_replicates: {2: [1.4, 1.6]}\n")
    assert load(tmp_path, KEPT, "contention_replicates: {2: [1.4, 1.6]}\n") == profile
    found = resampled(profile, 20)
    assert (found.source, len(found.profiles)) == ("resampled calibration", 2)
    first, second = (compile_costs(one, 2).costs for one in found.profiles)
    assert (first.decode_s, first.prefill) == ((0.0, 0.011, 0.02), ((1, 0.0044),))
    assert (first.before_s, first.after_s) == pytest.approx((0.006, 0.002))  # split as it was
    assert (second.decode_s, second.prefill) == ((0.0, 0.009, 0.02), ((1, 0.0036),))
    assert [one.contention for one in found.profiles] == [{"2": 1.4}, {"2": 1.6}]
    assert len(resampled(profile, 1).profiles) == 1


def test_draws_have_the_standard_errors(tmp_path: Path) -> None:
    profile = load(tmp_path, ERRORS)
    source, profiles = resampled(profile, 2000)
    assert source == "standard errors"
    drawn = [one.slots["2"] for one in profiles]
    for name, values, value, error in (
        ("step 1", [s.step_s["1"] for s in drawn], 0.01, 0.1),
        ("step 2", [s.step_s["2"] for s in drawn], 0.02, 0.02),
        ("overhead", [(s.before_s or 0) + (s.after_s or 0) for s in drawn], 0.004, 0.3),
    ):
        logs = np.log(np.array(values) / value)
        sd = math.sqrt(math.log1p(error**2))
        assert abs(logs.mean()) < 4 * sd / math.sqrt(2000), name
        assert logs.std() == pytest.approx(sd, rel=0.08), name
    assert {s.prefill_s_per_token for s in drawn} == {0.004}  # no error is known of it
    assert {s.prompt_step_s for s in drawn} == {0.0}  # nothing stays nothing
    assert abs(np.corrcoef([s.step_s["1"] for s in drawn], [s.step_s["2"] for s in drawn])[0, 1]) < 0.1


def test_draws_are_those_of_their_seed(tmp_path: Path) -> None:
    profile = load(tmp_path, ERRORS)
    assert resampled(profile, 3, 7) == resampled(profile, 3, 7)
    assert resampled(profile, 3, 7).profiles[:2] == resampled(profile, 2, 7).profiles
    assert resampled(profile, 1, 7) != resampled(profile, 1, 8)


def test_without_either_nothing_is_known() -> None:
    assert resampled(load_profile("m1-published"), 20) == ("unknown", ())


@pytest.mark.parametrize(
    ("extra", "more", "message"),
    [
        (
            "replicates: {step_s.3: [0.1]}",
            "",
            'no fitted value "step_s.3"; expected one of step_s.1, step_s.2, prefill',
        ),
        ("replicates: {step_s.1: [0.1, 0.2], overhead_s: [0.1]}", "", "expected 2 values as the others have, found 1"),
        ("replicates: {step_s.1: [-0.1]}", "", "slots.2.replicates.step_s.1.0: expected 0 or more, found -0.1"),
        ("", "contention_replicates: {3: [1.1]}\n", "there is no contention of 3 servers"),
    ],
)
def test_mistakes_say_where_and_what(tmp_path: Path, extra: str, more: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(tmp_path, extra, more)
    assert message in str(caught.value)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    profile = load(tmp_path, KEPT, "contention_replicates: {2: [1.4, 1.6]}\n")
    path = tmp_path / "again.yaml"
    path.write_text(dump_profile(profile), encoding="utf-8")
    assert load_profile(str(path)) == profile


def test_a_replicate_is_the_weighted_least_squares_fit() -> None:
    """On a linear model one step is exact; all deviations of a value are widened by one factor."""
    design = np.array([[1.0, x] for x in range(1, 25)])
    signs = np.array([1, -1, -1, 1] * 6)
    measured = (design @ [2.0, 0.5]) / (1 + 0.01 * signs)  # relative errors of one size: Huber leaves all alone
    weights = 1.0 + 0.5 * np.array([np.cos(np.arange(24) * k) for k in (1.0, 2.0, 3.0, 4.0)])
    one, scale = np.array([1.0, 1.0]), np.array([1.0, 1.0])
    found = solve(lambda v: design @ v, measured, one, scale, np.array([0.0, 0.0]), range(24), weights)

    rows = design / measured[:, None]

    def fit(w: np.ndarray) -> np.ndarray:
        solved: np.ndarray = np.linalg.lstsq(rows * np.sqrt(w)[:, None], np.sqrt(w), rcond=None)[0]
        return solved

    usual = fit(np.ones(24))
    assert found.values == pytest.approx(usual, rel=1e-6)
    factors = (found.replicates - found.values) / np.array([fit(w) - usual for w in weights])
    assert factors == pytest.approx(np.tile(factors[0], (4, 1)), rel=1e-3)
    assert (factors >= 0.999).all()
