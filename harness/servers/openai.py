"""The kind `openai`: a running server that speaks OpenAI's API, behind our front (`openai_engine.py`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from harness import units
from harness.servers.fronts import child, our_server
from harness.servers.ollama_api import LOAD_S, load
from harness.servers.openai_api import look, slots_working, way_to
from harness.servers.spec import Around, Launched
from harness.workload.schema import OpenAiServer

__all__ = ["launch"]

LEAST_PATIENCE_S = 30.0


@asynccontextmanager
async def launch(name: str, spec: OpenAiServer, around: Around) -> AsyncIterator[Launched]:
    """Ask the server what it is, put a front before it in a process of its own, and make one call."""
    way = way_to(name, spec.url, spec.api_key_env)
    found = await look(name, way, spec.model)
    context_tokens = spec.known_context if spec.known_context is not None else found.context_tokens
    config = {
        "model_name": spec.model,
        "url": way.url,
        "key_variable": way.key_variable,
        "version": found.version,
        "context_tokens": context_tokens,
        "template": found.template,
        "dialect": found.dialect,
        "sees_images": found.sees_images is not False,
    }
    limit_s = LOAD_S if around.patience_s is None else min(LOAD_S, max(around.patience_s, LEAST_PATIENCE_S))
    limit = units.seconds(limit_s)
    around.say(f"{name}: {way.shown} speaks OpenAI's API ({found.version}): asking for {spec.model}, up to {limit}")
    async with child(name, "openai", config, access=around.access, port=around.port) as ready:
        details: dict[str, str | int | float] = {"upstream": way.shown}
        if context_tokens is not None:
            details["context_tokens"] = context_tokens
        if found.slots is not None:
            details["slots_told"] = found.slots
        ours = our_server(name, spec.kind, spec.slots, ready, details, emulated=False)
        server = ours._replace(
            slots_asked=spec.slots if "slots" in spec.model_fields_set else found.slots,
            managed=False,
            exact_queue=False,
            can_pin_output=found.dialect != "openai",
            tells_times=found.dialect == "llama-server",
        )
        working = partial(slots_working, way) if found.dialect == "llama-server" else None
        yield Launched(await load(server, limit_s), around.connect, working=working)
