"""Two servers that share an accelerator: it has no halves, and each slows the other. By hand, on a paper profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict.paper import PROFILE
from predict.test_machines import ends, loaded, profile

from harness.analysis.analyse import analyse
from harness.errors import UserError
from harness.predict.simulation import Prediction, predict
from harness.profiles.compile import compile_costs
from harness.recommend.space import halves_of
from harness.servers.simulated import emulation
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine
from harness.workload.schema import LlamaCppServer, SimulatedServer

DEVICE = PROFILE.replace("engine: none", "accelerator: NVIDIA L4\nengine: none")
SHARED = DEVICE.replace("contention: null", "contention: {2: 1.5}")
# Two chains of calls, each on a server of its own, with half of the cores: 3 calls of 5 tokens, 2 of 9.
WORKLOAD = """
version: 1
name: two
pipelines:
  left: {path: batch, jobs: 3, nodes: {a: {agent: {prompt: "TEXT", output_tokens: 5}}}}
  right: {path: batch, jobs: 2, nodes: {b: {agent: {prompt: "TEXT", output_tokens: 9}}}}
servers:
  one: {kind: llamacpp, slots: 1, THREADS}
  two: {kind: llamacpp, slots: 2, THREADS}
compare:
  both: {placement: {left: one, right: two}, concurrency: serial}
""".replace("TEXT", "0123456789abcdef" * 4)
HALF = WORKLOAD.replace("THREADS", "threads: half")


def predicted(folder: Path, text: str, workload: str = HALF) -> Prediction:
    return predict(loaded(folder, text=workload), profile(folder, text), repeats=1)


def test_half_of_the_cores_is_all_of_the_device(tmp_path: Path) -> None:
    """A call alone takes 16 prompt tokens and 4 or 8 steps of an eighth of a second: 0.625 or 1.125 s.

    While both are busy all of it takes one and a half times as long: the left one needs 3 x 0.625 s of work.
    """
    found = predicted(tmp_path, SHARED)
    assert ends(found, "left") == [0.9375, 1.875, 2.8125]
    alone_s = 2 * 1.125 - 3 * 0.625  # what is left of the right one's work when the left one has ended
    assert ends(found, "right")[-1] == 2.8125 + alone_s
    whole = predicted(tmp_path, SHARED, WORKLOAD.replace(", THREADS", ""))
    assert ends(whole, "left") == ends(found, "left")
    said = [note.text for note in found.run.notes]
    for slots in ("1 slot", "2 slots"):
        words = f"{slots} with half of the cores: threads change nothing on NVIDIA L4, which has no halves"
        assert any(words in text for text in said)
    assert not any("threads change nothing" in note.text for note in whole.run.notes)


def test_its_settings_print_no_threads(tmp_path: Path) -> None:
    choice = analyse(predicted(tmp_path, SHARED).run).choice
    assert choice.settings and "LLAMA_ARG_THREADS" not in str(choice.settings)


def test_without_contention_two_are_not_predicted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not say how 2 busy servers on its machine slow each other"):
        predicted(tmp_path, DEVICE)


def test_a_search_tries_two_with_all_of_the_device(tmp_path: Path) -> None:
    like = LlamaCppServer(kind="llamacpp", slots=2)
    found, why = halves_of(like, profile(tmp_path, SHARED), (1, 2), False)
    assert why is None and [(spec.slots, spec.engine_threads) for spec in found] == [(1, None), (2, None)]
    assert halves_of(like, profile(tmp_path, DEVICE), (1, 2), False)[0] == []


@pytest.mark.parametrize("memory", ["", "memory: {model_bytes: 1000, slot_bytes: 512, context_tokens: 2048}\n"])
def test_a_simulated_server_tells_that_it_is_on_the_device(tmp_path: Path, memory: str) -> None:
    """All of it, also where nobody knows how much that is."""
    for text, accelerated in ((SHARED, True), (PROFILE, False)):
        profile(tmp_path, text + memory)
        config, details = emulation("s", SimulatedServer(kind="simulated", profile="dyadic.yaml", slots=2), tmp_path)
        model = SimulatedEngine(SimulatedConfig.from_json(config["engine"])).model
        assert (details.get("accelerator") == "NVIDIA L4") is accelerated
        assert model.vram_bytes == (max(1, model.memory_bytes or 0) if accelerated else 0)
        assert model.memory_bytes == (2024 if memory else int(accelerated))


def test_a_note_says_what_threads_are_there(tmp_path: Path) -> None:
    fit = compile_costs(profile(tmp_path, SHARED), 2, threads=4)
    assert fit.notes[0] == "2 slots with 4 threads: threads change nothing on NVIDIA L4, which has no halves"
    assert not fit.half and not fit.extrapolated
