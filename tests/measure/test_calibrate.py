"""Calibration in virtual time: the experiment, run against a server model, gives that model's costs back."""

from __future__ import annotations

import asyncio
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measure.virtual_bursts import EMBEDDED, QUICK, Virtual, seen
from quiet import Quiet

from harness.core.draws import uniform
from harness.core.step_costs import StepCosts
from harness.errors import ServerFailure
from harness.measure.burst_design import EFFORTS, REFERENCE, Burst, Group, Speed, design, expected_s, levels
from harness.measure.bursts import observe
from harness.measure.experiment import pair_experiment
from harness.profiles.fit import REPLICATES, fit_contention, fit_setting, gap_of, held_out, noise_of, setting_of
from harness.profiles.replay import Observed, replay
from harness.profiles.schema import DRIFT_BOUND


def same(found: StepCosts, truth: StepCosts, rel: float = 1e-6) -> None:
    assert found.decode_s == pytest.approx(truth.decode_s, rel=rel)
    assert found.prefill[0][1] == pytest.approx(truth.prefill[0][1], rel=rel)
    assert found.prompt_step_s == pytest.approx(truth.prompt_step_s, rel=rel, abs=1e-9)
    assert found.prompt_context_s == pytest.approx(truth.prompt_context_s, rel=rel, abs=1e-12)
    assert found.context_s_per_token == pytest.approx(truth.context_s_per_token, rel=rel, abs=1e-12)
    assert found.mixed_factor == pytest.approx(truth.mixed_factor, rel=rel)
    overhead_s = truth.before_s + truth.after_s
    assert found.before_s + found.after_s == pytest.approx(overhead_s, rel=rel, abs=1e-9)


@pytest.mark.parametrize("effort", EFFORTS)
def test_known_costs_come_back(effort: str) -> None:
    result = seen(Virtual([EMBEDDED]), 4, effort)
    fit = fit_setting(result.fitted, levels(4), EMBEDDED.batch_tokens)
    same(fit.costs, EMBEDDED)
    assert fit.unresolved == ()
    errors = held_out(result.held_out, [fit.costs])
    assert len(errors) >= 5
    assert max(errors) < 1e-6
    assert result.drift == pytest.approx(0, abs=1e-12)


def test_one_slot_has_no_mixed_steps() -> None:
    costs = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
    result = seen(Virtual([costs]), 1)
    fit = fit_setting(result.fitted, levels(1), costs.batch_tokens)
    same(fit.costs, costs)
    assert max(held_out(result.held_out, [fit.costs])) < 1e-6


def test_what_costs_nothing_is_left_out() -> None:
    costs = StepCosts(EMBEDDED.decode_s, EMBEDDED.prefill, batch_tokens=512)
    fit = fit_setting(seen(Virtual([costs]), 4).fitted, levels(4), 512)
    same(fit.costs, costs)
    assert (fit.costs.prompt_step_s, fit.costs.prompt_context_s, fit.costs.context_s_per_token) == (0.0, 0.0, 0.0)


def costs_strategy() -> st.SearchStrategy[StepCosts]:
    def build(
        slots: int, step_s: float, growth: list[float], prefill: float, rest: tuple[float, float, float, float, float]
    ) -> StepCosts:
        steps = [0.0, step_s]
        for factor in growth[: slots - 1]:
            steps.append(steps[-1] + factor * step_s)
        fixed, attention, context, mixed, overhead = rest
        return StepCosts(
            decode_s=tuple(steps),
            prefill=((1, prefill * step_s),),
            prompt_step_s=fixed * step_s,
            prompt_context_s=attention * prefill * step_s / 500,
            context_s_per_token=context * step_s / 500,
            mixed_factor=mixed if slots > 1 else 1.0,
            batch_tokens=512,
            before_s=overhead * 0.7 * step_s,
            after_s=overhead * 0.3 * step_s,
        )

    part = st.floats(0.01, 1.0)
    return st.builds(
        build,
        st.integers(1, 4),
        st.floats(0.002, 0.2),
        st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
        st.floats(0.01, 1.0),
        st.tuples(part, part, part, st.floats(0.3, 2.0), st.floats(0.01, 3.0)),
    )


@settings(deadline=None, max_examples=40)
@given(costs_strategy())
def test_any_costs_come_back(costs: StepCosts) -> None:
    result = seen(Virtual([costs]), costs.slots)
    fit = fit_setting(result.fitted, levels(costs.slots), costs.batch_tokens)
    same(fit.costs, costs, rel=1e-5)


