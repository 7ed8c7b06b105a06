"""Predictions of servers with levers: by hand where the profile knows their effect, else none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from predict.paper import PROFILE, WORKLOAD

from harness.core.step_costs import PassCosts, RamCache
from harness.errors import UserError
from harness.predict.simulation import Prediction, predict
from harness.profiles.compile import compile_costs
from harness.profiles.levers import as_made, known_levers, pulled
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.servers.simulated import emulation
from harness.servers.simulated_engine import SimulatedConfig
from harness.workload.load import load_workload
from harness.workload.schema import SimulatedServer

# The same machine with a RAM cache: to save a slot takes 1/8 s, and 1/512 s a token; passes are told apart on two.
SAVES = "save_s: 0.125, save_s_per_token: 0.001953125, "
PASSES = "changed_s: {1: 0.25}, settle_s: {1: 0}, "
KNOWS = PROFILE.replace("1: {step_s: {1: 0.125}, ", "1: {step_s: {1: 0.125}, " + SAVES).replace(
    "2: {step_s: {1: 0.125, 2: 0.1875}, ", "2: {step_s: {1: 0.125, 2: 0.1875}, " + SAVES + PASSES
)


class Case(NamedTuple):
    """A prediction and its profile."""

    profile: Profile
    prediction: Prediction


def predicted(folder: Path, levers: str = "", profile: str = KNOWS) -> Case:
    """Predict the workload with levers at its one-slot server."""
    text = WORKLOAD.replace("slots: 1}", f"slots: 1, levers: {{{levers}}}}}")
    (folder / "paper.yaml").write_text(text, encoding="utf-8")
    (folder / "dyadic.yaml").write_text(profile, encoding="utf-8")
    known = load_profile(str(folder / "dyadic.yaml"))
    return Case(known, predict(load_workload(folder / "paper.yaml"), known, repeats=1))


def end_s(case: Case) -> float:
    (found,) = (job.end_s for job in case.prediction.run.jobs if job.candidate == "serial")
    return found


def test_without_the_ram_cache_nobody_waits_for_copies(tmp_path: Path) -> None:
    plain_s = end_s(predicted(tmp_path, profile=PROFILE))
    # Each call saves what the one before it left, and the first what the trial before did: prompts of 16 tokens and
    # answers of 5, 5 and 3, the last token of which was never read.
    saved_s = 3 * 0.125 + (20 + 20 + 18) / 512
    assert end_s(predicted(tmp_path)) == plain_s + saved_s
    assert end_s(predicted(tmp_path, "ram_cache: off")) == plain_s
    assert end_s(predicted(tmp_path, "ram_cache: on")) == plain_s + saved_s


def test_without_a_cost_of_it_a_ram_cache_that_is_off_changes_nothing(tmp_path: Path) -> None:
    """There is nothing to take out, and memory may ask for it; it is said."""
    plain = predicted(tmp_path, profile=PROFILE)
    off = predicted(tmp_path, "ram_cache: off", PROFILE)
    assert end_s(off) == end_s(plain)
    said = 'profile "dyadic" has no cost of a RAM prompt cache: without it "one" is predicted to be as fast as with it'
    assert any(said in note.text for note in off.prediction.run.notes)
    assert not any("RAM prompt cache" in note.text for note in plain.prediction.run.notes)


def test_the_server_of_a_prediction_says_its_levers(tmp_path: Path) -> None:
    servers = {server.name: server for server in predicted(tmp_path, "ram_cache: off").prediction.run.servers}
    assert servers["one"].details["ram_cache"] == "off"
    assert "ram_cache" not in servers["two"].details


@pytest.mark.parametrize(
    ("levers", "what"),
    [
        ("ram_cache: on", "ram_cache on changes (with the RAM prompt cache)"),
        ("flash_attention: on", "flash_attention on changes (with flash attention)"),
        ("kv_type: q8_0", "kv_type q8_0 changes (kv type q8_0)"),
        ("speculation: ngram", "speculation ngram changes (with speculation from repeated words)"),
        ("speculation: small.gguf", "speculation small.gguf changes (with small.gguf as a draft model)"),
    ],
)
def test_what_the_profile_does_not_know_is_not_predicted(tmp_path: Path, levers: str, what: str) -> None:
    prediction = predicted(tmp_path, levers, PROFILE).prediction
    reason = f'profile "dyadic" does not know what {what}; measure it (slotwise run), or leave the lever out'
    assert prediction.refused == {"serial": reason}
    assert f'"serial" is not predicted: {reason}.' in [note.text for note in prediction.run.notes]


def test_how_a_profile_was_made(tmp_path: Path) -> None:
    profile = predicted(tmp_path).profile
    one, two = (compile_costs(profile, slots).costs for slots in (1, 2))
    assert known_levers(profile, one) == {"ram_cache": "off"}
    assert known_levers(profile, two) == {"ram_cache": "off", "kv_unified": "on"}
    plain = one._replace(ram_cache=None)
    made = {
        engine: as_made(profile.model_copy(update={"engine": engine}), plain).get("ram_cache")
        for engine in ("ollama 0.33.0", "xllamacpp 2026.10", "none")
    }
    assert made == {"ollama 0.33.0": "on", "xllamacpp 2026.10": "off", "none": None}


def test_a_unified_cache_lets_all_slots_share_a_pass(tmp_path: Path) -> None:
    profile = predicted(tmp_path).profile
    costs = compile_costs(profile, 2).costs
    passes = PassCosts((0.0, 0.25, 0.25), (0.0, 0.0, 0.0), 512)
    assert costs.passes == passes
    assert pulled(profile, costs, {"kv_unified": "on"}) == costs._replace(passes=passes._replace(unified=True))
    assert pulled(profile, costs, {"kv_unified": "off"}) == costs
    assert pulled(profile, costs, {"kv_unified": "on", "ram_cache": "off"}).ram_cache is None
    with pytest.raises(UserError, match="does not know what kv_unified on changes"):
        pulled(profile, costs._replace(passes=None), {"kv_unified": "on"})


def test_a_simulated_server_plays_them(tmp_path: Path) -> None:
    predicted(tmp_path)  # writes the profile
    spec = SimulatedServer(kind="simulated", profile="dyadic.yaml", slots=2)
    config, details = emulation("s", spec, tmp_path)
    costs = SimulatedConfig.from_json(config["engine"]).costs
    assert costs.ram_cache == RamCache(0.125, 1 / 512, costs.ram_cache.tokens if costs.ram_cache else 0)
    assert costs.passes == PassCosts((0.0, 0.25, 0.25), (0.0, 0.0, 0.0), 512)
    off = spec.model_copy(update={"levers": {"ram_cache": "off"}})
    config, details = emulation("s", off, tmp_path)
    assert SimulatedConfig.from_json(config["engine"]).costs == costs._replace(ram_cache=None)
    assert details["ram_cache"] == "off"
    with pytest.raises(UserError, match=r"^s: profile \"dyadic\" does not know what kv_type q8_0 changes"):
        emulation("s", spec.model_copy(update={"levers": {"kv_type": "q8_0"}}), tmp_path)
