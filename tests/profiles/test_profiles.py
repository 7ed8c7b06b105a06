"""Profiles: what is read, what is refused and where, what must be assumed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from workload.mistaken import one_of

from harness.core.machine import SharedServer
from harness.core.server_model import ServerModel
from harness.errors import UserError, WorkloadError
from harness.profiles.compile import compile_costs, noise, server_models, unknowns
from harness.profiles.load import dump_profile, load_profile
from harness.profiles.schema import Profile

ORIGINS = get_args(Profile.model_fields["origin"].annotation)

GOOD = """\
version: 1
name: box
origin: measured
source: a ladder of 1, 2 and 4 calls
date: "2026-11-22"
machine: 2 vCPUs
engine: xllamacpp 2026.10
model: SmolLM2-135M-Instruct Q4_1
slots:
  4:
    step_s: {1: 0.009, 2: 0.018, 4: 0.024}
    prefill_s_per_token: 0.004
    prefill_batch_tokens: 512
    context_s_per_token: 1.0e-6
    mixed_factor: 0.9
    before_s: 0.002
    after_s: 0.001
    noise: 0.02
    gap_s: 0.0005
contention: {2: 1.5}
model_id: smollm2-135m
text: {tokens_per_piece: 1.0, tokens_per_long_letter: 0.25, template_tokens: 20, system_template_tokens: 10,
  held_out: {calls: 12, median_error: 0.02, worst_error: 0.1}}
"""


def load(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def test_a_profile_becomes_costs(tmp_path: Path) -> None:
    profile = load(tmp_path, GOOD)
    assert unknowns(profile, 4) == ()
    costs, notes, extrapolated, sd, half = compile_costs(profile, 4)
    assert costs.decode_s == pytest.approx((0.0, 0.009, 0.018, 0.021, 0.024))
    assert costs.prefill == ((1, 0.004),)
    assert (costs.batch_tokens, costs.context_s_per_token, costs.mixed_factor) == (512, 1e-6, 0.9)
    assert (costs.before_s, costs.after_s, costs.gap_s) == (0.002, 0.001, 0.0005)
    assert (notes, extrapolated, sd, half) == ((), False, 0.02, False)


def test_a_table_of_prompt_costs(tmp_path: Path) -> None:
    text = GOOD.replace(
        "prefill_s_per_token: 0.004", "prefill_s_per_token: null\n    prefill_table_s: {512: 2.0, 64: 0.3}"
    )
    profile = load(tmp_path, text)
    assert unknowns(profile, 4) == ()
    assert compile_costs(profile, 4).costs.prefill == ((64, 0.3), (512, 2.0))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    for profile in (load(tmp_path, GOOD), load_profile("m1-published")):
        assert load(tmp_path, dump_profile(profile, "a comment\nof two lines")) == profile


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 2", "p.yaml:1:10: version: expected 1, found 2"),
        ("1: 0.009", "1: -0.009", "p.yaml:11:17: slots.4.step_s.1: expected more than 0, found -0.009"),
        ("1: 0.009", "1: 90", "p.yaml:11:17: slots.4.step_s.1: expected at most 60, found 90"),
        ("step_s:", "step_ms:", 'p.yaml:11:5: unknown key "step_ms" in slots.4; did you mean "step_s"?'),
        ("1: 0.009, ", "", "p.yaml:11:5: slots.4: the step time of 1 generating slot is missing"),
        (", 4: 0.024", "", "p.yaml:11:5: the step time of all 4 generating slots is missing"),
        ("4: 0.024", "4: 0.024, 5: 0.1", "p.yaml:11:5: a server with 4 slots has no step with 5"),
        ("{1: 0.009", "{one: 0.009", 'expected a number of generating slots, 1 or more, found "one"'),
        ("prefill_batch_tokens: 512", "prefill_batch_tokens: 4", "expected more tokens than the 4 slots, found 4"),
        ("    after_s: 0.001\n", "", "p.yaml:10:3: slots.4.after_s is missing"),
        ("{2: 1.5}", "{1: 1.5}", 'expected a number of busy servers, 2 or more, found "1"'),
        ("    gap_s: 0.0005", "    gap_s: -1", "slots.4.gap_s: expected 0 or more, found -1"),
        ("template_tokens: 20, ", "", "text.template_tokens is missing"),
        ("measured", "guessed", f'p.yaml:3:9: origin: expected {one_of(ORIGINS)}, found "guessed"'),
    ],
)
def test_mistakes_say_where_and_what(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert message in str(caught.value)


def test_a_text_has_tokens_by_its_words(tmp_path: Path) -> None:
    text = load(tmp_path, GOOD).text
    assert text is not None
    assert text.count("") == 0
    assert text.count("The cat sat.") == 4
    assert text.count("Configuration: 12\n\n- a") == 1 + 7 * 0.25 + 1 + 2 + 1 + 1 + 1  # 7 letters beyond six


def test_an_unknown_profile_is_named_with_what_there_is() -> None:
    with pytest.raises(UserError, match=r'^no profile "m1-publisched"; did you mean "m1-published"\?'):
        load_profile("m1-publisched")


def test_what_is_not_known_must_be_given_or_is_assumed_openly() -> None:
    profile = load_profile("m1-published")
    assert [item.key for item in unknowns(profile, 4)] == [
        "prefill_s_per_token",
        "prefill_batch_tokens",
        "context_s_per_token",
        "mixed_factor",
        "gap_s",
    ]
    with pytest.raises(UserError, match=r'"m1-published" does not have prefill_s_per_token .* --assume prefill_s_per'):
        compile_costs(profile, 4)
    fitted = compile_costs(profile, 4, given={"prefill_s_per_token": 0.003})
    assert fitted.costs.prefill == ((1, 0.003),)
    assert fitted.notes[0] == "prefill_s_per_token = 0.003 is given, not fitted (seconds per prompt token)"
    assert "context_s_per_token = 0 is assumed" in fitted.notes[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prefill_s_per_token": -1.0}, r"^prefill_s_per_token: expected 0 or more, found -1$"),
        ({"prefill_s_per_token": 0.0, "before_s": 1.0}, r'^profile "m1-published" has before_s with 4 slots'),
        ({"prefill_s_per_token": 0.0, "speed": 1.0}, r'^cannot assume "speed"; expected one of prefill_s_per_token,'),
        ({"prefill_s_per_token": 0.0, "prefill_batch_tokens": 4.0}, r"expected more than 4 slots, found 4$"),
    ],
)
def test_wrong_assumptions_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        compile_costs(load_profile("m1-published"), 4, given=given)


def test_other_slot_counts_are_refused_unless_extrapolated(tmp_path: Path) -> None:
    profile = load(tmp_path, GOOD)
    with pytest.raises(UserError, match=r'^profile "box" was made with 4 slots, not with 6; .* --extrapolate'):
        compile_costs(profile, 6)
    more = compile_costs(profile, 6, extrapolate=True)
    assert more.costs.decode_s == pytest.approx((0.0, 0.009, 0.018, 0.021, 0.024, 0.027, 0.030))
    assert more.extrapolated
    assert more.notes == ("6 slots are extrapolated from the profile's 4",)
    fewer = compile_costs(profile, 2, extrapolate=True)
    assert fewer.costs.decode_s == (0.0, 0.009, 0.018)


HALF = """\
half:
  4:
    step_s: {1: 0.016, 4: 0.040}
    prefill_s_per_token: 0.008
    prefill_batch_tokens: 512
    context_s_per_token: 0
    before_s: 0.002
    after_s: 0.001
    threads: 1
