"""Start servers (or find running ones) for as long as they are needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from harness import units
from harness.errors import ServerFailure, UserError
from harness.servers import models, ollama
from harness.servers.emulation import contention, emulation, profile_of
from harness.servers.gguf import read_gguf
from harness.servers.machine import cores
from harness.servers.process import Started, last_lines, log_text, our_python, start, stop
from harness.servers.spec import RunningServer
from harness.workload.schema import EngineServer, LlamaCppServer, OllamaServer, ServerSpec, SimulatedServer

__all__ = ["child", "children", "launched", "load", "simulated"]

Say = Callable[[str], None]

READY_S = 600.0  # a model of many gigabytes comes from a slow disk; a dead process is noticed at once
LOAD_S = 600.0


@asynccontextmanager
async def launched(
    name: str,
    spec: ServerSpec,
    *,
    say: Say,
    progress: models.Progress | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    patience_s: float | None = None,
    near: Path | None = None,
    played: Mapping[str, RunningServer] | None = None,
    asked: Sequence[str] = (),
) -> AsyncIterator[RunningServer]:
    """Yield the server that `spec` describes, loaded and ready; whatever was started for it is stopped after.

    `progress` is called with bytes while a model is fetched. `host` and `port` are where an embedded or simulated
    server listens; port 0 takes a free one. `patience_s` is how long a server that was not started here may take to
    load its model (at least half a minute); one of ours dies rather than hang. `near` is the workload's folder, where
    profiles are looked for first. `played` are simulated servers that have been started already, see `simulated`.
    `asked` are the models that it has to serve, left out: the one of `spec`; only Ollama serves several.
    """
    around = Around(say, progress, host, port, near, played or {}, tuple(asked))
    async with KINDS[spec.kind](name, spec, around) as server:
        limit_s = LOAD_S if server.managed or patience_s is None else min(LOAD_S, max(patience_s, 30.0))
        if not server.managed:
            names = ", ".join(server.names.values()) or server.model
            say(f"{name}: asking {units.safe_url(server.url)} to load {names}, up to {units.seconds(limit_s)}")
        yield await load(server, limit_s)


class Around(NamedTuple):
    """What a server is started with, whatever its kind."""

    say: Say
    progress: models.Progress | None
    host: str
    port: int
    near: Path | None
    played: Mapping[str, RunningServer]
    asked: tuple[str, ...] = ()


@asynccontextmanager
async def _llamacpp(name: str, spec: LlamaCppServer, around: Around) -> AsyncIterator[RunningServer]:
    say, threads = around.say, _threads(spec)
    path = await models.ensure_async(spec.model, say=say, progress=around.progress)
    gguf = read_gguf(path)
    config = {
        "model_name": models.model_name(spec.model),
        "model_path": str(path.resolve()),
        "slots": spec.slots,
        "context_tokens": spec.context_tokens,
        "batch_tokens": spec.batch_tokens,
        "threads": threads,
    }
    say(
        f"{name}: loading {config['model_name']} ({units.size(gguf.file_bytes)}), "
        f"{units.count(spec.slots, 'slot')} of {spec.context_tokens} tokens, {units.count(threads, 'thread')}"
    )
    async with child(name, "llamacpp", config, host=around.host, port=around.port) as ready:
        details: dict[str, str | int | float] = {
            "threads": threads,
            "batch_tokens": spec.batch_tokens,
            "kv_bytes_per_token": gguf.kv_bytes_per_token,
        }
        for key in ("context_tokens", "model_bytes", "size_bytes", "size_vram_bytes", "quantization", "digest"):
            details[key] = ready[key]
        yield _ours(name, spec, ready, details)


def _ours(
    name: str,
    spec: LlamaCppServer | SimulatedServer,
    ready: dict[str, Any],
    details: dict[str, str | int | float],
) -> RunningServer:
    """Return a server behind our own front, by what it said of itself."""
    return RunningServer(
        name=name,
        kind=spec.kind,
        url=ready["url"],
        model=ready["model"],
        slots_asked=spec.slots,
        managed=True,
        version=ready["version"],
        exact_queue=True,
        can_pin_output=True,
        details=details,
        emulated=spec.kind == "simulated",
    )


@asynccontextmanager
async def child(
    name: str, kind: str, config: dict[str, Any], *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[dict[str, Any]]:
    """Yield what a front with that engine in a process of its own says of itself (harness/servers/child.py)."""
    async with children(name, kind, [config], host=host, port=port) as (ready,):
        yield ready


@asynccontextmanager
async def children(
    name: str,
    kind: str,
    configs: Sequence[dict[str, Any]],
    *,
    among: Mapping[int, float] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield what several fronts in one process say of themselves, in order; the first takes the port.

    `among`: how these slow each other, see `harness.servers.emulation.contention`.
    """
    orders = json.dumps(
        {"kind": kind, "configs": list(configs), "contention": among and dict(among), "host": host, "port": port}
    )
    started = start(our_python("harness.servers.child"), first_line=orders.encode())
    try:
        yield await _ready(name, started)
    finally:
        stop(started)