def test_step_times_between_the_knots_are_interpolated() -> None:
    steps = (0.0, *(0.01 + 0.002 * n for n in range(1, 13)))
    costs = EMBEDDED._replace(decode_s=steps)
    assert levels(12) == (1, 2, 3, 4, 6, 8, 12)
    fit = fit_setting(seen(Virtual([costs]), 12).fitted, levels(12), 512)
    same(fit.costs, costs)


def test_noise_is_found_and_the_rest_is_right_within_its_standard_error() -> None:
    result = seen(Virtual([EMBEDDED], noise_sd=0.02), 4, "thorough")
    fit = fit_setting(result.fitted, levels(4), 512)
    assert fit.noise == pytest.approx(0.02, rel=0.2)
    truth = {f"step_s.{n}": EMBEDDED.decode_s[n] for n in range(1, 5)} | {
        "prefill_s_per_token": 0.004,
        "context_s_per_token": 2e-6,
        "mixed_factor": 0.85,
        "overhead_s": 0.008,
    }
    for name, value in truth.items():
        assert 0 < fit.errors[name] < 0.5 * value, name
        assert abs(fit.values[name] - value) < 3.5 * fit.errors[name], name
    for n in range(1, 5):
        assert fit.costs.decode_s[n] == pytest.approx(EMBEDDED.decode_s[n], rel=0.01)
    errors = sorted(held_out(result.held_out, [fit.costs]))
    assert 0.001 < errors[len(errors) // 2] < 0.03


def test_replicates_spread_as_the_standard_errors_do_and_keep_correlations() -> None:
    result = seen(Virtual([EMBEDDED], noise_sd=0.02), 4, "default")
    fit = fit_setting(result.fitted, levels(4), 512, label="s")
    assert len(fit.replicates) == REPLICATES
    for name, error in fit.errors.items():
        off = [replicate.values[name] - fit.values[name] for replicate in fit.replicates]
        rms = math.sqrt(sum(d * d for d in off) / REPLICATES)
        assert 0.6 < rms / error < 1.6, name  # the error of 20: a chi with 20 degrees of freedom is 0.7 to 1.3 of it
    steps, contexts = (
        [replicate.values[name] for replicate in fit.replicates] for name in ("step_s.1", "context_s_per_token")
    )
    assert statistics.correlation(steps, contexts) < -0.3  # the same calls tell both: more of one is less of the other
    again = fit_setting(result.fitted, levels(4), 512, label="s")
    assert again.replicates == fit.replicates
    assert fit_setting(result.fitted, levels(4), 512, label="other").replicates != fit.replicates

    setting = setting_of(fit, batch_tokens=512, threads=None, drift=0.0, errors=())
    assert set(setting.replicates) == set(fit.errors)
    assert setting.replicates["step_s.4"][2] == pytest.approx(fit.replicates[2].values["step_s.4"], rel=1e-5)


def test_the_contention_has_a_replicate_for_each_of_its_servers() -> None:
    one = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
    carry = Virtual([one, EMBEDDED], stretch=1.17, noise_sd=0.01)
    result = asyncio.run(pair_experiment(carry, [one, EMBEDDED], QUICK, Quiet(), name="both"))
    slower = [
        c._replace(decode_s=tuple(s * 1.05 for s in c.decode_s), prefill=((1, 1.05 * c.prefill[0][1]),))
        for c in (one, EMBEDDED)
    ]
    found = fit_contention(result.fitted, [one, EMBEDDED], [(one, EMBEDDED), slower])
    assert len(found.replicates) == 2
    assert abs(found.replicates[0] - found.factor) < 5 * found.error
    assert found.replicates[1] == pytest.approx(found.replicates[0], abs=0.01)  # the machine's speed is fitted with it


def test_one_hiccup_changes_little() -> None:
    carry = Virtual([EMBEDDED], noise_sd=0.01)
    carry.speed_at = lambda number: 3.0 if number == 9 else 1.0
    fit = fit_setting(seen(carry, 4, "default").fitted, levels(4), 512)
    for n in range(1, 5):
        assert fit.costs.decode_s[n] == pytest.approx(EMBEDDED.decode_s[n], rel=0.02)


def test_too_few_repetitions_know_no_noise() -> None:
    calls = seen(Virtual([EMBEDDED]), 4).observed
    assert noise_of([call for call in calls if call.repetition == 0]) is None


def test_drift_is_seen() -> None:
    carry = Virtual([EMBEDDED])
    carry.speed_at = lambda number: 1.0 if number < 10 else 1.25
    result = seen(carry, 4)
    overhead_s = 0.008 + 0.003  # these did not become slower
    assert DRIFT_BOUND < result.drift < 0.25
    assert result.last_s - overhead_s == pytest.approx(1.25 * (result.first_s - overhead_s), rel=0.01)
    setting = setting_of(
        fit_setting(result.fitted, levels(4), 512), batch_tokens=512, threads=2, drift=result.drift, errors=()
    )
    assert setting.drift == pytest.approx(result.drift, rel=1e-2)
    assert setting.held_out is None


def test_the_order_is_drawn_and_the_reference_is_first_and_last() -> None:
    carry, progress = Virtual([EMBEDDED]), Quiet()
    seen(carry, 4, "default", progress)
    names = [burst.name for burst in carry.bursts[2:-3]]
    assert [burst.name for burst in carry.bursts[-3:]] == ["one by one"] * 3
    assert names[:3] == names[-3:] == [REFERENCE] * 3
    middle = names[3:-3]
    each = len(set(middle))
    first, second = middle[:each], middle[each : 2 * each]
    assert sorted(first) == sorted(second) != first
    assert first != second
    assert progress.total == progress.last == len(names)
    assert progress.said == [f"s: about {progress.said[0].split('about ')[1]}"]


@pytest.mark.parametrize("slots", [1, 4, 12])
@pytest.mark.parametrize("effort", EFFORTS)
def test_a_slow_server_gets_shorter_calls(slots: int, effort: str) -> None:
    fast, slow = Speed(0.005, 0.001), Speed(0.08, 0.02)
    long = sum(g.calls * g.output_tokens for b in design(slots, 2048, EFFORTS[effort], fast) for g in b.groups)
    short = sum(g.calls * g.output_tokens for b in design(slots, 2048, EFFORTS[effort], slow) for g in b.groups)
    assert expected_s(design(slots, 2048, EFFORTS[effort], fast), slots, fast) <= EFFORTS[effort].budget_s
    assert short <= long
    if effort == "quick":
        assert short < 0.6 * long


def test_prompts_fit_into_the_context() -> None:
    for context_tokens in (256, 512, 1024, 4096):
        for burst in design(4, context_tokens, EFFORTS["thorough"], Speed(0.001, 0.0001)):
            for group in burst.groups:
                assert group.prompt_tokens + group.output_tokens < context_tokens


@pytest.mark.parametrize("gap_s", [0.0, 0.001953125])
def test_how_far_apart_calls_come_that_are_sent_together(gap_s: float) -> None:
    """Eight calls at once, each a token longer than the last, on one slot and on four."""
    for slots in (1, 4):
        carry = Virtual([EMBEDDED._replace(decode_s=EMBEDDED.decode_s[: slots + 1], gap_s=gap_s)])
        assert seen(carry, slots).gap_s == pytest.approx(gap_s, abs=1e-9)


def test_a_server_that_tells_no_duration_knows_no_gap() -> None:
    calls = [call._replace(total_s=None) for call in seen(Virtual([EMBEDDED]), 4).observed]
    assert gap_of(calls) is None
    assert gap_of([call for call in seen(Virtual([EMBEDDED]), 4).observed if call.burst == REFERENCE]) is None


def test_contention_comes_back() -> None:
    one = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
    carry = Virtual([one, EMBEDDED], stretch=1.17)
    result = asyncio.run(pair_experiment(carry, [one, EMBEDDED], QUICK, Quiet(), name="both"))
    found = fit_contention(result.fitted, [one, EMBEDDED])
    assert found.factor == pytest.approx(1.17, rel=1e-6)
    assert max(held_out(result.held_out, [one, EMBEDDED], found.factor)) < 1e-6
    assert max(held_out(result.held_out, [one, EMBEDDED])) > 0.1  # without it they would be far off


def test_both_servers_of_a_pair_are_busy_for_about_equally_long() -> None:
    one = EMBEDDED._replace(decode_s=EMBEDDED.decode_s[:2], mixed_factor=1.0)
    result = asyncio.run(pair_experiment(Virtual([one, EMBEDDED]), [one, EMBEDDED], QUICK, Quiet(), name="both"))
    for name in {burst.name for burst in result.bursts if burst.fitted and "alone" not in burst.name}:
        calls = [call for call in result.observed if call.burst == name]
        ends = [max(c.sent_s + c.wall_s for c in calls if c.server == server) for server in (0, 1)]
        assert 0.5 < ends[0] / ends[1] < 2


def test_a_failed_call_ends_a_calibration_with_its_reason() -> None:
    carry = Virtual([EMBEDDED])
    (record,) = asyncio.run(carry(Burst("b", (Group(1, 8, 8),)), 0))
    failed = record._replace(reply=record.reply._replace(outcome="error", error="out of memory"))
    with pytest.raises(ServerFailure, match=r'^server "?.s0.*: a call of the calibration failed: out of memory$'):
        observe([failed], Burst("b", (Group(1, 8, 8),)), 0)
    untold = record._replace(reply=record.reply._replace(output_tokens=None))
    with pytest.raises(ServerFailure, match="does not tell counts and times"):
        observe([untold], Burst("b", (Group(1, 8, 8),)), 0)


def test_which_of_equal_calls_comes_first_and_who_joins_its_step_does_not_matter() -> None:
    """Calls sent at once arrive a little apart, in any order, and one or more of them are in the first step."""
    fitted: list[Observed] = []
    held: list[Observed] = []
    for repetition in range(6):
        for burst in design(4, 2048, EFFORTS["default"], Speed(0.009, 0.004)):
            calls = [
                Observed("", 0, 0, group.at_s + 0.0003 * i, group.prompt_tokens, group.output_tokens, None, None, 1.0)
                for group in burst.groups
                for i in range(group.calls)
            ]
            groups = [number for number, group in enumerate(burst.groups) for _ in range(group.calls)]
            key = (repetition, burst.name)
            late_s = [0.004 * round(uniform(3, *key, i)) + 0.0001 * uniform(4, *key, i) for i in range(len(calls))]
            arrived = [call._replace(sent_s=call.sent_s + late) for call, late in zip(calls, late_s, strict=True)]
            for near in [i for i, late in enumerate(late_s) if late < 0.001]:
                arrived[near] = arrived[near]._replace(sent_s=calls[near].sent_s)
            for call, real, group, made in zip(calls, arrived, groups, replay([EMBEDDED], arrived), strict=True):
                wall_s = made.wall_s + real.sent_s - call.sent_s
                seen_call = call._replace(
                    burst=burst.name,
                    repetition=repetition,
                    group=group,
                    wall_s=wall_s,
                    prefill_s=made.prefill_s,
                    decode_s=made.decode_s,
                )
                (fitted if burst.fitted else held).append(seen_call)
    costs = fit_setting(fitted, levels(4), 512).costs
    assert costs.decode_s == pytest.approx(EMBEDDED.decode_s, rel=0.02)
    assert costs.prefill[0][1] == pytest.approx(0.004, rel=0.02)
    assert costs.mixed_factor == pytest.approx(0.85, rel=0.05)
    errors = sorted(held_out(held, [costs]))
    assert errors[len(errors) // 2] < 0.01
    assert errors[-1] < 0.25  # not: one of two equal calls waited for the other


def test_without_lone_calls_there_is_no_fit() -> None:
    calls = [call for call in seen(Virtual([EMBEDDED]), 4).fitted if call.burst == "4 calls"]
    with pytest.raises(ValueError, match="no call by itself"):
        fit_setting(calls, levels(4), 512)


@pytest.mark.parametrize("slots", [1, 2, 4, 8, 16])
def test_what_tests_the_fit_is_staggered_work_of_more_calls_than_slots(slots: int) -> None:
    for effort in (EFFORTS["default"], EFFORTS["thorough"]):
        (sorts,) = (b for b in design(slots, 2048, effort, Speed(0.01, 0.001)) if b.name == "all sorts")
        assert not sorts.fitted
        assert sorts.calls > slots
        assert len({group.at_s for group in sorts.groups}) == sorts.calls
        assert len({(group.prompt_tokens, group.output_tokens) for group in sorts.groups}) >= min(sorts.calls, 6)


def test_several_servers_share_a_time() -> None:
    default = EFFORTS["default"]
    assert [default.shared_by(parts).budget_s for parts in (1, 2, 3, 4, 6)] == [60, 60, 60, 45, 30]
    assert QUICK.shared_by(8).budget_s == 10
