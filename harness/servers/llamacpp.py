"""The kind `llamacpp`: the embedded engine (`llamacpp_engine.py`) behind our front, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.core.levers import is_file, kv_share
from harness.servers import models
from harness.servers.fronts import child, our_server
from harness.servers.gguf import read_gguf
from harness.servers.machine import threads_for
from harness.servers.ollama_api import load
from harness.servers.spec import Around, Launched
from harness.units import count, size
from harness.workload.schema import LlamaCppServer

__all__ = ["launch"]


@asynccontextmanager
async def launch(name: str, spec: LlamaCppServer, around: Around) -> AsyncIterator[Launched]:
    """Fetch the model, start its process and load it."""
    say, threads = around.say, threads_for(spec.threads)
    path = await models.ensure_async(spec.model, say=say, progress=around.progress)
    gguf, levers = read_gguf(path), dict(spec.levers)
    if is_file(draft := levers.get("speculation", "")):
        levers["speculation"] = str((await models.ensure_async(draft, say=say)).resolve())
    config = {
        "model_name": models.model_name(spec.model),
        "model_path": str(path.resolve()),
        "slots": spec.slots,
        "context_tokens": spec.context_tokens,
        "batch_tokens": spec.batch_tokens,
        "threads": threads,
        "levers": levers,
    }
    say(
        f"{name}: loading {config['model_name']} ({size(gguf.file_bytes)}), "
        f"{count(spec.slots, 'slot')} of {spec.context_tokens} tokens, {count(threads, 'thread')}"
    )
    async with child(name, "llamacpp", config, access=around.access, port=around.port) as ready:
        details: dict[str, str | int | float] = {
            "threads": threads,
            "batch_tokens": spec.batch_tokens,
            "kv_bytes_per_token": round(gguf.kv_bytes_per_token * kv_share(spec.levers)),
        }
        for key in ("context_tokens", "model_bytes", "size_bytes", "size_vram_bytes", "quantization", "digest"):
            details[key] = ready[key]
        details |= spec.levers
        server = our_server(name, spec.kind, spec.slots, ready, details, emulated=False)
        yield Launched(await load(server._replace(embedded=True)), around.connect)
