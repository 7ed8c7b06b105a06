"""Count the slots of a running server, and ask it what may explain them."""

from __future__ import annotations

import asyncio
import time

import httpx

from harness.analysis.slots_asked import SlotsFound, why_fewer
from harness.bounded import asking
from harness.errors import ServerFailure, UserError
from harness.measure.probe import find_slots
from harness.measure.progress import SILENT
from harness.measure.session import opened
from harness.servers.ollama_api import ASK_S, models_at, normal_url
from harness.workload.schema import OllamaServer

__all__ = ["count_slots"]


async def count_slots(
    url: str, asked: int, preferred: tuple[str, ...], model: str | None, deadline_s: float
) -> SlotsFound:
    """Return the slots of the server at `url`, which may need until `deadline_s` (monotonic) to answer.

    Raises:
        UserError: the model has to be chosen.
        ServerFailure: it does not answer.
    """
    while True:
        try:
            have = await models_at(url)
            break
        except ServerFailure:
            if time.monotonic() >= deadline_s:
                raise
            await asyncio.sleep(0.2)
    called = model or _which(url, have, preferred)
    async with opened("applied", OllamaServer(kind="ollama", model=called, url=url), SILENT) as endpoint:
        found = await find_slots(endpoint._replace(server=endpoint.server._replace(slots_asked=asked)))
    family, can = await _shown(url, called)
    why = why_fewer(asked, found.number, family, can)
    return SlotsFound(url, called, asked, found.number, found.at_least, why, family)


def _which(url: str, have: list[str], preferred: tuple[str, ...]) -> str:
    if len(have) == 1:
        return have[0]
    for name in preferred:
        if name in have or f"{name}:latest" in have:
            return name
    if not have:
        raise UserError(f"not probed: {url} has no models; fetch one with: ollama pull NAME")
    raise UserError(f"not probed: {url} has {len(have)} models; choose one with --model NAME")


async def _shown(url: str, model: str) -> tuple[str, tuple[str, ...] | None]:
    """Return the family of a model and what it can do, as far as the server says."""
    async with asking(normal_url("URL", url), ASK_S) as client:
        try:
            told = (await client.post("/api/show", json={"model": model})).json()
            info, can = told.get("model_info") or {}, told.get("capabilities")
            family = info.get("general.architecture") or (told.get("details") or {}).get("family") or ""
        except (httpx.HTTPError, ValueError, AttributeError):
            return "", None
    return str(family), tuple(map(str, can)) if isinstance(can, list) else None
