"""Ollama servers: those that run, and our own; with a fake binary, and the real one where it is."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import processes
import pytest
from deploy.uses import ONE, candidate

from harness.deploy.settings import settings_for
from harness.errors import ServerFailure, SlotwiseError, UserError
from harness.servers import models, ollama, ollama_api
from harness.servers.fronts import child
from harness.servers.launch import launched
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer

REAL = shutil.which("ollama")


def use(spec: OllamaServer, said: list[str] | None = None, threads: int | None = 2) -> RunningServer:
    """Launch a server, look at it, and let it go."""

    async def steps() -> RunningServer:
        say = (lambda _: None) if said is None else said.append
        chosen = spec if spec.url or spec.threads else spec.model_copy(update={"threads": threads})
        async with launched("o", chosen, say=say) as (server, *_):
            return server

    return asyncio.run(steps())


def spec(model: str = "mine", **more: Any) -> OllamaServer:
    return OllamaServer(kind="ollama", model=model, **more)


# --- managed ----------------------------------------------------------------------------------------------


def test_managed_with_a_model_it_has(fake: Callable[[], list[dict[str, Any]]], ends: Callable[[int], bool]) -> None:
    server = use(spec(slots=3, context_tokens=512))
    assert (server.model, server.version, server.slots_asked) == ("mine", "ollama 0.0.0-fake", 3)
    assert (server.managed, server.exact_queue, server.can_pin_output) == (True, False, False)
    seen = fake()
    env = seen[0]["env"]
    port = server.url.rpartition(":")[2]
    assert env["OLLAMA_HOST"] == f"127.0.0.1:{port}"
    assert env["OLLAMA_NUM_PARALLEL"] == "3"
    assert env["OLLAMA_CONTEXT_LENGTH"] == "512"
    assert env["OLLAMA_MODELS"] == "/the/users/own"
    assert (env["OLLAMA_KEEP_ALIVE"], env["OLLAMA_NOPRUNE"], env["OLLAMA_NO_CLOUD"]) == ("-1", "1", "1")
    assert env["LLAMA_ARG_THREADS"] == "2"
    assert not any(line.get("path") == "/api/create" or "blob" in line for line in seen)
    pids = [seen[0]["pid"], *(line["runner"] for line in seen if "runner" in line)]
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)
    assert server.details["slots_logged"] == 3


def test_settings_to_copy_are_what_a_managed_one_gets(fake: Callable[[], list[dict[str, Any]]]) -> None:
    """The report says what was measured: the same variables, with the same values."""
    use(spec(slots=3, context_tokens=512, max_loaded_models=2), threads=2)
    mine = ONE._replace(slots=3, context_tokens=512, most_loaded=2, models=("mine", "other"), threads=2)
    words = shlex.split(settings_for(candidate(mine)).shell[0])
    told = dict(word.split("=", 1) for word in words[:-2])
    env = fake()[0]["env"]
    assert {key: env.get(key) for key in told} == told
    # Left out on purpose: where it listens, where models lie, and what keeps a measurement undisturbed.
    kept_back = {
        "OLLAMA_HOST",
        "OLLAMA_MODELS",
        "OLLAMA_KEEP_ALIVE",
        "OLLAMA_NOPRUNE",
        "OLLAMA_NO_CLOUD",
        "OLLAMA_DEBUG",
    }
    assert set(env) - set(told) == kept_back


def test_managed_creates_a_gguf_in_a_store_of_ours(fake: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    path = tmp_path / "My Model.Q4_0.gguf"
    path.write_bytes(b"GGUF...")
    said: list[str] = []
    server = use(spec(str(path), slots=2, context_tokens=512, batch_tokens=256), said)
    assert server.model == "slotwise-my-model.q4_0:c512-b256-t2"
    assert server.details == {
        "threads": 3,  # what the log says counts, not what was asked
        "batch_tokens": 256,
        "context_tokens": 512,
        "slots_logged": 2,
        "size_bytes": 100,
        "size_vram_bytes": 40,
    }
    seen = fake()
    assert seen[0]["env"]["OLLAMA_MODELS"] == str(tmp_path / "cache" / "ollama")
    (create,) = (line["body"] for line in seen if line.get("path") == "/api/create")
    assert create["parameters"] == {"num_ctx": 512, "num_batch": 256, "num_thread": 2}
    assert list(create["files"]) == ["My Model.Q4_0.gguf"]
    assert said[1:] == [
        "o: copying My Model.Q4_0.gguf into Ollama's format",
        f"o: loading {server.model}",
        # 40 of the fake's 100 bytes are on its accelerator
        "o: layers on the CPU: 60% of its model did not fit onto the accelerator beside the cache of 2 slots; give it "
        "fewer slots or a smaller context",
    ]


def test_an_architecture_held_to_one_slot_shows(
    fake: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_OLLAMA", "one-slot")
    server = use(spec(slots=4))
    assert (server.slots_asked, server.details["slots_logged"]) == (4, 1)
    assert "does not currently support parallel requests architecture=lfm2" in str(server.details["warning"])


@pytest.mark.parametrize(
    ("mode", "model", "error", "message"),
    [
        ("dies", "mine", ServerFailure, r"(?s)^o: ollama serve ended at once; .*address already in use$"),
        (
            "",
            "mime",
            UserError,
            r'^o: this machine\'s Ollama has no model "mime"; did you mean "mine"\?',
        ),
        (
            "no-load",
            "mine",
            ServerFailure,
            r"(?s)could not load mine \(500: llama runner .*the disk is on fire",
        ),
        ("", "none.gguf", UserError, r"^none\.gguf: no such model file$"),
    ],
)
def test_managed_failures(
    fake: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    ends: Callable[[int], bool],
    mode: str,
    model: str,
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setenv("FAKE_OLLAMA", mode)
    with pytest.raises(error, match=message):
        use(spec(model))
    if model != "none.gguf":
        assert ends(fake()[0]["pid"])


def test_no_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^o: no `ollama` on the PATH. .* add --server URL. Else install"):
        use(spec())


def test_kill_9_of_the_parent_leaves_no_ollama(
    fake: Callable[[], list[dict[str, Any]]], ends: Callable[[int], bool]
) -> None:
    parent = """
