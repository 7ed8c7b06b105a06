"""Levers in the search: those whose effect the profile knows are tried, the others named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quiet import Quiet
from recommend.workloads import PROFILE, UNKNOWN, fan, loaded_of, two_models

from harness.predict.servers import Profiles
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.answer import recommend
from harness.recommend.evaluate import Problem
from harness.recommend.facts import NotTried
from harness.recommend.levers import lever_choices, not_tried, triable
from harness.recommend.several import space_of_two
from harness.recommend.space import design_space
from harness.recommend.workers import in_process
from harness.workload.schema import LlamaCppServer, OllamaServer, SimulatedServer

# The machine with a RAM cache; on four slots a pass of another shape costs more, so that a unified KV cache matters.
SAVES = "save_s: 0.125, save_s_per_token: 0.001953125, "
PASSES = "changed_s: {1: 0.0625}, settle_s: {1: 0}, "
KNOWS = PROFILE.replace("contention: {2: 1.25}", "contention: null")
KNOWS = KNOWS[: KNOWS.index("half:")] + KNOWS[KNOWS.index("contention:") :]
for table in ("{1: 0.125}", "{1: 0.125, 2: 0.1875}"):
    KNOWS = KNOWS.replace(f"step_s: {table}, ", f"step_s: {table}, {SAVES}")
KNOWS = KNOWS.replace(
    "step_s: {1: 0.125, 2: 0.1875, 4: 0.25}, ", "step_s: {1: 0.125, 2: 0.1875, 4: 0.25}, " + SAVES + PASSES
)
OFF, ON = {"ram_cache": "off"}, {"kv_unified": "on"}


def knowing(folder: Path, text: str = KNOWS) -> Profile:
    path = folder / "knows.yaml"
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def ollama(slots: int, **more: Any) -> OllamaServer:
    return OllamaServer(kind="ollama", model="gemma4", slots=slots, **more)


def test_tried_is_what_the_profile_knows(tmp_path: Path) -> None:
    profile = knowing(tmp_path)
    assert triable(ollama(1), profile, extrapolate=False) == OFF
    assert triable(ollama(4), profile, extrapolate=False) == OFF  # what it says of `kv_unified` was not seen elsewhere
    assert triable(ollama(4, levers=OFF), profile, extrapolate=False) == {}  # what the file says stays
    assert triable(ollama(4, url="http://h:1"), profile, extrapolate=False) == {}  # it runs already
    assert triable(ollama(16), profile, extrapolate=False) == {}  # the profile knows no such server
    assert triable(ollama(16), profile, extrapolate=True) == OFF


def test_the_others_are_named(tmp_path: Path) -> None:
    profile = knowing(tmp_path)
    assert not_tried(ollama(4), profile, {*OFF, *ON}) == NotTried(
        ("flash_attention", "kv_type", "speculation"), "paper"
    )
    embedded = LlamaCppServer(kind="llamacpp", levers={"kv_type": "q8_0"})
    assert not_tried(embedded, profile, {*OFF}) == NotTried(
        ("kv_unified", "flash_attention", "micro_batch", "speculation"), "paper"
    )
    assert not_tried(ollama(4, url="http://h:1"), profile, set()) is None
    assert not_tried(SimulatedServer(kind="simulated", profile="paper"), profile, set()) is None


def test_choices_of_two_servers() -> None:
    specs = {"one": ollama(1), "four": ollama(4)}
    choices = list(lever_choices(specs, lambda spec: OFF if spec.slots == 1 else OFF | ON))
    assert [choice.mark for choice in choices] == [
        "",
        "-ram-cache-off",
        "-kv-unified-on",
        "-ram-cache-off-kv-unified-on",
    ]
    assert [choice.specs["one"].levers for choice in choices] == [{}, OFF, {}, OFF]
    assert [choice.specs["four"].levers for choice in choices] == [{}, OFF, ON, OFF | ON]
    # What does not change keeps its name: two candidates then share the server.
    assert [choice.marks["one"] for choice in choices] == ["", "-ram-cache-off", "", "-ram-cache-off"]


def test_every_design_is_tried_with_every_choice(tmp_path: Path) -> None:
    profile = knowing(tmp_path)
    plain = design_space(loaded_of(tmp_path, fan(4)), knowing(tmp_path, KNOWS.replace(SAVES, "").replace(PASSES, "")))
    space = design_space(loaded_of(tmp_path, fan(4)), profile)
    names = {candidate.name: candidate for candidate in space.candidates}
    expected = set()
    for candidate in plain.candidates:
        expected |= {candidate.name + mark for mark in ("", "-ram-cache-off")}
    assert set(names) == expected
    assert space.loaded.servers["slots-4-ram-cache-off"].levers == OFF
    assert space.loaded.servers["slots-4"].levers == {}
    one, none = names["window-on-4-ram-cache-off"], names["window-on-4"]
    assert (one.levers, none.levers) == (1, 0)
    # One variable more is simpler than a policy in code.
    assert none.simplicity < one.simplicity < names["waves-on-4"].simplicity


def test_two_models_have_each_their_own(tmp_path: Path) -> None:
    loaded, profiles = two_models(tmp_path)
    known = {
        name: profile.model_copy(
            update={"half": {n: s.model_copy(update={"save_s": 0.125}) for n, s in (profile.half or {}).items()}}
        )
        for name, profile in profiles.items()
    }
    space = space_of_two(loaded, {"small": known["small"], "large": profiles["large"]})
    servers = space.loaded.servers
    assert {name for name, spec in servers.items() if spec.levers == OFF} == {
        "small-1-ram-cache-off",
        "small-4-ram-cache-off",
    }
    found = next(c for c in space.candidates if c.name.endswith("-ram-cache-off"))
    assert [servers[queue.server].levers for queue in found.plan.queues] == [OFF, {}]


def test_the_answer_pulls_a_lever_where_that_is_worth_it(tmp_path: Path) -> None:
    profile = knowing(tmp_path)
    space = design_space(loaded_of(tmp_path, fan(8, 12)), profile)
    problem = Problem(space.loaded, Profiles(profile))
    found = recommend(
        space, problem, profile, in_process(problem), Quiet(), memory=UNKNOWN, seeds=2, resamples=0
    ).recommendation
    (name,) = found.answer
    assert "-ram-cache-off" in name
    (use,) = found.uses
    assert ("ram_cache", "off") in use.levers
    # Beside it stands the best without any.
    assert any("ram-cache" not in one.name and "kv-unified" not in one.name for one in found.analysis.candidates)
    (settings,) = found.analysis.choice.settings
    assert "LLAMA_ARG_CACHE_RAM=0" in settings.shell[0]
    assert NotTried(("kv_unified", "flash_attention", "kv_type", "speculation"), "paper") in found.left_out
