"""Servers that are started with levers: what they are told, what their log says, and what is recorded of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import ServerFailure
from harness.servers.launch import launched
from harness.servers.llamacpp_engine import LlamaCppConfig, _pull
from harness.servers.ollama import levers_found, read_log
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer

Seen = Callable[[], list[dict[str, Any]]]


def use(**levers: str) -> RunningServer:
    """Launch a managed Ollama with these levers, look at it, and let it go."""
    spec = OllamaServer(kind="ollama", model="mine", threads=2, levers=levers)

    async def steps() -> RunningServer:
        async with launched("o", spec, say=lambda _: None) as (server, *_):
            return server

    return asyncio.run(steps())


def test_a_managed_ollama_is_started_with_them(fake: Seen) -> None:
    server = use(ram_cache="off", kv_unified="on", flash_attention="off", kv_type="q8_0", speculation="ngram")
    env = fake()[0]["env"]
    told = {
        "LLAMA_ARG_CACHE_RAM": "0",
        "LLAMA_ARG_KV_UNIFIED": "1",
        "OLLAMA_FLASH_ATTENTION": "0",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "LLAMA_ARG_SPEC_TYPE": "ngram-simple",
    }
    assert {key: env.get(key) for key in told} == told
    found = {key: value for key, value in server.details.items() if isinstance(value, str)}
    assert found == {
        "ram_cache": "off",
        "ram_cache_known_from": "its log",
        "kv_unified": "on",
        "kv_unified_known_from": "its log",
        "kv_type": "q8_0",
        "kv_type_known_from": "its log",
        "flash_attention": "off",
        "flash_attention_known_from": "its log",
        "speculation": "ngram",
        "speculation_known_from": "the request",
    }


def test_an_engine_that_does_not_obey_is_not_measured(fake: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_OLLAMA", "no-levers")
    with pytest.raises(ServerFailure) as caught:
        use(ram_cache="off")
    assert str(caught.value) == (
        "o: ram_cache is on by the log of Ollama 0.0.0-fake, though it was started with LLAMA_ARG_CACHE_RAM=0. It "
        "takes Ollama 0.30 or newer, and a model that can do it; leave the lever out, or update Ollama"
    )


def test_without_levers_nothing_is_told_and_nothing_recorded(fake: Seen) -> None:
    server = use()
    assert not {"LLAMA_ARG_CACHE_RAM", "LLAMA_ARG_KV_UNIFIED"} & set(fake()[0]["env"])
    assert not {"ram_cache", "kv_unified", "kv_type", "flash_attention"} & set(server.details)


def test_what_comes_with_the_environment_is_recorded(fake: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CACHE_RAM", "0")
    details = use().details
    assert (details["ram_cache"], details["ram_cache_known_from"]) == ("off", "its log")


def test_a_log_without_them_leaves_what_was_asked() -> None:
    log = read_log('msg="starting llama-server" cmd="/x/llama-server -c 8192 -np 4"\n')
    assert log.levers == {}
    assert levers_found("o", {"ram_cache": "off"}, log.levers, "0.33.0") == {
        "ram_cache": "off",
        "ram_cache_known_from": "the request",
    }


def engine(**levers: str) -> dict[str, Any]:
    """Return what the embedded engine's parameters become."""
    xllamacpp: Any = SimpleNamespace(
        llama_flash_attn_type=SimpleNamespace(LLAMA_FLASH_ATTN_TYPE_ENABLED=1, LLAMA_FLASH_ATTN_TYPE_DISABLED=0),
        ggml_type=SimpleNamespace(GGML_TYPE_F16=1, GGML_TYPE_Q8_0=8, GGML_TYPE_Q4_0=2),
        common_speculative_type=SimpleNamespace(
            COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE=1, COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE=6
        ),
    )
    params = SimpleNamespace(speculative=SimpleNamespace(types=[0], draft=SimpleNamespace(mparams=SimpleNamespace())))
    _pull(xllamacpp, params, LlamaCppConfig("m", "m.gguf", 4, 1024, 512, 2, levers), 1024)
    speculative = vars(params).pop("speculative")
    guessed = {} if speculative.types == [0] else {"types": speculative.types, **vars(speculative.draft.mparams)}
    return vars(params) | guessed


def test_the_embedded_engine_has_no_ram_cache_unless_it_is_asked_for() -> None:
    usual = {"cache_ram_mib": 0, "cache_idle_slots": False, "kv_unified": False}
    assert engine() == engine(ram_cache="off", kv_unified="off") == usual
    assert engine(ram_cache="on") == usual | {"cache_ram_mib": 8192, "cache_idle_slots": True}
    assert engine(kv_unified="on") == usual | {"kv_unified": True, "kv_unified_per_slot": 1024}
    assert engine(flash_attention="on") == usual | {"flash_attn_type": 1}
    assert engine(flash_attention="off") == usual | {"flash_attn_type": 0}
    assert engine(kv_type="q8_0") == usual | {"cache_type_k": 8, "cache_type_v": 8}
    assert engine(micro_batch="128") == usual | {"n_ubatch": 128}
    assert engine(speculation="off") == usual
    assert engine(speculation="ngram") == usual | {"types": [6]}
    assert engine(speculation="/m/small.gguf") == usual | {"types": [1], "path": "/m/small.gguf"}