contention:"""


def test_servers_with_half_of_the_cores_have_settings_of_their_own(tmp_path: Path) -> None:
    profile = load(tmp_path, GOOD)
    with pytest.raises(UserError, match=r'^profile "box" was not made for 4 slots with half of the cores; calibrate'):
        compile_costs(profile, 4, threads="half")
    with pytest.raises(UserError, match=r'^profile "box" was not made for 4 slots with 3 threads; calibrate'):
        compile_costs(profile, 4, threads=3)
    marked = compile_costs(profile, 4, threads="half", extrapolate=True)
    assert marked.extrapolated
    assert marked.notes == ("4 slots with half of the cores are extrapolated from the profile's 4 and every core",)

    both = load(tmp_path, GOOD.replace("contention:", HALF))
    assert load(tmp_path, dump_profile(both)) == both
    every, half = compile_costs(both, 4), compile_costs(both, 4, threads="half")
    assert (half.costs.decode_s[1], half.half, half.extrapolated) == (0.016, True, False)
    assert (every.costs.decode_s[1], every.half) == (0.009, False)
    assert compile_costs(both, 4, threads=1) == half  # the same by number
    with pytest.raises(UserError, match=r"made with 4 slots on half of the cores, not with 2; calibrate with 2"):
        compile_costs(both, 2, threads="half")
    assert len(server_models(both, [half.costs] * 2, half=[True, True])) == 2
    with pytest.raises(UserError, match=r"is that of servers with half of the cores each; .* `threads: half` on both"):
        server_models(both, [half.costs, every.costs], half=[True, False])
    with pytest.raises(WorkloadError, match=r"p.yaml:22:5: a server with 4 slots has no step with 5"):
        load(tmp_path, GOOD.replace("contention:", HALF.replace("4: 0.040", "4: 0.040, 5: 0.05")))


def test_two_servers_need_known_contention(tmp_path: Path) -> None:
    profile = load(tmp_path, GOOD)
    costs = compile_costs(profile, 4).costs
    assert [type(server) for server in server_models(profile, [costs])] == [ServerModel]
    assert [type(server) for server in server_models(profile, [costs, costs])] == [SharedServer, SharedServer]
    with pytest.raises(UserError, match=r'^profile "box" does not say how 3 busy servers on its machine slow each'):
        server_models(profile, [costs] * 3)
    with pytest.raises(UserError, match=r"does not say how 2 busy servers .* cannot be predicted"):
        server_models(load(tmp_path, GOOD.replace("{2: 1.5}", "null")), [costs] * 2)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_profile_loads_under_its_name(path: Path) -> None:
    profile = load_profile(str(path))
    assert profile.name == path.stem
    if profile.origin == "measured":
        assert profile.held_out is not None and profile.held_out.median_error < 0.05
        for family in (profile.slots, profile.half or {}):
            for setting in family.values():
                assert setting.drift is not None and abs(setting.drift) < 0.05


def test_noise_is_a_function_of_its_key_with_mean_one() -> None:
    factors = [noise(0.1, 7, "s")(i) for i in range(4000)]
    assert factors == [noise(0.1, 7, "s")(i) for i in range(4000)]
    assert factors[:9] != [noise(0.1, 8, "s")(i) for i in range(9)]
    mean = sum(factors) / 4000
    assert abs(mean - 1) < 3.3 * 0.1 / 4000**0.5
    assert abs((sum((f - mean) ** 2 for f in factors) / 4000) ** 0.5 - 0.1) < 0.005
    assert noise(0.0, 7, "s")(3) == 1.0
