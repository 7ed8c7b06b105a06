"""Levers: what a workload may say of them, what the engine's log tells, and what is known of each."""

from __future__ import annotations

import pytest

from harness.core.levers import LEVERS, Levers, lever_value, levers_said, risks_said, unusual

# As llama.cpp b10488 writes it, in the log of Ollama 0.33 (--log-verbosity 4), and as newer builds do.
LOG = """\
llama_context: n_batch       = 1024
llama_context: n_ubatch      = 512
llama_context: flash_attn    = enabled
llama_context: kv_unified    = true
llama_kv_cache: size = 1904.00 MiB ( 65536 cells,  28 layers,  4/1 seqs), K (q8_0):  952.00 MiB, V (q8_0):  952.00 MiB
srv    load_model: initializing, n_slots = 4, n_ctx_slot = 8192, kv_unified = 'true'
srv    load_model: prompt cache is disabled - use `--cache-ram N` to enable it
common_speculative_init: adding speculative implementation 'ngram-simple'
srv    load_model: for more info see https://github.com/ggml-org/llama.cpp/pull/16391
"""


def test_the_log_tells_each_of_them() -> None:
    found = {name: lever.seen(LOG) for name, lever in LEVERS.items()}
    assert found == {
        "ram_cache": "off",
        "kv_unified": "on",
        "flash_attention": "on",
        "kv_type": "q8_0",
        "micro_batch": "512",
        "speculation": "ngram",
    }
    assert LEVERS["ram_cache"].seen("srv    load_model: prompt cache is enabled, size limit: 8192 MiB") == "on"
    assert LEVERS["flash_attention"].seen("llama_context: flash_attn    = auto") == "auto"
    assert {lever.seen("") for lever in LEVERS.values()} == {None}


@pytest.mark.parametrize("name", LEVERS)
def test_each_is_whole(name: str) -> None:
    lever = LEVERS[name]
    assert lever.name == name
    assert lever.about.endswith(".")
    assert set(lever.variables) in (set(), set(lever.values))
    assert bool(lever.since) == bool(lever.variables) != bool(lever.instead)
    assert set(lever.logged.values()) <= set(lever.values)
    assert set(lever.risks) <= {*lever.values, ""}
    assert set(lever.said) <= set(lever.values)
    # What is not usual has a risk that is said.
    assert all(lever.risk(value).endswith(".") for value in lever.values if value != lever.usual)


def test_those_with_an_effect_in_the_model_are_switches() -> None:
    assert {LEVERS[name].values for name in Levers._fields} == {("on", "off")}


@pytest.mark.parametrize(
    ("name", "said", "kept"),
    [
        ("ram_cache", False, "off"),  # as YAML reads off
        ("ram_cache", True, "on"),
        ("ram_cache", "off", "off"),
        ("kv_unified", "true", "on"),
        ("kv_type", "q8_0", "q8_0"),
        ("micro_batch", 256, "256"),
        ("speculation", "ngram", "ngram"),
        ("speculation", False, "off"),
        ("speculation", "models/small.gguf", "models/small.gguf"),
    ],
)
def test_values_as_they_are_kept(name: str, said: object, kept: str) -> None:
    assert lever_value(name, said) == kept


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("ram_cach", False, 'no lever "ram_cach"; did you mean "ram_cache"?'),
        ("threads", 2, 'no lever "threads"; `threads` is a key of the server itself'),
        ("ram_cache", "maybe", 'ram_cache: expected on or off, found "maybe"'),
        ("kv_type", True, 'kv_type: expected f16, q8_0 or q4_0, found "on"'),
        ("speculation", "on", 'speculation: expected ngram, off or a GGUF file (.gguf), found "on"'),
        ("kv_type", "small.gguf", 'kv_type: expected f16, q8_0 or q4_0, found "small.gguf"'),
        ("micro_batch", 0, 'micro_batch: expected a whole number of tokens, found "0"'),
        ("micro_batch", True, 'micro_batch: expected a whole number of tokens, found "on"'),
    ],
)
def test_what_is_no_lever_or_value(name: str, said: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        lever_value(name, said)
    assert str(caught.value) == message


def test_a_lever_as_usual_is_nothing_to_say() -> None:
    details = {"threads": 4, "kv_unified": "on", "ram_cache": "on", "kv_type": "f16", "micro_batch": 256}
    assert unusual(details) == (("kv_unified", "on"),)
    assert levers_said((("ram_cache", "off"), ("kv_type", "q4_0"))) == "without the RAM prompt cache, kv type q4_0"
    assert risks_said((("ram_cache", "off"),)) == (
        "Without the RAM prompt cache: a conversation that had to leave its slot is read again from its first word at "
        "its next turn.",
    )
