"""Models that are in no table: what an Ollama server tells of one, asked or from a file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.app.estimate import EstimateOptions, estimated
from harness.errors import ServerFailure, UserError
from harness.estimate.models import find_model, shape_told
from harness.servers import ollama_show
from harness.servers.ollama_show import show_model

# As Ollama's documentation of /api/show has it, less the texts.
LLAMA: dict[str, Any] = {
    "modelfile": "", "parameters": "", "template": "",
    "details": {"format": "gguf", "family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "llama", "general.file_type": 15, "general.parameter_count": 8030261248,
        "llama.attention.head_count": 32, "llama.attention.head_count_kv": 8, "llama.block_count": 32,
        "llama.context_length": 131072, "llama.embedding_length": 4096, "llama.feed_forward_length": 14336,
        "llama.rope.freq_base": 500000, "llama.vocab_size": 128256, "tokenizer.ggml.merges": [],
    },
}  # fmt: skip
QWEN: dict[str, Any] = {
    "details": {"parameter_size": "30.5B", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "qwen3moe", "general.parameter_count": 30532122624,
        "qwen3moe.attention.head_count": 32, "qwen3moe.attention.head_count_kv": 4,
        "qwen3moe.attention.key_length": 128, "qwen3moe.block_count": 48, "qwen3moe.embedding_length": 2048,
        "qwen3moe.expert_count": 128, "qwen3moe.expert_feed_forward_length": 768, "qwen3moe.expert_used_count": 8,
        "qwen3moe.feed_forward_length": 6144, "tokenizer.ggml.tokens": None,
    },
}  # fmt: skip


def changed(**info: object) -> dict[str, Any]:
    names = {key.replace("__", "."): value for key, value in info.items()}
    return {**LLAMA, "model_info": {**LLAMA["model_info"], **names}}


@pytest.mark.parametrize(("answer", "name"), [(LLAMA, "llama3.1:8b"), (QWEN, "qwen3:30b-a3b")])
def test_a_model_of_the_table_is_told_as_the_table_has_it(answer: dict[str, Any], name: str) -> None:
    told, quant = shape_told(name, answer)
    known = find_model(name)
    same = ("layers", "width", "heads", "kv_heads", "head", "feed_forward", "experts", "active_experts", "name")
    assert [getattr(told, key) for key in same] == [getattr(known, key) for key in same]
    assert told.parameters == pytest.approx(known.parameters, rel=2e-3)
    assert told.active == pytest.approx(known.active, rel=0.02)
    assert told.kv_bytes_per_token == known.kv_bytes_per_token
    assert quant == "q4_k_m"


def test_the_profile_is_that_of_the_table(tmp_path: Path) -> None:
    file = tmp_path / "show.json"
    file.write_text(json.dumps(LLAMA))
    told = estimated(EstimateOptions(device="RTX 4090", model="llama3.1:8b", model_from=str(file)))
    known = estimated(EstimateOptions(device="RTX 4090", model="llama3.1:8b"))
    assert (told.name, told.model, told.model_id) == (known.name, known.model, known.model_id)
    for slots, setting in known.slots.items():
        assert told.slots[slots].step_s == pytest.approx(setting.step_s, rel=2e-3)
        assert told.slots[slots].prefill_s_per_token == pytest.approx(setting.prefill_s_per_token, rel=2e-3)
    other = estimated(EstimateOptions(device="RTX 4090", model="mine", model_from=str(file), quant="q8_0"))
    assert other.memory.model_bytes == round(8030261248 * 8.5 / 8)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "m: expected what Ollama's /api/show answers, found no model_info in it"),
        ({"error": "model not found"}, "found no model_info"),
        (changed(llama__block_count=0), "m: it does not tell llama.block_count, so no estimate is possible"),
        (changed(llama__block_count=10**9), "llama.block_count"),
        (changed(llama__attention__head_count=None), "llama.attention.head_count"),
        (changed(llama__attention__head_count_kv=["8"]), "llama.attention.head_count_kv"),
        (changed(general__architecture={"a": 1}), "embedding_length"),
        (changed(general__parameter_count=3), "m: it does not tell general.parameter_count"),
        (changed(general__parameter_count=10**20), "general.parameter_count"),
    ],
)
def test_an_answer_that_tells_too_little_is_one_line(answer: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        shape_told("m", answer)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_experts_that_are_all_used_are_none() -> None:
    told, _ = shape_told("m", changed(llama__expert_count=8, llama__expert_used_count=8))
    assert (told.experts, told.active) == (0, told.parameters)
    without = {**LLAMA, "details": {"parameter_size": "8.0B"}}
    without["model_info"] = {**LLAMA["model_info"], "general.parameter_count": None}
    assert shape_told("m", without)[0].parameters == 8_000_000_000
    assert shape_told("m", without)[1] == ""


def served(show: object, tags: object = None, status: int = 200) -> httpx.MockTransport:
    entries = {"models": [{"name": "llama3.1:8b", "size": 4_920_753_328}]} if tags is None else tags

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/tags":
            return httpx.Response(200, json=entries)
        assert json.loads(request.content) == {"model": "llama3.1:8b"}
        return httpx.Response(status, json=show)

    return httpx.MockTransport(answer)


def test_a_server_is_asked_for_its_model_and_the_size_of_its_file() -> None:
    found = asyncio.run(show_model("http://127.0.0.1:1", "llama3.1:8b", served(LLAMA)))
    assert found == (LLAMA, 4_920_753_328)
    nobody = {"models": [{"name": "llama3.1:8b", "size": "big"}, 7]}
    assert asyncio.run(show_model("http://127.0.0.1:1", "llama3.1:8b", served(LLAMA, nobody))).file_bytes is None


def test_a_server_that_tells_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(model: str, transport: httpx.MockTransport) -> object:
        return asyncio.run(show_model("http://user:secret@127.0.0.1:1", model, transport))

    with pytest.raises(UserError, match=r'has no model "llama3\.1:8"; did you mean "llama3\.1:8b"'):
        asked("llama3.1:8", served(LLAMA))
    with pytest.raises(ServerFailure, match=r"/api/show does not answer as Ollama does \(500: broken\)") as caught:
        asked("llama3.1:8b", served({"error": "broken"}, status=500))
    assert "secret" not in str(caught.value)
    with pytest.raises(ServerFailure, match="does not answer as Ollama does"):
        asked("llama3.1:8b", served([1]))
    monkeypatch.setattr(ollama_show, "MOST_BYTES", 100)
    with pytest.raises(ServerFailure, match="answers more than"):
        asked("llama3.1:8b", served(LLAMA))


def test_a_place_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--model-from nowhere\.json: expected the URL of an Ollama, .* or a file"):
        estimated(EstimateOptions(device="RTX 4090", model_from="nowhere.json"))
    with pytest.raises(ServerFailure, match="nothing listens at"):
        estimated(EstimateOptions(device="RTX 4090", model_from="http://127.0.0.1:9"))
