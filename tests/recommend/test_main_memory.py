"""Earlier prompts in main memory: counted where an engine keeps them, and not where `ram_cache` is off."""

from __future__ import annotations

from pathlib import Path

import pytest
from recommend.test_levers import KNOWS, OFF, knowing, ollama
from recommend.workloads import MADE_UP, fan, loaded_of, paper, two_models

from harness.core.levers import RAM_CACHE_BYTES
from harness.errors import UserError
from harness.measure.machine import machine_name
from harness.recommend import constraints
from harness.recommend.constraints import check_one_slot, memory_of
from harness.recommend.facts import DoNotFit, LimitSource, MemoryNeed, Room, TooMuch
from harness.recommend.several import space_of_two
from harness.recommend.space import design_space
from harness.servers.machine import Memory
from harness.wording.searches import excluded_text, memory_text
from harness.workload.schema import LlamaCppServer, OllamaServer, SimulatedServer

MB = 1_000_000
GIVEN, FREE = LimitSource("given"), LimitSource("free")
# One server with four slots takes 110 MB, and may fill 8 GiB with prompts.
NEED = MemoryNeed(20 * MB, 20_000.0, None, *MADE_UP, prompt_cache_bytes=RAM_CACHE_BYTES)
KEEPS, DOES_NOT = ollama(4, context_tokens=1000), ollama(4, context_tokens=1000, levers=OFF)


def limited(limit_bytes: int) -> MemoryNeed:
    return NEED._replace(limit_bytes=limit_bytes)


def test_each_engine_that_keeps_prompts_counts() -> None:
    embedded = LlamaCppServer(kind="llamacpp", slots=4)
    assert NEED.prompts([KEEPS]) == RAM_CACHE_BYTES
    assert NEED.prompts([KEEPS, KEEPS]) == 2 * RAM_CACHE_BYTES
    assert NEED.prompts([DOES_NOT]) == NEED.prompts([embedded]) == 0
    assert NEED.prompts([KEEPS, DOES_NOT]) == RAM_CACHE_BYTES
    assert NEED.prompts([embedded.with_levers({"ram_cache": "on"})]) == RAM_CACHE_BYTES
    assert NEED.prompts([SimulatedServer(kind="simulated", profile="paper")]) == 0
    running = OllamaServer(kind="ollama", model="gemma4", slots=4, url="http://h:1")
    assert NEED.prompts([running]) == 0  # it began long ago


def test_they_count_beside_weights_and_slots_in_main_memory() -> None:
    needed = NEED.needed([KEEPS])
    assert needed == 110 * MB
    assert limited(needed + RAM_CACHE_BYTES).too_much([KEEPS]) is None
    assert limited(needed + RAM_CACHE_BYTES - 1).too_much([KEEPS]) == TooMuch(
        needed + RAM_CACHE_BYTES - 1, GIVEN, RAM_CACHE_BYTES
    )
    assert limited(needed).too_much([DOES_NOT]) is None
    assert limited(needed - 1).too_much([KEEPS]) == TooMuch(needed - 1, GIVEN)  # nor without them
    both = limited(2 * needed + RAM_CACHE_BYTES)
    assert both.too_much([KEEPS, KEEPS]) == TooMuch(2 * needed + RAM_CACHE_BYTES, GIVEN, 2 * RAM_CACHE_BYTES)
    assert both.too_much([KEEPS, DOES_NOT]) is None


def test_while_servers_are_measured_they_do_not_count() -> None:
    needed = 110 * MB
    need = limited(2 * needed)._replace(others={"large": limited(2 * needed)})
    large = KEEPS.model_copy(update={"model": "large"})
    assert need.too_much([KEEPS, large]) == TooMuch(2 * needed, GIVEN, 2 * RAM_CACHE_BYTES)
    assert need.for_a_while().too_much([KEEPS, large]) is None
    assert need.for_a_while().too_much([KEEPS, KEEPS, large]) is not None


def test_beside_an_accelerator_they_count_in_main_memory_alone() -> None:
    on_gpu = NEED._replace(limit_bytes=110 * MB, limit_source=LimitSource("free", accelerator="NVIDIA L4"))
    assert on_gpu.too_much([KEEPS]) is None  # how much main memory there is is not known
    little = on_gpu._replace(main=Room(RAM_CACHE_BYTES - 1, FREE))
    assert little.too_much([KEEPS]) == TooMuch(RAM_CACHE_BYTES - 1, FREE, RAM_CACHE_BYTES)
    assert little.too_much([DOES_NOT]) is None
    assert on_gpu._replace(main=Room(RAM_CACHE_BYTES, FREE)).too_much([KEEPS]) is None
    why = little._replace(limit_bytes=109 * MB).too_much([KEEPS])  # its own memory first
    assert why is not None and why.source.accelerator == "NVIDIA L4"
    elsewhere = KEEPS.model_copy(update={"machine": "gpu0"})  # whose main memory nobody says
    rooms = {"gpu0": Room(110 * MB, LimitSource("file", machine="gpu0", accelerator="NVIDIA L4"))}
    assert little._replace(rooms=rooms).too_much([elsewhere]) is None


