"""What a model takes: told by a server, read from a header, kept in a profile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_ollama import FakeOllama
from servers.conftest import gguf_bytes

from harness.core.step_costs import StepCosts
from harness.errors import UserError
from harness.measure.footprint import footprint_in, memory_use, with_footprint
from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer

__all__ = ["gguf_bytes"]

# 2 bytes x 4 layers x 2 heads x (64 + 64)
INFO: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 4,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "llama.embedding_length": 512,
}
KV_BYTES = 2048
SPEC = OllamaServer(kind="ollama", model="m", slots=4)


def server(url: str = "http://127.0.0.1:1", model: str = "m", **details: str | int | float) -> RunningServer:
    return RunningServer("s", "ollama", url, model, 4, True, "ollama 0", False, False, details)


def told(fake: FakeOllama, spec: OllamaServer = SPEC, **details: str | int | float) -> dict[str, str | int | float]:
    with fake.listening() as url:
        return dict(asyncio.run(with_footprint(server(url)._replace(details=details), spec)).details)


def test_a_server_tells_what_its_model_takes() -> None:
    assert told(FakeOllama(info=INFO, file_bytes=700)) == {"model_bytes": 700, "kv_bytes_per_token": KV_BYTES}
    assert told(FakeOllama(models=["m:latest"], info=INFO, file_bytes=700))["model_bytes"] == 700
    assert told(FakeOllama(info=INFO)) == {"kv_bytes_per_token": KV_BYTES}
    hidden = INFO | {"llama.attention.head_count_kv": None}  # a count for each layer, which it leaves out
    assert told(FakeOllama(info=hidden, file_bytes=700)) == {"model_bytes": 700}
    assert told(FakeOllama()) == {}  # an old one, or something else


def test_a_smaller_number_format_of_the_cache_takes_less() -> None:
    found = told(FakeOllama(info=INFO), kv_type="q8_0")
    assert found["kv_bytes_per_token"] == KV_BYTES * 34 // 64


def test_the_header_of_its_file_comes_first(tmp_path: Path, gguf_bytes: Callable[..., bytes]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes(INFO | {"llama.block_count": 8}, {"a": (8, 8)}) + bytes(512))
    spec = SPEC.model_copy(update={"model": str(path)})
    found = told(FakeOllama(info=INFO, file_bytes=700), spec)
    assert found == {"model_bytes": path.stat().st_size, "kv_bytes_per_token": 2 * KV_BYTES}
    running = spec.model_copy(update={"url": "http://127.0.0.1:1"})  # somebody's, who may have another file
    assert told(FakeOllama(info=INFO, file_bytes=700), running)["model_bytes"] == 700


def test_what_is_known_already_is_not_asked_for() -> None:
    known = server(model_bytes=1, kv_bytes_per_token=2)
    assert asyncio.run(with_footprint(known, SPEC)) == known


def test_what_a_profile_keeps() -> None:
    use = memory_use(server(model_bytes=700, kv_bytes_per_token=KV_BYTES, context_tokens=512, size_bytes=9999999), 4)
    assert (use.model_bytes, use.slot_bytes, use.context_tokens) == (700, 512 * KV_BYTES, 512)
    assert "kv_type" not in use.model_dump(exclude_unset=True)
    cache = 4 * 512 * KV_BYTES
    size = memory_use(server(kv_bytes_per_token=KV_BYTES, context_tokens=512, size_bytes=cache + 900), 4)
    assert size.model_bytes == 900  # what it says that it takes, less the cache of all slots
    assert memory_use(server(kv_bytes_per_token=KV_BYTES, context_tokens=512, size_bytes=cache), 4).model_bytes is None
    assert memory_use(server(size_bytes=900), 4).model_bytes is None
    assert memory_use(server(kv_type="q8_0"), 4).kv_type == "q8_0"


@pytest.mark.parametrize("kv_bytes", [46080, 131072, 10])
def test_a_simulated_server_has_a_header_from_which_the_same_follows(kv_bytes: int) -> None:
    config = SimulatedConfig("sim", "p", StepCosts((0.0, 0.5), ((1, 0.1),)), 512, model_bytes=7, kv_bytes=kv_bytes)
    info = SimulatedEngine(config).model.info
    assert footprint_in(info, 7).kv_bytes_per_token == kv_bytes
    bare = SimulatedEngine(config._replace(kv_bytes=0)).model.info
    assert footprint_in(bare, 7).kv_bytes_per_token is None


def test_a_header_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_text("no model")
    with pytest.raises(UserError, match="not a GGUF file"):
        told(FakeOllama(), SPEC.model_copy(update={"model": str(path)}))
