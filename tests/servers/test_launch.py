"""Starting fronts in processes of their own: ready, refused, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.core.device import share_on_cpu
from harness.errors import ServerFailure, UserError
from harness.servers.access import Access
from harness.servers.child import listen
from harness.servers.fronts import child
from harness.servers.launch import launched
from harness.servers.ollama_api import _with_loaded, load
from harness.servers.spec import RunningServer
from harness.workload.schema import LlamaCppServer


def test_a_front_in_a_process_of_its_own(ends: Callable[[int], bool]) -> None:
    async def steps() -> int:
        async with child("x", "canned", {"slots": 3}) as ready, httpx.AsyncClient(timeout=60) as client:
            assert (ready["slots"], ready["model"], ready["context_tokens"]) == (3, "canned", 256)
            assert ready["url"].startswith("http://127.0.0.1:")
            body = {"model": "canned", "prompt": "p", "stream": False, "options": {"num_predict": 2}}
            response = await client.post(f"{ready['url']}/api/generate", json=body)
            assert response.json()["response"] == " sea salt"
            return int(ready["pid"])

    assert ends(asyncio.run(steps()))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_front_ends_at_once_with_a_call_running(how: signal.Signals, ends: Callable[[int], bool]) -> None:
    async def steps() -> None:
        async with child("x", "canned", {}) as ready, httpx.AsyncClient(timeout=60) as client:
            body = {"model": "canned", "prompt": "gate never", "stream": True}
            call = asyncio.create_task(client.post(f"{ready['url']}/api/generate", json=body))
            await client.get(f"{ready['url']}/api/ps")
            os.kill(ready["pid"], how)
            with pytest.raises(httpx.TransportError):
                await call
            assert ends(ready["pid"])

    asyncio.run(steps())


def test_cancelled_while_in_use_it_is_stopped(ends: Callable[[int], bool]) -> None:
    pids: list[int] = []

    async def use(started: asyncio.Event) -> None:
        async with child("x", "canned", {}) as ready:
            pids.append(ready["pid"])
            started.set()
            await asyncio.sleep(600)

    async def steps() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(use(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(steps())
    assert ends(pids[0])


def test_a_port_in_use_is_the_users_to_mend() -> None:
    async def steps(port: int) -> None:
        async with child("x", "canned", {}, port=port):
            raise AssertionError("it listens on a port that is taken")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^x: 127\.0\.0\.1:{port}: cannot listen there .*in use.*--port"):
            asyncio.run(steps(port))


def test_a_host_that_is_not_ours() -> None:
    async def steps() -> None:
        async with child("x", "canned", {}, access=Access("no.such.host.invalid")):
            raise AssertionError("it listens on a host that does not exist")

    with pytest.raises(UserError, match=r"^x: --host no\.such\.host\.invalid: not an address of this machine"):
        asyncio.run(steps())


def test_a_process_that_dies_says_its_last_words() -> None:
    async def steps() -> None:
        async with child("x", "canned", {"no_such_option": 1}):
            raise AssertionError("it started")

    with pytest.raises(ServerFailure, match=r"(?s)ended before it was ready \(exit code 1\).*no_such_option"):
        asyncio.run(steps())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"hello, model", r"bad\.gguf: not a GGUF file"), (None, r"bad\.gguf: no such model file$")],
)
def test_a_model_that_is_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)

    async def steps() -> None:
        async with launched("x", LlamaCppServer(kind="llamacpp", model=str(path)), say=lambda _: None):
            raise AssertionError("it loaded")

    with pytest.raises(UserError, match=message):
        asyncio.run(steps())


def test_a_file_that_only_looks_like_a_model(tmp_path: Path, gguf_bytes: Callable[..., bytes]) -> None:
    pytest.importorskip("xllamacpp", reason="the embedded engine (xllamacpp) is not installed")
    path = tmp_path / "empty.gguf"
    path.write_bytes(gguf_bytes({"general.architecture": "llama"}, {}))

    async def steps() -> None:
        async with launched("x", LlamaCppServer(kind="llamacpp", model=str(path), threads=1), say=lambda _: None):
            raise AssertionError("it loaded")

    with pytest.raises(ServerFailure, match=r"empty\.gguf: the engine could not load it"):
        asyncio.run(steps())


def running(url: str, **more: Any) -> RunningServer:
    plain = RunningServer("x", "ollama", url, "canned", None, False, "v", True, True, {})
    return plain._replace(**more)


def test_load_tells_what_the_server_says_of_itself() -> None:
    async def steps() -> None:
        async with child("x", "canned", {}) as ready:
            server = await load(running(ready["url"]))
            assert server.details == {
                "size_bytes": 2000,
                "size_vram_bytes": 0,
                "context_tokens": 256,
                "quantization": "F16",
            }
            with pytest.raises(ServerFailure, match=r"could not load nobody \(404: model 'nobody' not found\)$"):
                await load(running(ready["url"], model="nobody"))

    asyncio.run(steps())


def test_sizes_are_of_all_models_of_a_server() -> None:
    """So layers of any of them on the CPU are seen; what else is told is of its own model."""
    both = running("http://127.0.0.1:1", model="one")._replace(names={"one": "one", "two": "two:latest"})
    loaded = [
        {"name": "one:latest", "size": 100, "size_vram": 100, "context_length": 512},
        {"name": "two:latest", "size": 300, "size_vram": 200, "context_length": 1024},
        {"name": "somebody-elses", "size": 50, "size_vram": 0},
    ]
    details = _with_loaded(both, loaded).details
    assert (details["size_bytes"], details["size_vram_bytes"]) == (400, 300)
    assert (details["context_tokens"], details["models_loaded"]) == (512, 3)
    assert share_on_cpu(details) == 0.25
    alone = _with_loaded(running("http://127.0.0.1:1", model="one:latest"), loaded).details
    assert (alone["size_bytes"], share_on_cpu(alone)) == (100, 0.0)


def test_load_of_a_server_that_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServerFailure, match=rf"^x: http://127\.0\.0\.1:{port} failed while loading canned") as caught:
        asyncio.run(load(running(f"http://me:secret@127.0.0.1:{port}")))
    assert "secret" not in str(caught.value)


def test_the_fronts_socket_is_tcp_by_name() -> None:
    """asyncio sets TCP_NODELAY only then; without it every call on a used connection takes 40 ms longer."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({}, 200, ""),
        ({"Host": "evil.example"}, 403, "--allow-host"),
        ({"Host": "front.example:1"}, 200, ""),
        ({"Origin": "https://evil.example"}, 403, "--allow-origin"),
        ({"Origin": "https://chat.example"}, 200, ""),
        ({"Origin": "http://localhost:3000"}, 200, ""),
    ],
)
def test_a_front_lets_in_this_machine_and_those_that_are_named(headers: dict[str, str], status: int, said: str) -> None:
    access = Access.given("127.0.0.1", ["front.example"], ["https://chat.example"])

    async def main() -> None:
        async with child("x", "canned", {}, access=access) as ready, httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{ready['url']}/api/tags", headers=headers)
            assert answer.status_code == status and said in answer.text
            assert answer.headers.get("access-control-allow-origin") == (headers.get("Origin") if not said else None)
            asked = {**headers, "Access-Control-Request-Method": "POST"}
            preflight = await client.options(f"{ready['url']}/api/chat", headers=asked)
            assert preflight.status_code == (204 if status == 200 else 403)

    asyncio.run(main())