import asyncio, sys
sys.path[:0] = %r
from harness.servers.launch import launched
from harness.workload.schema import OllamaServer
async def main():
    async with launched("o", OllamaServer(kind="ollama", model="mine"), say=lambda _: None):
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
    root = str(Path(models.__file__).parents[2])
    with processes.started([sys.executable, "-c", parent % [root]], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
    seen = fake()
    pids = [seen[0]["pid"], *(line["runner"] for line in seen if "runner" in line)]
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


# --- running ----------------------------------------------------------------------------------------------


def test_a_running_front_of_ours_is_recognised() -> None:
    async def steps() -> None:
        async with child("x", "canned", {}) as ready:
            url = ready["url"]
            async with launched("o", spec("canned", url=url), say=lambda _: None) as (server, *_):
                assert (server.managed, server.slots_asked) == (False, None)
                assert (server.exact_queue, server.can_pin_output) == (True, True)
                assert (server.url, server.version) == (ready["url"], "canned 1")
                assert server.details["size_bytes"] == 2000
            async with httpx.AsyncClient() as client:  # it still runs
                assert (await client.get(ready["url"])).status_code == 200
            with pytest.raises(UserError, match=r'has no model "caned"; did you mean "canned"\?'):
                async with launched("o", spec("caned", url=url), say=lambda _: None):
                    pass

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("host:8080/", "http://host:8080"),
        ("http://host", "http://host:11434"),
        ("https://host", "https://host"),
        ("http://me:pw@host:1", "http://me:pw@host:1"),
        ("http://[::1]", "http://[::1]:11434"),
        ("http://host:1/ollama/", "http://host:1/ollama"),
    ],
)
def test_urls(given: str, used: str) -> None:
    assert ollama_api.normal_url("o", given) == used


@pytest.mark.parametrize("given", ["ftp://host", "http://me:secret@", "http://host:port", "", "http://h/?key=secret"])
def test_what_is_no_url(given: str) -> None:
    with pytest.raises(UserError, match=r"^o: ") as caught:
        ollama_api.normal_url("o", given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "content", "error", "message"),
    [
        (
            404,
            b"<html>no</html>",
            ServerFailure,
            r"/api/version does not answer as Ollama does \(404: <html>no",
        ),
        (200, b"not json", ServerFailure, r"does not answer as Ollama does \(200: not json"),
        (503, b'{"error": "busy"}', ServerFailure, r"\(503: busy\)$"),
        (
            200,
            b'{"models": []}',
            UserError,
            r'has no models, asked for "mine"; fetch it with: ollama pull mine$',
        ),
    ],
)
def test_strange_answers(
    monkeypatch: pytest.MonkeyPatch, status: int, content: bytes, error: type[Exception], message: str
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    real = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **kwargs: real(**(kwargs | {"transport": transport})))
    with pytest.raises(error, match=message) as caught:
        use(spec(url="http://me:secret@host:1"))
    assert "secret" not in str(caught.value)


def test_read_log_takes_the_last_engine() -> None:
    text = (
        'msg="server config" env="map[OLLAMA_NUM_PARALLEL:4]"\n'
        'msg="starting llama-server" cmd="/x/llama-server --model m -c 8192 -np 4 -b 512 -ub 512 -t 2"\n'
        "srv    load_model: initializing, n_slots = 4, n_ctx_slot = 2048\n"
        'msg="starting llama-server" cmd="/x/llama-server --model m -c 2048 -np 1 -b 1024 -ub 1024"\n'
    )
    assert ollama.read_log(text) == ollama.Log(1, 1024, None, "")
    assert ollama.read_log("") == ollama.Log(None, None, None, "")


# --- the real one -----------------------------------------------------------------------------------------


@pytest.mark.ollama
@pytest.mark.skipif(REAL is None, reason="no `ollama` binary on the PATH")
def test_the_real_ollama(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: Callable[[int], bool]) -> None:
    try:
        gguf = models.ensure("smollm2-135m", say=lambda _: None)
    except SlotwiseError as error:
        pytest.skip(f"the default model is not there and cannot be fetched: {error}")
    cache = tmp_path / "cache"
    (cache / "models").mkdir(parents=True)
    (cache / "models" / gguf.name).symlink_to(gguf)
    monkeypatch.setenv("SLOTWISE_CACHE", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "untouched"))
    wanted = spec("smollm2-135m", slots=2, context_tokens=512, batch_tokens=128, threads=1)

    async def steps() -> RunningServer:
        async with launched("o", wanted, say=lambda _: None) as (server, *_):
            async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
                body = {"model": server.model, "prompt": "Hi", "stream": False, "options": {"num_predict": 3}}
                reply = (await client.post("/api/generate", json=body)).json()
                assert reply["done"] is True
                assert 1 <= reply["eval_count"] <= 3
            return server

    server = asyncio.run(steps())
    assert re.match(r"^ollama \d+\.\d+", server.version)
    assert server.details["slots_logged"] == 2
    assert server.details["batch_tokens"] == 128
    assert server.details["threads"] == 1
    assert server.details["context_tokens"] == 512
    assert not (tmp_path / "untouched").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)