def test_main_memory_of_this_machine_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constraints, "memory", lambda: Memory(16_000 * MB, 6_000 * MB))
    monkeypatch.setattr(constraints, "accelerators", lambda: ())
    here = paper(tmp_path).model_copy(update={"machine": machine_name(), "accelerator": "NVIDIA L4"})
    memory = memory_of(KEEPS, here)
    assert (memory.main, memory.prompt_cache_bytes) == (Room(6_000 * MB, FREE), RAM_CACHE_BYTES)
    assert memory.too_much([KEEPS]) == TooMuch(6_000 * MB, FREE, RAM_CACHE_BYTES)  # though its weights are not known
    assert memory_text(memory, None).endswith(
        "keeps up to 8 GiB of earlier prompts in main memory (LLAMA_ARG_CACHE_RAM=0 turns that off), of which 6.0 GB "
        "is free on this machine: candidates without room for that are left out, or tried with `ram_cache: off`."
    )
    assert "earlier prompts" not in memory_text(memory_of(DOES_NOT, here), None)
    assert memory_of(KEEPS, paper(tmp_path)).main.limit_bytes is None


def fits_without(tmp_path: Path, text: str, lever: str = "") -> tuple[set[str], list[str]]:
    """Return the candidates of a fan-out where there is room for servers and not for prompts, and what was left out."""
    workload = fan(4).replace("model: gemma4}", f"model: gemma4{lever}}}")
    space = design_space(loaded_of(tmp_path, workload), knowing(tmp_path, text), fits=limited(5_000 * MB).too_much)
    left_out = [excluded_text(item) for item in space.left_out if isinstance(item, DoNotFit)]
    return {candidate.name for candidate in space.candidates}, left_out


def test_candidates_without_room_for_prompts_are_left_out_and_looked_at_without(tmp_path: Path) -> None:
    every = {candidate.name for candidate in design_space(loaded_of(tmp_path, fan(4)), knowing(tmp_path)).candidates}
    off = {name for name in every if name.endswith("-ram-cache-off")}
    names, (said,) = fits_without(tmp_path, KNOWS)
    assert names == off
    assert said == (
        f"{len(every) - len(off)} candidates: more memory than the 5.0 GB that is given (--memory), with the 8 GiB "
        "that engines may fill with earlier prompts (`levers: {ram_cache: off}` does without)"
    )
    # So it is where the profile says nothing of that lever: memory asks for it.
    silent = KNOWS.replace("save_s: 0.125, save_s_per_token: 0.001953125, ", "")
    assert fits_without(tmp_path, silent)[0] == off


def test_what_the_file_says_of_it_stays(tmp_path: Path) -> None:
    names, left_out = fits_without(tmp_path, KNOWS, ", levers: {ram_cache: off}")
    assert names and not any("ram-cache" in name for name in names) and not left_out
    with pytest.raises(UserError, match=r"no candidate is left to try\. .* 8 GiB that engines may fill"):
        fits_without(tmp_path, KNOWS, ", levers: {ram_cache: on}")


def test_of_two_models_both_do_without(tmp_path: Path) -> None:
    loaded, profiles = two_models(tmp_path)
    space = space_of_two(loaded, profiles, fits=limited(5_000 * MB).too_much)
    assert all(candidate.name.endswith("-ram-cache-off") for candidate in space.candidates)
    assert all(spec.levers == OFF for spec in space.loaded.servers.values())


def test_one_slot_is_tried_without_prompts(tmp_path: Path) -> None:
    check_one_slot(limited(5_000 * MB), KEEPS)
    check_one_slot(limited(5_000 * MB), DOES_NOT)
    with pytest.raises(UserError, match=r"^there is no memory for gemma4 and the 8 GiB that its engine may fill"):
        check_one_slot(limited(5_000 * MB), KEEPS.with_levers({"ram_cache": "on"}))
    with pytest.raises(UserError, match=r"^there is no memory for even one slot of gemma4"):
        check_one_slot(limited(20 * MB), KEEPS)
    with pytest.raises(UserError, match=r"which an agent asks for, and .*; give that agent a smaller num_ctx, or"):
        check_one_slot(limited(20 * MB)._replace(asked_tokens=8192), KEEPS)
