"""What a model takes: by the header of its file, else as its server tells it (`/api/show`, `/api/tags`, `/api/ps`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.sweep import Footprint
from harness.core.levers import kv_share
from harness.profiles.schema import MemoryUse
from harness.servers.gguf import kv_bytes_per_token, read_gguf
from harness.servers.models import BUILTIN, fetched
from harness.workload.schema import ServerSpec

if TYPE_CHECKING:
    from harness.servers.spec import RunningServer

__all__ = ["footprint_in", "footprint_of_file", "memory_use", "model_file", "told_footprint", "with_footprint"]

ASK_S = 30.0


def model_file(spec: ServerSpec) -> Path | None:
    """Return the file of a server's model, where that is one and lies here."""
    if spec.simulated:
        return None
    if spec.model in BUILTIN:
        return fetched(spec.model)
    path = Path(spec.model).expanduser()
    return path if path.suffix.lower() == ".gguf" and path.is_file() else None


def footprint_of_file(path: Path, levers: Mapping[str, object] | None = None) -> Footprint:
    """Read the header of a GGUF file.

    Args:
        path: of the file.
        levers: of the server; those that it does not name are as usual.

    Raises:
        UserError: it is none, or it cannot be read.
    """
    gguf = read_gguf(path)
    return footprint_in(gguf.metadata, gguf.file_bytes, levers)


def footprint_in(
    info: Mapping[str, Any], file_bytes: int | None, levers: Mapping[str, object] | None = None
) -> Footprint:
    """Read what a model takes from its metadata, of a header or of `/api/show`."""
    architecture = str(info.get("general.architecture", ""))
    heads = f"{architecture}.attention.head_count_kv"
    hidden = heads in info and info[heads] is None  # an array that the server leaves out: a head count for each layer
    trained = info.get(f"{architecture}.context_length")
    kv_bytes = 0 if hidden else round(kv_bytes_per_token(info, architecture) * kv_share(levers or {}))
    return Footprint(
        file_bytes,
        kv_bytes or None,
        trained if isinstance(trained, int) and trained > 0 else None,
        slides=bool(info.get(f"{architecture}.attention.sliding_window")),
    )


async def told_footprint(server: RunningServer) -> Footprint | None:
    """Ask a server for the header of its model (`/api/show`) and the size of its file (`/api/tags`)."""
    import httpx  # late: a search reads the headers of files alone

    from harness.bounded import asking

    try:
        async with asking(server.url, ASK_S) as client:
            info = (await client.post("/api/show", json={"model": server.model})).json()["model_info"]
            tags = (await client.get("/api/tags")).json()["models"]
        known = (server.model, f"{server.model}:latest")
        sizes = [entry["size"] for entry in tags if entry.get("name") in known and isinstance(entry.get("size"), int)]
        return footprint_in(info, sizes[0] if sizes else None, server.details)
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return None  # memory is then not predicted, and the answer says so


async def with_footprint(server: RunningServer, spec: ServerSpec) -> RunningServer:
    """Return a server that is up with bytes of its weights and of a token among its details, where they are known.

    The header of a file is asked first, where the server was started here with one.
    """
    details = dict(server.details)
    if {"model_bytes", "kv_bytes_per_token"} <= set(details):
        return server
    path = None if spec.running else model_file(spec)
    found = await told_footprint(server) if path is None else footprint_of_file(path, details)
    if found is not None:
        told = {"model_bytes": found.weights_bytes, "kv_bytes_per_token": found.kv_bytes_per_token}
        details |= {key: value for key, value in told.items() if value}
    return server._replace(details=details)


def memory_use(server: RunningServer, slots: int) -> MemoryUse:
    """Return what a server takes, as a profile keeps it.

    The model's bytes are those of its file; where nobody tells them, what the server says that it takes (`/api/ps`)
    less the cache of all slots, and then its buffers are among them.
    """
    model_bytes, per_token, context, size = (
        None if (value := server.details.get(key)) is None else int(value)
        for key in ("model_bytes", "kv_bytes_per_token", "context_tokens", "size_bytes")
    )
    slot_bytes = None if per_token is None or context is None else per_token * context
    if model_bytes is None and size is not None and slot_bytes is not None and size > slots * slot_bytes:
        model_bytes = size - slots * slot_bytes
    known: dict[str, Any] = {"model_bytes": model_bytes, "slot_bytes": slot_bytes, "context_tokens": context}
    if "kv_type" in server.details:
        known["kv_type"] = server.details["kv_type"]
    return MemoryUse(**known)
