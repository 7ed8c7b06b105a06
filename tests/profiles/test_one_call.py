"""With one call in flight slot settings are equal to the last bit, unless a difference was measured."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import stdev

import pytest
from measure.virtual_bursts import EMBEDDED
from separate import calibrated, separate

from harness.core.step_costs import StepCosts
from harness.profiles.compile import compile_costs
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.one_call import ANSWER, PROMPT, pooled
from harness.profiles.replay import Observed, Predicted, replay
from harness.profiles.resample import resampled, value_of
from harness.profiles.schema import Profile, SlotSetting

ONE_SLOT = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
CALLS = tuple(product((1, 40, 300, 514, 2000), (1, 2, 60)))


def lone(profile: Profile, slots: int, *, half: bool = False) -> list[Predicted]:
    """Predict calls of many lengths, each alone on the server."""
    costs = compile_costs(profile, slots, threads="half" if half else None).costs
    return [replay([costs], [observed(*call)])[0] for call in CALLS]


def observed(prompt_tokens: int, output_tokens: int) -> Observed:
    return Observed("", 0, 0, 0.0, prompt_tokens, output_tokens, None, None, 1.0)


def slower(costs: StepCosts, prompts: float, steps: float) -> StepCosts:
    """Return costs of which prompts and steps are this many times as high."""
    return costs._replace(
        prefill=((1, costs.prefill[0][1] * prompts),),
        prompt_step_s=costs.prompt_step_s * prompts,
        prompt_context_s=costs.prompt_context_s * prompts,
        decode_s=tuple(s * steps for s in costs.decode_s),
        context_s_per_token=costs.context_s_per_token * steps,
    )


def with_settings(profile: Profile, settings: Mapping[str, Mapping[str, object]]) -> Profile:
    """Return the profile with its setting of one slot under other numbers of slots, changed."""
    found: dict[str, SlotSetting] = {}
    for slots, update in settings.items():
        one = profile.slots["1"]
        step_s = {"1": one.step_s["1"], slots: one.step_s["1"]}
        found[slots] = one.model_copy(update={"step_s": step_s, **update})
    return profile.model_copy(update={"slots": found, "half": None})


@pytest.mark.parametrize("seed", range(6))
def test_what_differs_by_noise_alone_is_predicted_as_equal(seed: int) -> None:
    apart = calibrated({1: ONE_SLOT, 4: EMBEDDED}, seed)
    assert lone(apart, 1) != lone(apart, 4)
    together = pooled(apart)
    assert lone(together, 1) == lone(together, 4)
    assert together.slots["1"].noise == together.slots["4"].noise
    source, profiles = resampled(together, 20)
    assert (source, len(profiles)) == ("resampled calibration", 20)
    for one in profiles:
        assert lone(one, 1) == lone(one, 4)
    assert len({tuple(lone(one, 1)) for one in profiles}) == 20


@pytest.mark.parametrize("seed", range(6))
def test_a_difference_of_a_tenth_stays(seed: int) -> None:
    apart = calibrated({1: ONE_SLOT, 4: slower(EMBEDDED, 1.1, 1.1)}, seed)
    together = pooled(apart)
    for slots in ("1", "4"):
        for name in (*PROMPT, *ANSWER):
            assert value_of(together.slots[slots], name) == value_of(apart.slots[slots], name)
    measured = [CALLS.index((40, 60)), CALLS.index((300, 60))]  # about as long as those of the calibration
    ratios = [lone(together, 4)[i].decode_s / lone(together, 1)[i].decode_s for i in measured]
    assert ratios == pytest.approx([1.1, 1.1], abs=0.04)


def test_a_part_that_differs_leaves_the_others_shared() -> None:
    together = pooled(calibrated({1: ONE_SLOT, 4: slower(EMBEDDED, 1.0, 1.1)}, 1))
    one, four = together.slots["1"], together.slots["4"]
    assert four.step_s["1"] / one.step_s["1"] == pytest.approx(1.1, abs=0.03)
    assert one.prefill_s_per_token == four.prefill_s_per_token
    assert (one.before_s, one.after_s) == (four.before_s, four.after_s)


def test_settings_that_do_not_differ_share_though_another_does() -> None:
    truth = {1: ONE_SLOT, 2: EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:3]), 4: slower(EMBEDDED, 1.1, 1.1)}
    together = pooled(calibrated(truth, 2))
    assert lone(together, 1) == lone(together, 2) != lone(together, 4)


def test_the_shipped_profile_gains_nothing_with_one_call_in_flight() -> None:
    apart, together = separate("epyc-2core"), load_profile("epyc-2core")
    assert lone(apart, 1) != lone(apart, 4)
    assert lone(together, 1) == lone(together, 4)
    assert lone(together, 1, half=True) == lone(together, 4, half=True)
    assert min(b.wall_s / a.wall_s for a, b in zip(lone(together, 1), lone(together, 1, half=True), strict=True)) > 1.3
    source, profiles = resampled(together, 20)  # it keeps no resampled calibrations: one draw for what is shared
    assert source == "standard errors"
    for one in profiles:
        assert lone(one, 1) == lone(one, 4) != lone(together, 1)
        assert lone(one, 1, half=True) == lone(one, 4, half=True)


def test_an_interval_far_out_of_range_holds_what_each_fit_says_there() -> None:
    """At 6000 tokens the two fits say 33 s and 25 s of the same prompt."""

    def prompt_s(profile: Profile, slots: int) -> float:
        return replay([compile_costs(profile, slots).costs], [observed(6000, 1)])[0].prefill_s

    apart, together = separate("epyc-2core"), load_profile("epyc-2core")
    spread_s = stdev(prompt_s(one, 1) for one in resampled(together, 40).profiles)
    for slots in (1, 4):
        assert abs(prompt_s(apart, slots) - prompt_s(together, 1)) < 2 * spread_s


def test_bursts_take_as_long_as_they_did() -> None:
    apart, together = separate("epyc-2core"), load_profile("epyc-2core")
    bursts = [row for row in apart.rows if row.fitted and row.concurrent > 1]
    assert len(bursts) == 6
    for row in bursts:
        walls_s = []
        for profile in (apart, together):
            costs = compile_costs(profile, row.slots, threads="half" if row.half else None).costs
            calls = [observed(row.prompt_tokens or 0, row.output_tokens)] * row.concurrent
            walls_s.append(max(call.wall_s for call in replay([costs], calls)))
        assert walls_s[1] == pytest.approx(walls_s[0], rel=0.002)


def test_what_was_pooled_comes_back_unchanged(tmp_path: Path) -> None:
    for together in (load_profile("epyc-2core"), pooled(calibrated({1: ONE_SLOT, 4: EMBEDDED}, 1))):
        assert pooled(together) is together
        path = tmp_path / "p.yaml"
        path.write_text(dump_profile(together), encoding="utf-8")
        assert load_profile(str(path)) == together


def test_where_nothing_says_what_is_noise_settings_stay_as_they_are() -> None:
    apart = separate("epyc-2core")
    published = separate("m1-published")
    without_rows = apart.model_copy(update={"rows": ()})
    without_errors = with_settings(apart, {"2": {"standard_error": {}}, "4": {"standard_error": {}, "before_s": 0.1}})
    for profile in (published, without_rows, without_errors):
        assert pooled(profile) is profile


def test_settings_measured_one_after_the_other_may_differ_by_the_drift() -> None:
    apart = separate("epyc-2core")
    prefill_s = apart.slots["1"].prefill_s_per_token
    assert prefill_s is not None
    exact = dict.fromkeys(apart.slots["1"].standard_error, 0.001)
    faster = {"standard_error": exact, "drift": 0.03}
    two = with_settings(apart, {"2": faster, "4": faster | {"prefill_s_per_token": 1.05 * prefill_s}})
    assert len({one.prefill_s_per_token for one in pooled(two).slots.values()}) == 1
    in_turns = two.model_copy(update={"in_turns": True})
    assert [one.prefill_s_per_token for one in pooled(in_turns).slots.values()] == [prefill_s, 1.05 * prefill_s]
