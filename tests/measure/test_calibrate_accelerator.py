"""What calibration finds out about a server on an accelerator: passes, and what saving costs."""

from __future__ import annotations

import pytest
from measure.virtual_bursts import Virtual, seen

from harness.core.step_costs import PassCosts, RamCache, StepCosts
from harness.measure.burst_design import levels
from harness.profiles.fit import fit_setting, held_out
from harness.profiles.schema import DRIFT_BOUND

# About what an 8B model costs on an H100.
COSTS = StepCosts(
    decode_s=(0.0, 0.0033, 0.0039, 0.0045, 0.0052),
    prefill=((1, 8e-5),),
    prompt_step_s=0.009,
    batch_tokens=1024,
    before_s=0.0025,
    after_s=0.0015,
    gap_s=0.0007,
    passes=PassCosts((0.0, 0.0012, 0.0022, 0.0022, 0.0022), (0.0, 0.0027, 0.0053, 0.0053, 0.0053), 1024),
    ram_cache=RamCache(0.0, 1.1e-4, 65536),
)


def test_passes_and_saving_come_back() -> None:
    result = seen(Virtual([COSTS]), 4, "default", accelerated=True)
    fit = fit_setting(result.fitted, levels(4), COSTS.batch_tokens)
    found = fit.costs
    assert found.passes is not None and COSTS.passes is not None and found.ram_cache is not None
    assert found.decode_s == pytest.approx(COSTS.decode_s, rel=1e-6)
    assert found.passes.changed_s == pytest.approx(COSTS.passes.changed_s, rel=1e-6)
    assert found.passes.settle_s == pytest.approx(COSTS.passes.settle_s, rel=1e-6)
    assert found.ram_cache.s_per_token == pytest.approx(1.1e-4, rel=1e-6)
    assert found.ram_cache.save_s == found.handover_s == found.tokenize_s_per_token == 0.0
    assert found.prefill[0][1] == pytest.approx(8e-5, rel=1e-6)
    assert max(held_out(result.held_out, [found])) < 1e-6


def test_what_is_left_in_the_slots_is_no_drift() -> None:
    """The first reference finds another content in the slots than the last: it took as long as ever."""
    result = seen(Virtual([COSTS]), 4, accelerated=True)
    assert abs(result.drift) < DRIFT_BOUND / 10


@pytest.mark.slow  # the larger model is fitted in vain: most of a minute
def test_without_a_cache_nothing_of_one_is_found() -> None:
    costs = COSTS._replace(ram_cache=None)
    fit = fit_setting(seen(Virtual([costs]), 4, "default", accelerated=True).fitted, levels(4), 1024)
    assert fit.costs.passes is not None
    assert fit.costs.ram_cache is None or fit.costs.ram_cache.s_per_token < 1e-6


def test_one_slot_shows_what_saving_costs() -> None:
    costs = COSTS._replace(
        decode_s=COSTS.decode_s[:2],
        passes=PassCosts((0.0, 0.0), (0.0, 0.0), 1024),
        ram_cache=RamCache(0.0, 1e-4, 65536),
    )
    fit = fit_setting(seen(Virtual([costs]), 1, "default", accelerated=True).fitted, levels(1), 1024)
    assert fit.costs.ram_cache is not None
    assert fit.costs.ram_cache.s_per_token == pytest.approx(1e-4, rel=0.01)