async def _ready(name: str, started: Started) -> list[dict[str, Any]]:
    assert started.process.stdout is not None
    # the thread ends when the process does, and `stop` sees to that
    reading = asyncio.get_running_loop().run_in_executor(None, started.process.stdout.readline)
    try:
        line = await asyncio.wait_for(asyncio.shield(reading), READY_S)
    except TimeoutError:
        raise ServerFailure(f"{name}: not ready after {units.seconds(READY_S)}") from None
    if not line:
        status = started.process.wait()
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        said = last_lines(log_text(started)) or "  (it said nothing)"
        raise ServerFailure(f"{name}: the engine's process ended before it was ready ({how}); it last said:\n{said}")
    answer: list[dict[str, Any]] | dict[str, Any] = json.loads(line)
    if isinstance(answer, dict):
        kind = UserError if answer["exit_code"] == UserError.exit_code else ServerFailure
        raise kind(f"{name}: {answer['error']}")
    return answer


@asynccontextmanager
async def _ollama(name: str, spec: OllamaServer, around: Around) -> AsyncIterator[RunningServer]:
    if spec.url is not None:
        yield await ollama.running(name, spec, spec.url, around.asked)
        return
    managed = ollama.managed(name, spec, _threads(spec), say=around.say, progress=around.progress, asked=around.asked)
    async with managed as server:
        yield server


def _threads(spec: EngineServer) -> int:
    return max(1, cores() // 2) if spec.threads == "half" else spec.threads or cores()


@asynccontextmanager
async def _simulated(name: str, spec: SimulatedServer, around: Around) -> AsyncIterator[RunningServer]:
    if name in around.played:
        yield around.played[name]
        return
    async with simulated({name: spec}, say=around.say, host=around.host, port=around.port, near=around.near) as played:
        yield played[name]


@asynccontextmanager
async def simulated(
    servers: Mapping[str, ServerSpec],
    *,
    say: Say,
    host: str = "127.0.0.1",
    port: int = 0,
    near: Path | None = None,
) -> AsyncIterator[dict[str, RunningServer]]:
    """Yield those of the servers that are simulated, by name, running; stopped after.

    Those with one profile stand on one machine: one process plays them, and they slow each other as the profile says.
    """
    machines: dict[str, dict[str, SimulatedServer]] = {}
    for name, spec in servers.items():
        if isinstance(spec, SimulatedServer):
            machines.setdefault(spec.profile, {})[name] = spec
    running: dict[str, RunningServer] = {}
    async with AsyncExitStack() as stack:
        for specs in machines.values():
            planned = {name: emulation(name, spec, near) for name, spec in specs.items()}
            for name, spec in specs.items():
                say(
                    f"{name}: simulating {spec.model}, {units.count(spec.slots, 'slot')} of {spec.context_tokens} "
                    f"tokens{f', {spec.speed_up:g} times as fast' if spec.speed_up != 1 else ''}"
                )
            among = contention(profile_of(next(iter(specs.values())), near), len(specs))
            configs = [config for config, _ in planned.values()]
            started = children(", ".join(specs), "simulated", configs, among=among, host=host, port=port)
            for name, ready in zip(specs, await stack.enter_async_context(started), strict=True):
                running[name] = _ours(name, specs[name], ready, planned[name][1])
        yield running


KINDS: dict[str, Callable[..., AbstractAsyncContextManager[RunningServer]]] = {
    "llamacpp": _llamacpp,
    "ollama": _ollama,
    "simulated": _simulated,
}


async def load(server: RunningServer, limit_s: float = LOAD_S) -> RunningServer:
    """Warm a server: load each of its models, generate a token; return it with what it then told of itself."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Say yes."}],
        "stream": False,
        "options": {"num_predict": 1, "temperature": 0},
    }
    if server.emulated:
        body["options"] |= {"faults": False}
    shown = units.safe_url(server.url)
    async with httpx.AsyncClient(base_url=server.url, timeout=limit_s, trust_env=False) as client:
        try:
            for model in reversed(list(server.names.values()) or [server.model]):  # its own last
                response = await client.post("/api/chat", json={"model": model, **body})
                if response.status_code != 200:
                    break
            loaded = (await client.get("/api/ps")).json()["models"]
        except httpx.TimeoutException:
            raise ServerFailure(f"{server.name}: {shown} did not answer within {units.seconds(limit_s)}") from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ServerFailure(f"{server.name}: {shown} failed while loading {model}: {error}") from None
    if response.status_code != 200:
        raise ServerFailure(
            f"{server.name}: {shown} could not load {model} ({response.status_code}: {ollama.error_text(response)})"
        )
    return ollama.with_loaded(server, loaded)
