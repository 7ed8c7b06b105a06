"""How long a server takes to load its model: unload it, ask for a token, read what the server says the load took."""

from __future__ import annotations

import asyncio
from statistics import median

import httpx

from harness.bounded import asking
from harness.core.records import ChatRequest, EmbedRequest
from harness.errors import ServerFailure
from harness.measure.sender import Endpoint, options_for
from harness.servers.spec import RunningServer
from harness.workload.schema import AgentSpec

__all__ = ["TIMES", "measure_embedding_load", "measure_load"]

TIMES = 3
UNLOADED_S = 30.0
LOOK_S = 0.05


async def measure_load(endpoint: Endpoint, times: int = TIMES) -> float:
    """Return the seconds that a load takes, the median of `times`; the model is loaded afterwards.

    The file is in the operating system's memory by then, as it is where models make room for each other.

    Raises:
        ServerFailure: the model stayed, or did not come back.
    """
    server = endpoint.server
    agent = AgentSpec(prompt="-", output_tokens=1)
    found = []
    for number in range(times):
        await _unload(server, server.model, "/api/generate")
        options = options_for(server, agent, seed=number)
        reply, _ = await endpoint.chat.ask(ChatRequest(None, f"[{number:06d}] Say yes.", options, stream=False))
        if reply.outcome != "ok" or not reply.load_s:
            raise ServerFailure(f"{server.name}: {server.model} was not loaded again: {reply.error or 'no load time'}")
        found.append(reply.load_s)
    return median(found)


async def measure_embedding_load(endpoint: Endpoint, model: str, times: int = TIMES) -> float:
    """Return the same of a model that embeds."""
    server, embedder = endpoint.server, endpoint.embedders[model]
    found = []
    for _ in range(times):
        await _unload(server, server.embeds[model], "/api/embed")
        reply = await embedder.embed(EmbedRequest(("yes",)))
        if reply.outcome != "ok" or not reply.load_s:
            raise ServerFailure(f"{server.name}: {model} was not loaded again: {reply.error or 'no load time'}")
        found.append(reply.load_s)
    return median(found)


async def _unload(server: RunningServer, model: str, path: str) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + UNLOADED_S
    async with asking(server.url, UNLOADED_S) as client:
        try:
            await client.post(path, json={"model": model, "keep_alive": 0})
            while loop.time() < deadline_s:
                loaded = (await client.get("/api/ps")).json()["models"]
                if not any(entry.get("name") in (model, f"{model}:latest") for entry in loaded):
                    return
                await asyncio.sleep(LOOK_S)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerFailure(f"{server.name}: {model} could not be unloaded: {error}") from None
    raise ServerFailure(f"{server.name}: {model} was not unloaded within {UNLOADED_S:g} s")
