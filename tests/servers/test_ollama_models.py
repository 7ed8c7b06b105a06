"""Several models on one managed Ollama: with a fake binary, and the real one where it is."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.records import ChatRequest
from harness.errors import SlotwiseError, UserError
from harness.measure.loads import measure_load
from harness.measure.sender import Endpoint, options_for
from harness.measure.session import opened
from harness.report.progress import LineProgress
from harness.servers import models
from harness.servers.launch import launched
from harness.servers.spec import RunningServer
from harness.workload.schema import AgentSpec, OllamaServer

REAL = shutil.which("ollama")


def use(spec: OllamaServer, *asked: str) -> RunningServer:
    async def steps() -> RunningServer:
        async with launched("o", spec, say=lambda _: None, asked=asked) as (server, *_):
            return server

    return asyncio.run(steps())


def files(tmp_path: Path) -> tuple[str, str]:
    for name in ("one", "two"):
        (tmp_path / f"{name}.gguf").write_bytes(f"GGUF {name}".encode())
    return str(tmp_path / "one.gguf"), str(tmp_path / "two.gguf")


@pytest.mark.parametrize(("given", "in_env"), [(None, "2"), (1, "1"), (5, "5")])
def test_all_are_created_and_loaded(
    fake: Callable[[], list[dict[str, Any]]], tmp_path: Path, given: int | None, in_env: str
) -> None:
    one, two = files(tmp_path)
    spec = OllamaServer(kind="ollama", model=one, context_tokens=512, threads=2, max_loaded_models=given)
    server = use(spec, one, two)
    assert server.names == {one: "slotwise-one:c512-b512-t2", two: "slotwise-two:c512-b512-t2"}
    assert server.model == "slotwise-one:c512-b512-t2"
    assert server.details["max_loaded_models"] == int(in_env)
    assert server.details["models_loaded"] == 2  # the fake keeps them all
    seen = fake()
    assert seen[0]["env"]["OLLAMA_MAX_LOADED_MODELS"] == in_env
    assert seen[0]["env"]["OLLAMA_KEEP_ALIVE"] == "-1"
    assert [line["body"]["model"] for line in seen if line.get("path") == "/api/create"] == list(server.names.values())
    loads = [line["body"]["model"] for line in seen if line.get("path") == "/api/generate"]
    assert loads == ["slotwise-two:c512-b512-t2", "slotwise-one:c512-b512-t2"]  # its own last
    # A request with a keep_alive of its own can block the server for good (docs/reference/language/models.md).
    assert not any("keep_alive" in line["body"] for line in seen if "body" in line)


def test_one_model_takes_one_place(fake: Callable[[], list[dict[str, Any]]]) -> None:
    server = use(OllamaServer(kind="ollama", model="mine", threads=1), "mine")
    assert fake()[0]["env"]["OLLAMA_MAX_LOADED_MODELS"] == "1"
    assert server.names == {"mine": "mine"}
    assert "max_loaded_models" not in server.details


def test_files_and_the_users_own_models_do_not_mix(fake: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    one, _ = files(tmp_path)
    with pytest.raises(
        UserError, match=r"one managed Ollama cannot serve .*one\.gguf beside mine; use a server for each"
    ):
        use(OllamaServer(kind="ollama", model=one), one, "mine")


def test_the_room_is_set_only_where_the_server_is_started() -> None:
    with pytest.raises(ValueError, match="not for a running one"):
        OllamaServer(kind="ollama", model="m", url="http://127.0.0.1:1", max_loaded_models=2)


@pytest.mark.ollama
@pytest.mark.skipif(REAL is None, reason="no `ollama` binary on the PATH")
def test_the_real_ollama_swaps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two models, room for one: each call for the other loads it, and tells how long that took."""
    try:
        gguf = models.ensure("smollm2-135m", say=lambda _: None)
    except SlotwiseError as error:
        pytest.skip(f"the default model is not there and cannot be fetched: {error}")
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    one.symlink_to(gguf)
    # A letter of its name: another digest makes it another model to Ollama.
    two.write_bytes(gguf.read_bytes().replace(b"Smollm2", b"Smollm3", 1))
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    spec = OllamaServer(
        kind="ollama", model=str(one), slots=1, context_tokens=256, batch_tokens=64, threads=1, max_loaded_models=1
    )

    async def load_s(endpoint: Endpoint, model: Path) -> float:
        options = options_for(endpoint.server, AgentSpec(prompt="-", output_tokens=2), seed=1)
        reply, _ = await endpoint.chat_for(str(model)).ask(ChatRequest(None, "Hello", options, stream=False))
        assert reply.outcome == "ok", reply.error
        return reply.load_s or 0.0

    async def steps() -> tuple[list[float], float]:
        async with opened("o", spec, LineProgress(io.StringIO()), asked=[str(one), str(two)]) as endpoint:
            assert endpoint.server.details["models_loaded"] == 1
            waits = [await load_s(endpoint, model) for model in (one, one, two, two, one)]
            return waits, await measure_load(endpoint, times=1)

    waits, alone_s = asyncio.run(steps())
    # What was loaded tells a hundredth of a load, and what was not a whole one.
    assert max(waits[1], waits[3]) * 10 < min(waits[2], waits[4])
    assert alone_s > 10 * max(waits[1], waits[3])
