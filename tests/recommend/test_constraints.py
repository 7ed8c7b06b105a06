"""Memory and context: worked by hand, from the header of a real file where there is one, else from the profile."""

from __future__ import annotations

from pathlib import Path

from recommend.workloads import chat, loaded_of, paper

from harness.profiles.schema import MemoryUse
from harness.recommend.constraints import Memory, longest_call, memory_of
from harness.recommend.space import design_space
from harness.workload.schema import OllamaServer

SPEC = OllamaServer(kind="ollama", model="gemma4", slots=4, context_tokens=1000)


def test_two_servers_hold_the_weights_twice() -> None:
    memory = Memory(1_000_000, 100.0, 10_000_000, "", "")
    one, two = memory.needed([SPEC]), memory.needed([SPEC, SPEC])
    assert one == round((1_000_000 + 4 * 1000 * 100) * 1.1)
    assert two == 2 * one
    assert memory.too_much([SPEC]) == ""
    assert "memory" in memory._replace(limit_bytes=one - 1).too_much([SPEC])


def test_what_is_not_known_is_said_and_rules_nothing_out(tmp_path: Path) -> None:
    memory = memory_of(SPEC, paper(tmp_path))
    assert memory.needed([SPEC]) is None
    assert memory.too_much([SPEC]) == ""
    assert memory.sentence().startswith("Memory is not looked at")


def test_from_the_profile(tmp_path: Path) -> None:
    known = MemoryUse(model_bytes=4_000_000, slot_bytes=512_000, context_tokens=512)
    profile = paper(tmp_path).model_copy(update={"memory": known})
    memory = memory_of(SPEC, profile, 8_000_000)
    assert (memory.weights_bytes, memory.token_bytes, memory.limit_bytes) == (4_000_000, 1000.0, 8_000_000)


def test_the_longest_call_that_does_not_fit_names_itself(tmp_path: Path) -> None:
    profile = paper(tmp_path)
    space = design_space(loaded_of(tmp_path, chat(tokens=100)), profile)
    longest = longest_call(space.loaded, profile)
    assert longest is not None
    assert longest.fits
    space = design_space(loaded_of(tmp_path, chat(tokens=2048)), profile)
    longest = longest_call(space.loaded, profile)
    assert longest is not None
    assert not longest.fits
    assert "Set context_tokens to 2304" in longest.sentence()
