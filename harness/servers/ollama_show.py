"""What an Ollama server tells of one model: the answer of `/api/show`, and the size of its file. Nothing is loaded."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import httpx

from harness import units
from harness.bounded import asking
from harness.errors import ServerFailure
from harness.servers.ollama_api import ASK_S, ask, error_text, find, normal_url

__all__ = ["MOST_BYTES", "Shown", "show_model"]

MOST_BYTES = 16 << 20  # of an answer: it has the model's licence and its whole template in it


class Shown(NamedTuple):
    """An answer of `/api/show` as it came, and the bytes of the model's file; None: not told."""

    answer: dict[str, Any]
    file_bytes: int | None


async def show_model(url: str, model: str, transport: httpx.AsyncBaseTransport | None = None) -> Shown:
    """Ask a running server what a model is.

    Args:
        url: of the server.
        model: as the server names it.
        transport: for tests.

    Raises:
        UserError: that is no URL, or the server has no such model.
        ServerFailure: it does not answer, not as Ollama does, or without end.
    """
    base = normal_url("--model-from", url)
    shown = units.safe_url(base)
    async with asking(base, ASK_S, transport) as client:
        tags = await ask("--model-from", base, client, "/api/tags")
        name = find("--model-from", shown, model, tags)
        data = bytearray()
        try:
            async with client.stream("POST", "/api/show", json={"model": name}) as response:
                async for piece in response.aiter_bytes():
                    data += piece
                    if len(data) > MOST_BYTES:
                        raise ServerFailure(f"--model-from: {shown}/api/show answers more than {MOST_BYTES >> 20} MB")
        except httpx.HTTPError as error:
            raise ServerFailure(f"--model-from: {shown}/api/show does not answer ({error})") from None
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if response.status_code != 200 or not isinstance(answer, dict):
            said = httpx.Response(response.status_code, content=bytes(data[:10_000]))
            raise ServerFailure(
                f"--model-from: {shown}/api/show does not answer as Ollama does ({said.status_code}: "
                f"{error_text(said)})"
            )
    entries = [one for one in tags.get("models") or [] if isinstance(one, dict)]
    sizes = [one.get("size") for one in entries if one.get("name") in (name, f"{name}:latest")]
    size = next((one for one in sizes if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)
    return Shown(answer, size)
