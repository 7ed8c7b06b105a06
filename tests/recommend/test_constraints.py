"""Memory and context: worked by hand, from the header of a real file where there is one, else from the profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recommend.workloads import MADE_UP, both, chat, loaded_of, on_paper, paper, talk
from servers.conftest import gguf_bytes

from harness.measure.machine import machine_name
from harness.predict.simulation import predict
from harness.profiles.schema import MemoryUse
from harness.recommend import constraints
from harness.recommend.constraints import longest_call, longest_of, memory_of
from harness.recommend.facts import DoNotFit, LimitSource, LongestCall, MemoryNeed, TooMuch
from harness.recommend.space import design_space
from harness.servers.accelerator import Accelerator
from harness.wording.searches import excluded_text, memory_text, room_text, too_long_text
from harness.workload.schema import LlamaCppServer, OllamaServer

__all__ = ["gguf_bytes"]

SPEC = OllamaServer(kind="ollama", model="gemma4", slots=4, context_tokens=1000)


def test_two_servers_hold_the_weights_twice() -> None:
    memory = MemoryNeed(1_000_000, 100.0, 10_000_000, *MADE_UP)
    one, two = memory.needed([SPEC]), memory.needed([SPEC, SPEC])
    assert one == round((1_000_000 + 4 * 1000 * 100) * 1.1)
    assert two == 2 * one
    assert memory.too_much([SPEC]) is None
    assert memory._replace(limit_bytes=one - 1).too_much([SPEC]) == TooMuch(one - 1, LimitSource("given"))


def test_what_is_not_known_is_said_and_rules_nothing_out(tmp_path: Path) -> None:
    memory = memory_of(SPEC, paper(tmp_path))
    assert memory.needed([SPEC]) is None
    assert memory.too_much([SPEC]) is None
    said = memory_text(memory, None)
    assert said == (
        'Memory is not checked: neither a model file here nor profile "paper" says what gemma4 takes. Besides, the '
        "engine of each server keeps up to 8 GiB of earlier prompts in main memory (LLAMA_ARG_CACHE_RAM=0 turns that "
        "off); whether there is room for that is not checked."
    )


def test_from_the_profile(tmp_path: Path) -> None:
    known = MemoryUse(model_bytes=4_000_000, slot_bytes=512_000, context_tokens=512)
    profile = paper(tmp_path).model_copy(update={"memory": known})
    memory = memory_of(SPEC, profile, 8_000_000)
    assert (memory.weights_bytes, memory.token_bytes, memory.limit_bytes) == (4_000_000, 1000.0, 8_000_000)


def test_the_number_format_of_the_cache_counts(tmp_path: Path, gguf_bytes: Callable[..., bytes]) -> None:
    """From the profile, whatever its own was, and from a header, which is read as at f16."""
    lever = SPEC.model_copy(update={"levers": {"kv_type": "q8_0"}})
    known = MemoryUse(model_bytes=4_000_000, slot_bytes=512_000, context_tokens=512)
    profile = paper(tmp_path).model_copy(update={"memory": known})
    half = profile.model_copy(update={"memory": known.model_copy(update={"slot_bytes": 272_000, "kv_type": "q8_0"})})
    for made in (profile, half):
        assert memory_of(lever, made).token_bytes == pytest.approx(1000 * 34 / 64)
    assert memory_of(SPEC, half).token_bytes == pytest.approx(1000 * 34 / 64)  # as its servers were
    f16 = memory_of(SPEC, profile)
    assert f16.needed([lever]) == memory_of(lever, profile).needed([lever])
    path = tmp_path / "m.gguf"
    heads = {"llama.block_count": 2, "llama.attention.head_count": 1, "llama.embedding_length": 8}
    path.write_bytes(gguf_bytes({"general.architecture": "llama", **heads}, {"a": (8, 8)}) + bytes(512))
    for spec, token_bytes, kind in ((SPEC, 64, "f16"), (lever, 34, "q8_0")):
        memory = memory_of(spec.model_copy(update={"model": str(path)}), profile)
        assert memory.token_bytes == token_bytes
        assert f"(from the model's header, cache at {kind})" in memory_text(memory, None)


def predicted(folder: Path, text: str) -> LongestCall:
    space, _, profile = on_paper(folder, text)
    loaded = space.loaded._replace(plans=space.loaded.plans[:1])
    longest = longest_call(
        predict(loaded, profile, repeats=2).run.calls,
        {name: server.context_tokens for name, server in loaded.servers.items()},
    )
    assert longest is not None
    return longest


def test_the_longest_call_that_does_not_fit_names_itself(tmp_path: Path) -> None:
    short = predicted(tmp_path, chat(tokens=100))
    assert short.fits
    long = predicted(tmp_path, chat(tokens=2048))
    assert not long.fits
    assert "Set context_tokens to 2304" in too_long_text(long)
    known = MemoryNeed(0, 1000.0, None, *MADE_UP)
    assert room_text(short, known).endswith("context_tokens 256 is enough, and saves 1.8 MB per slot.")
    assert room_text(long, known) == ""


def test_a_conversation_needs_room_for_all_its_turns(tmp_path: Path) -> None:
    """Three turns: the last prompt holds the first two, asked and answered."""
    alone, grown = predicted(tmp_path, chat(tokens=12)), predicted(tmp_path, talk())
    said = alone.prompt_tokens + alone.output_tokens
    assert grown.prompt_tokens >= alone.prompt_tokens + 2 * (said - 10)  # the chat template is there once


def test_the_longest_call_is_known_before_anything_is_searched(tmp_path: Path) -> None:
    """As long as under any of the candidates: lengths are a matter of the draws."""
    for text in (chat(tokens=100), talk()):
        _, _, profile = on_paper(tmp_path, text)
        longest = longest_of(loaded_of(tmp_path, text), profile)
        assert longest is not None
        assert longest == predicted(tmp_path, text)


def test_no_context_is_longer_than_the_model_was_trained_with() -> None:
    call = LongestCall("chat", "reply", 1000, 100, 512, trained_tokens=1024)
    assert call.enough == 1024
    assert too_long_text(call).endswith("The model was trained with 1024: shorten the prompts or answers.")
    assert call._replace(trained_tokens=None).enough == 1280  # a tenth more of the prompt, in steps of 256


def test_the_longest_call_is_known_where_a_slot_would_refuse_it(tmp_path: Path) -> None:
    """The last turns of this conversation do not fit, and a refused call has no length."""
    _, _, profile = on_paper(tmp_path, talk())
    loaded = loaded_of(tmp_path, talk())
    longest = longest_of(loaded, profile)
    assert longest is not None
    assert longest.fits
    short = {name: spec.model_copy(update={"context_tokens": 40}) for name, spec in loaded.servers.items()}
    found = longest_of(loaded._replace(servers=short), profile)
    assert found == longest._replace(context_tokens=40)
    assert not found.fits


def test_an_accelerators_memory_is_the_limit_there(tmp_path: Path) -> None:
    """What does not fit there is computed on the CPU: it is left out, in words that say so."""
    known = MemoryUse(model_bytes=4_000_000_000, slot_bytes=100_000_000, context_tokens=1000)
    profile = paper(tmp_path).model_copy(update={"memory": known, "accelerator": "NVIDIA L4"})
    memory = memory_of(SPEC, profile, 8_000_000_000)
    assert memory.limit_source == LimitSource("given", accelerator="NVIDIA L4")
    assert memory.too_much([SPEC]) is None
    why = memory.too_much([SPEC, SPEC])  # the weights twice
    assert why is not None
    said = excluded_text(DoNotFit(3, "candidate", why))
    assert "8.0 GB that is given (--memory); layers would be computed on the CPU" in said
    text = memory_text(memory, None)
    assert "has 3.6 GB of NVIDIA L4 beside the weights of one server, and there is no room for a second server" in text
    # Whatever it stands on, Ollama's engine fills main memory with prompts; the embedded one does not.
    assert "up to 8 GiB of earlier prompts in main memory (LLAMA_ARG_CACHE_RAM=0 turns that off)" in text
    embedded = LlamaCppServer(kind="llamacpp", model="gemma4")
    assert "earlier prompts" not in memory_text(memory_of(embedded, profile, 8_000_000_000), None)
    assert memory_of(SPEC, profile).limit_bytes is None  # of another machine: main memory here says nothing of it


def test_no_candidate_would_have_layers_on_the_cpu(tmp_path: Path) -> None:
    """One server takes 4.4 GB and 0.44 for each slot, two with one slot each 9.7: the weights twice."""
    known = MemoryUse(model_bytes=4_000_000_000, slot_bytes=400_000_000, context_tokens=2048)
    device = {"memory": known, "accelerator": "NVIDIA L4", "half": None}
    profile = paper(tmp_path).model_copy(update=device)
    loaded = loaded_of(tmp_path, both())
    like = next(iter(loaded.servers.values()))
    for limit_bytes, pairs, slots in (
        (6_200_000_000, False, {1, 2, 4}),
        (5_000_000_000, False, {1}),
        (12_000_000_000, True, None),
    ):
        memory = memory_of(like, profile, limit_bytes)
        space = design_space(loaded, profile, fits=memory.too_much)
        specs = [[space.loaded.servers[queue.server] for queue in c.plan.queues] for c in space.candidates]
        assert all((memory.needed(servers) or 0) <= limit_bytes for servers in specs)
        assert any(len(servers) == 2 for servers in specs) is pairs
        assert slots is None or {spec.slots for servers in specs for spec in servers} == slots
        why = next(item.why for item in space.left_out if isinstance(item, DoNotFit))
        assert (why.limit_bytes, why.source.accelerator) == (limit_bytes, "NVIDIA L4")


def test_what_is_free_on_the_accelerator_here_is_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (Accelerator("NVIDIA L4", 24_000_000_000, 20_000_000_000),)
    monkeypatch.setattr(constraints, "accelerators", lambda: found)
    here = {"machine": machine_name(), "accelerator": "NVIDIA L4"}
    memory = memory_of(SPEC, paper(tmp_path).model_copy(update=here))
    assert (memory.limit_bytes, memory.limit_source) == (20_000_000_000, LimitSource("free", accelerator="NVIDIA L4"))


def test_an_accelerator_has_no_half_of_the_cores(tmp_path: Path) -> None:
    profile = paper(tmp_path).model_copy(update={"half": None})
    assert profile.family("half") == {} and profile.family(3) == {}
    there = profile.model_copy(update={"accelerator": "NVIDIA L4"})
    assert there.family("half") == there.family(3) == there.family(None) == there.slots
