"""A running server by its URL: which API it speaks, and which model it has."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from harness import units
from harness.bounded import asking
from harness.errors import UserError
from harness.servers.ollama_api import ASK_S, normal_url, only_model
from harness.servers.openai_api import Way, models_of
from harness.workload.schema import OllamaServer, OpenAiServer, ServerSpec

__all__ = ["openai_at", "server_at"]

MODELS_SHOWN = 12


async def openai_at(url: str) -> tuple[str, tuple[str, ...]] | None:
    """Return where the OpenAI API of a server is, and its models; None where it speaks Ollama's API, or neither."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        return None  # its launcher says what is wrong
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        return None
    bare = url.rstrip("/")
    async with asking("", ASK_S) as client:
        if not bare.endswith("/v1"):
            try:
                told = (await client.get(f"{normal_url('URL', bare)}/api/version")).json()
                if isinstance(told, dict) and "version" in told:
                    return None
            except (httpx.HTTPError, ValueError, UserError):
                pass
        base = bare if bare.endswith("/v1") else f"{bare}/v1"
        models = await models_of(client, Way(base, None))
    return (base, models) if models else None


async def server_at(url: str, model: str | None) -> ServerSpec:
    """Return the server at a URL, as a workload would describe it; without `model` the only one that it has.

    Raises:
        UserError: it has several models, or none: the message lists them.
        ServerFailure: it does not answer.
    """
    found = await openai_at(url)
    if found is None:
        return OllamaServer(kind="ollama", model=model or await only_model(url), url=url)
    base, models = found
    if model is None and len(models) > 1:
        listed = ", ".join(sorted(models)[:MODELS_SHOWN]) + (", ..." if len(models) > MODELS_SHOWN else "")
        raise UserError(f"{units.safe_url(base)} has {len(models)} models: {listed}. Choose one with --model")
    return OpenAiServer(kind="openai", model=model or models[0], url=base)
