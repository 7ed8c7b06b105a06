"""The kind `ollama`: one that runs already, or one of our own for a while.

Facts about Ollama that this file rests on are in its source: cmd/serve, envconfig, server/create.go. A
running server is only asked, never told anything that changes it (`ollama_api.py`). A managed one is `ollama serve`
with its own address, slots and (where we create the model) its own models folder, under a guard that ends the whole
process group.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx

from harness import units
from harness.bounded import asking
from harness.core.levers import LEVERS
from harness.errors import ServerFailure, UserError
from harness.servers import models
from harness.servers.engine_log import EngineLog
from harness.servers.machine import threads_for
from harness.servers.ollama_api import ASK_S, LOAD_S, ask, error_text, find, load, normal_url
from harness.servers.process import Started, guarded, last_lines, log_bytes, log_text, start, stop
from harness.servers.spec import Around, Launched, RunningServer, Say
from harness.workload.schema import OllamaServer

__all__ = ["Log", "find_binary", "launch", "levers_found", "read_log", "running"]

LEAST_PATIENCE_S = 30.0
START_S = 60.0
UPLOAD_S = 1800.0
CREATE_PREFIX = "slotwise-"
INSTALL = "install Ollama from https://ollama.com/download, or use the embedded engine (kind: llamacpp)"


@asynccontextmanager
async def launch(name: str, spec: OllamaServer, around: Around) -> AsyncIterator[Launched]:
    """Find the one at `url`, or start one of our own; load its models."""
    if spec.url is None:
        async with _managed(name, spec, around) as (server, log):
            yield Launched(await load(server), around.connect, log)
        return
    server = await running(name, spec, spec.url, around.asked, around.embeds)
    patience_s = around.patience_s
    limit_s = LOAD_S if patience_s is None else min(LOAD_S, max(patience_s, LEAST_PATIENCE_S))
    names = ", ".join((*server.names.values(), *server.embeds.values()))
    around.say(f"{name}: asking {units.safe_url(server.url)} to load {names}, up to {units.seconds(limit_s)}")
    yield Launched(await load(server, limit_s), around.connect)


async def running(
    name: str, spec: OllamaServer, url: str, asked: Sequence[str] = (), embeds: Sequence[str] = ()
) -> RunningServer:
    """Return a server that runs already and has the models (left out: the spec's); otherwise a clear error."""
    base = normal_url(name, url)
    async with asking(base, ASK_S) as client:
        answer = await ask(name, base, client, "/api/version")
        tags = await ask(name, base, client, "/api/tags")
    called = {
        model: find(name, units.safe_url(base), model, tags) for model in (*_answering(spec, asked, embeds), *embeds)
    }
    exact = "engine" in answer  # our own front says what is behind it
    version = str(answer["engine"]) if exact else f"ollama {answer.get('version', '?')}"
    return RunningServer(
        name=name,
        kind="ollama",
        url=base,
        model=next(iter(called.values())),
        names={model: found for model, found in called.items() if model not in embeds},
        embeds={model: called[model] for model in embeds},
        slots_asked=spec.slots if "slots" in spec.model_fields_set else None,
        managed=False,
        version=version,
        exact_queue=exact,
        can_pin_output=exact,
        details={},
        emulated=answer.get("emulated") is True,
        embedded=exact and answer.get("emulated") is not True,
    )


def _answering(spec: OllamaServer, asked: Sequence[str], embeds: Sequence[str]) -> tuple[str, ...]:
    """Return the models that answer on a server: where none is asked for, its own, unless it only embeds."""
    return tuple(asked) or (() if embeds else (spec.model,))


def find_binary(name: str) -> str:
    """Return the path of `ollama`, or say what to do without it."""
    binary = shutil.which("ollama")
    if binary is None:
        raise UserError(
            f"{name}: no `ollama` on the PATH. To measure on a server that runs: add --server URL. Else {INSTALL}"
        )
    return binary


@asynccontextmanager
async def _managed(
    name: str, spec: OllamaServer, around: Around
) -> AsyncIterator[tuple[RunningServer, EngineLog | None]]:
    """Yield an `ollama serve` of our own with the models loaded, and its log; it and all it started are ended after.

    Its models are all files (built-in models and GGUF paths), which go to a store of ours, or all models that the
    user's own store has.
    """
    say, threads = around.say, threads_for(spec.threads)
    binary = find_binary(name)
    asked = (*_answering(spec, around.asked, around.embeds), *around.embeds)
    ours = [model for model in asked if model in models.BUILTIN or model.lower().endswith(".gguf")]
    if ours and len(ours) < len(asked):
        raise UserError(
            f"{name}: built-in models and GGUF files are in a store of Slotwise's own, so one managed Ollama cannot "
            f"serve {', '.join(ours)} beside {', '.join(model for model in asked if model not in ours)}; use a server "
            "for each, or `ollama create` the file and name it as your Ollama does"
        )
    files = {model: await models.ensure_async(model, say=say, progress=around.progress) for model in ours}
    most_loaded = spec.max_loaded_models or len(asked)
    port = _free_port()
    base = f"http://127.0.0.1:{port}"
    say(f"{name}: starting ollama serve with {units.count(spec.slots, 'slot')}")
    env = _environment(spec, threads, port, own_store=bool(files), most_loaded=most_loaded)
    started = start(guarded([binary, "serve"]), env=env)
    try:
        async with asking(base, UPLOAD_S) as client:
            version = await _wait(name, started, client)
            if files:
                names = {one: await _create(name, spec, one, threads, gguf, client, say) for one, gguf in files.items()}
            else:
                tags = await ask(name, base, client, "/api/tags")
                names = {one: find(name, "this machine's Ollama", one, tags) for one in asked}
            for model in reversed(names.values()):  # its own last, so that it is there where not all can be
                say(f"{name}: loading {model}")
                embeds = model in [names[one] for one in around.embeds]
                await _preload(name, started, model, client, embeds=embeds)
        log = read_log(log_text(started))
        details: dict[str, str | int | float] = {
            "threads": log.threads or threads,
            "batch_tokens": log.batch_tokens or spec.batch_tokens,
            "context_tokens": spec.context_tokens,
        }
        if spec.max_queue is not None:
            details["max_queue"] = spec.max_queue
        if log.slots is not None:
            details["slots_logged"] = log.slots
        if log.warning:
            details["warning"] = log.warning
        if len(names) > 1:
            details["max_loaded_models"] = most_loaded
        details |= levers_found(name, spec.levers, log.levers, version)
        server = RunningServer(
            name=name,
            kind="ollama",
            url=base,
            model=next(iter(names.values())),
            names={model: called for model, called in names.items() if model not in around.embeds},
            embeds={model: names[model] for model in around.embeds},
            slots_asked=spec.slots,
            managed=True,
            version=f"ollama {version}",
            exact_queue=False,
            can_pin_output=False,
            details=details,
            can_unload=True,
        )
        yield server, EngineLog(partial(log_bytes, started)) if len(names) == 1 else None
    finally:
        stop(started)


def _environment(
    spec: OllamaServer, threads: int, port: int, *, own_store: bool, most_loaded: int = 1
) -> dict[str, str]:
    """Return the environment of `ollama serve`: ours where it matters, the user's elsewhere."""
    env = os.environ | {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_NUM_PARALLEL": str(spec.slots),
        "OLLAMA_CONTEXT_LENGTH": str(spec.context_tokens),
        "OLLAMA_MAX_LOADED_MODELS": str(most_loaded),
        # Here and not in the requests: a request for a model that is to make room for another one, with a keep_alive of
        # its own, makes Ollama forget that it was to go, and a call that waits for the room waits for ever.
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_DEBUG": "0",
        # inherited by llama-server, which reads them where Ollama passes no flag of its own
        "LLAMA_ARG_THREADS": str(threads),
    }
    if spec.max_queue is not None:
        env["OLLAMA_MAX_QUEUE"] = str(spec.max_queue)
    for name, value in spec.levers.items():
        env |= LEVERS[name].variables[value]
    if own_store:
        env["OLLAMA_MODELS"] = str(_store())
    return env


def _store() -> Path:
    return models.cache_dir() / "ollama"


def _free_port() -> int:
    # Ollama cannot tell which port it took, so one is chosen for it; losing the race to another process is
    # noticed when it ends at once, saying "address already in use"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait(name: str, started: Started, client: httpx.AsyncClient) -> str:
    """Return the version as soon as the server answers."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    while loop.time() < deadline:
        if started.process.poll() is not None:
            raise ServerFailure(
                f"{name}: ollama serve ended at once; its last output:\n{last_lines(log_text(started))}"
            )
        try:
            response = await client.get("/api/version", timeout=2)
            return str(response.json()["version"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            await asyncio.sleep(0.05)
    raise ServerFailure(
        f"{name}: ollama serve did not answer within {units.seconds(START_S)}; "
        f"its last output:\n{last_lines(log_text(started))}"
    )


async def _create(
    name: str, spec: OllamaServer, asked: str, threads: int, gguf: Path, client: httpx.AsyncClient, say: Say
) -> str:
    """Create a model from a GGUF file in the store of our own; what could vary by itself is baked in."""
    tag = f"c{spec.context_tokens}-b{spec.batch_tokens}-t{threads}"
    stem = re.sub(r"[^a-z0-9._-]+", "-", models.model_name(asked).lower()).strip("-.")
    model = f"{CREATE_PREFIX}{stem}:{tag}"
    store = _store()
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".slotwise-lock").open("w") as lock:  # two servers may share the store
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        digest = await asyncio.to_thread(_sha256, gguf)
        blob = f"sha256:{digest}"
        try:
            if (await client.head(f"/api/blobs/{blob}")).status_code != 200:
                say(f"{name}: copying {gguf.name} into Ollama's format")
                _check(name, await client.post(f"/api/blobs/{blob}", content=_blocks(gguf)))
            parameters = {
                "num_ctx": spec.context_tokens,
                "num_batch": spec.batch_tokens,
                "num_thread": threads,
            }
            body = {"model": model, "files": {gguf.name: blob}, "parameters": parameters, "stream": False}
            _check(name, await client.post("/api/create", json=body))
        except httpx.HTTPError as error:
            raise ServerFailure(f"{name}: ollama failed while creating {model}: {error}") from None
    return model


def _check(name: str, response: httpx.Response) -> None:
    if response.status_code not in (200, 201):
        raise ServerFailure(f"{name}: ollama refused the model ({response.status_code}: {error_text(response)})")


async def _blocks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _preload(name: str, started: Started, model: str, client: httpx.AsyncClient, *, embeds: bool) -> None:
    try:
        # Nothing to embed, or to answer, is how Ollama is asked to load a model.
        path, body = ("/api/embed", {"model": model, "input": ""}) if embeds else ("/api/generate", {"model": model})
        response = await client.post(path, json=body)
    except httpx.HTTPError as error:
        raise ServerFailure(f"{name}: ollama failed while loading {model}: {error or type(error).__name__}") from None
    if response.status_code != 200:
        said = last_lines(log_text(started))
        raise ServerFailure(
            f"{name}: ollama could not load {model} ({response.status_code}: {error_text(response)}); "
            f"its last output:\n{said}"
        )


class Log(NamedTuple):
    """What `ollama serve` wrote about the engine it started; None where it did not."""

    slots: int | None
    batch_tokens: int | None
    threads: int | None
    warning: str  # e.g. an architecture that is held to one slot
    levers: Mapping[str, str] = {}  # as the engine has them, of those that it tells


def read_log(text: str) -> Log:
    """Read the effective settings from the server's log: the last engine it started is the one that runs."""
    at = text.rfind('msg="starting llama-server"')
    engine = text[at:] if at >= 0 else ""

    def number(*patterns: str) -> int | None:
        for pattern in patterns:
            found = re.search(pattern, engine)
            if found:
                return int(found[1])
        return None

    slots = number(r"\bn_slots = (\d+)", r" -np (\d+)")
    batch_tokens = number(r" -b (\d+)")
    threads = number(r"\bsystem_info: n_threads = (\d+)", r" -t (\d+)")
    warning = re.search(r'msg="(model architecture does not currently support parallel requests)"(.*)', text)
    said = f"{warning[1]}{warning[2]}".strip()[:300] if warning else ""
    seen = {name: lever.seen(engine) for name, lever in LEVERS.items()}
    return Log(slots, batch_tokens, threads, said, {name: value for name, value in seen.items() if value is not None})


def levers_found(name: str, asked: Mapping[str, str], logged: Mapping[str, str], version: str) -> dict[str, str]:
    """Return what is recorded of a server's levers: as its log tells them, else as they were asked for.

    Recorded is also what nobody asked for and is not as usual: it came with the environment.

    Raises:
        ServerFailure: the log tells another value than was asked for: what is measured would have the wrong name.
    """
    found = {}
    for lever, value in asked.items():
        variables = " ".join(f"{key}={setting}" for key, setting in LEVERS[lever].variables[value].items())
        if logged.get(lever, value) != value:
            raise ServerFailure(
                f"{name}: {lever} is {logged[lever]} by the log of Ollama {version}, though it was started with "
                f"{variables}. It takes Ollama {LEVERS[lever].since} or newer, and a model that can do it; leave the "
                "lever out, or update Ollama"
            )
        found[lever] = value
        found[f"{lever}_known_from"] = "its log" if lever in logged else "the request"
    for lever, value in logged.items():
        known = LEVERS[lever]
        if lever not in asked and known.usual in known.values and value in known.values and value != known.usual:
            found |= {lever: value, f"{lever}_known_from": "its log"}
    return found
