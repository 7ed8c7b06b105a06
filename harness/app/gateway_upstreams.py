"""The servers behind a gateway, before it starts: what each of them speaks. One of OpenAI's API gets our front."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import NamedTuple

from harness.app.options import GatewayOptions
from harness.errors import ServerFailure, UserError
from harness.gateway.upstream import Headers, HttpUpstream, UpstreamError
from harness.measure.progress import Progress
from harness.servers.launch import launched
from harness.servers.openai_api import models_of, way_to
from harness.units import safe_url
from harness.workload.schema import OpenAiServer

__all__ = ["Reached", "reach", "variable"]

ANSWER_S = 10.0


class Reached(NamedTuple):
    """A server that answers."""

    shown: str  # its URL, without credentials
    url: str  # where it, or our front before it, speaks Ollama's API
    needs_key: bool
    upstream: HttpUpstream


async def reach(url: str, options: GatewayOptions, via: Headers, progress: Progress, stack: AsyncExitStack) -> Reached:
    """Ask a server what it is. One that speaks OpenAI's API gets our front, which ends with `stack`.

    Raises:
        UserError: it is this gateway itself, the variable of the key is not set, or its model has to be chosen.
        ServerFailure: it does not answer, or speaks neither.
    """
    shown, name = safe_url(url), options.upstream_key_env
    key = "" if name is None else variable("--upstream-key-env", name)
    upstream = HttpUpstream(url, key)
    status = await _status(upstream, via)
    if status == 508:
        raise UserError(f"--upstream {shown}: that is this gateway itself, perhaps through another; name a server")
    if status == 200:
        return Reached(shown, url, bool(key), upstream)
    upstream.close()
    way = way_to(f"--upstream {shown}", url, name)
    async with way.client(ANSWER_S) as client:
        models = await models_of(client, way)
    if not models:
        raise ServerFailure(
            f"--upstream: {shown} does not answer as Ollama does ({status} to /api/version), and lists no models as "
            "OpenAI's API does; such a URL usually ends in /v1"
        )
    if options.model is None and len(models) > 1:
        listed = ", ".join(models[:12])
        raise UserError(
            f"--upstream {shown} speaks OpenAI's API and has several models ({listed}); name one by --model"
        )
    spec = OpenAiServer(kind="openai", url=url, model=options.model or models[0], api_key_env=name)
    front = (await stack.enter_async_context(launched(shown, spec, say=progress.say))).server
    return Reached(shown, front.url, False, HttpUpstream(front.url, shown=shown))


async def _status(upstream: HttpUpstream, via: Headers) -> int:
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await upstream.send("GET", "/api/version", via)
            await answer.close()
    except UpstreamError as error:
        raise ServerFailure(f"--upstream: {error}; start the server, or correct the URL") from None
    except TimeoutError:
        raise ServerFailure(f"--upstream: {upstream.url} did not answer within {ANSWER_S:g} s") from None
    return answer.status


def variable(flag: str, name: str) -> str:
    """Return the key in an environment variable; UserError where there is none."""
    key = os.environ.get(name, "").strip()
    if not key or not key.isprintable():
        raise UserError(f"{flag}: expected the name of an environment variable that has the key")
    return key
