"""Prompts far outside what a profile was fitted to: said, and the interval holds what the slot settings differ by."""

from __future__ import annotations

from pathlib import Path

import pytest
from separate import separate

from harness.analysis.analyse import analyse
from harness.predict.resampling import with_resampling
from harness.predict.simulation import predict
from harness.profiles.fitted_range import out_of_range
from harness.profiles.load import load_profile
from harness.profiles.resample import resampled
from harness.runs.model import Run
from harness.wording.predictions import extrapolated_prompts
from harness.workload.load import load_workload

ALONE = """
version: 1
name: alone
pipelines:
  ask:
    path: interactive
    jobs: 4
    arrival: {closed: 1, think_s: 2}
    nodes: {answer: {agent: {prompt: "{tables}", output_tokens: 20}}}
inputs:
  tables: {synthetic: {count: 1, tokens: TOKENS}}
servers:
  one: {kind: llamacpp, slots: 1, context_tokens: 8192}
  four: {kind: llamacpp, slots: 4, context_tokens: 8192}
compare:
  one-slot: {placement: one, concurrency: unbounded}
  four-slots: {placement: four, concurrency: unbounded}
"""


def predicted(tmp_path: Path, tokens: int) -> Run:
    path = tmp_path / "alone.yaml"
    path.write_text(ALONE.replace("TOKENS", str(tokens)), encoding="utf-8")
    loaded, profile = load_workload(path), load_profile("epyc-2core")
    return with_resampling(predict(loaded, profile, repeats=3).run, loaded, profile, profiles=20)


@pytest.mark.parametrize(("tokens", "out"), [(300, False), (900, False), (1200, True), (6000, True)])
def test_far_is_more_than_twice_the_longest_prompt_that_was_fitted(tmp_path: Path, tokens: int, out: bool) -> None:
    run = predicted(tmp_path, tokens)
    found = out_of_range(load_profile("epyc-2core"), run.calls)
    assert (found is not None) == out
    if found is not None:
        assert (found.shortest_fitted, found.longest_fitted) == (53, 514)
        assert found.longest == max(call.reply.prompt_tokens or 0 for call in run.calls) >= tokens
        (note,) = extrapolated_prompts([found])
        assert note in run.notes
        assert f"up to {found.longest} tokens" in note.text
        assert "from 53 to 514" in note.text


@pytest.mark.parametrize("tokens", [30, 300, 900, 2000, 6000])
def test_a_single_user_gains_nothing_from_slots_that_are_never_filled(tmp_path: Path, tokens: int) -> None:
    """One call in flight ever: what two fits of one machine differ by (36.4 s and 28.0 s) is no gain."""
    run = predicted(tmp_path, tokens)
    analysis = analyse(run)
    assert [verdict.chosen for verdict in analysis.paths] == ["one-slot"]
    assert analysis.paths[0].standing != "clear"
    one, four = (
        sorted((call.repeat, call.job, call.reply) for call in run.calls if call.candidate == name)
        for name in ("one-slot", "four-slots")
    )
    assert one == four
    assert run.resampled is not None
    factors = run.resampled.factors
    assert factors["one-slot/ask/time"] == factors["four-slots/ask/time"]


def test_out_of_range_settings_exchange_what_a_prompt_costs_as_a_whole() -> None:
    profile = separate("epyc-2core")

    def prompts(slots: str, *, exchange: bool) -> set[tuple[float, float]]:
        again = resampled(profile, 40, exchange_prompts=exchange).profiles
        return {(one.slots[slots].prompt_context_s > 0, one.slots[slots].prompt_step_s > 0) for one in again}

    # the fit with one slot has a cost that grows with the prompt and none for each step; that with four the reverse
    assert prompts("1", exchange=False) == {(True, False)}
    assert prompts("4", exchange=False) == {(False, True)}
    assert prompts("1", exchange=True) == prompts("4", exchange=True) == {(True, False), (False, True)}


def test_a_profile_without_observations_has_no_range(tmp_path: Path) -> None:
    run = predicted(tmp_path, 6000)
    assert out_of_range(load_profile("epyc-2core").model_copy(update={"rows": ()}), run.calls) is None
