"""Serve a model with N slots to any Ollama client, in the foreground: the embedded engine, or a simulation."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import httpx
from pydantic import ValidationError

from harness.app.options import ServeOptions
from harness.bounded import asking
from harness.errors import ServerFailure, UserError
from harness.measure.progress import SILENT, Progress
from harness.servers.access import Access
from harness.servers.launch import launched
from harness.servers.spec import RunningServer
from harness.workload.schema import LlamaCppServer, ServerSpec, SimulatedServer

__all__ = ["RunningServer", "serve"]

EMBEDDED = ("model", "batch_tokens", "threads")
SIMULATED = ("speed_up", "assume", "extrapolate", "faults", "fault_seed", "fault_delay_s")


def serve(
    options: ServeOptions, up: Callable[[RunningServer], None] = lambda server: None, progress: Progress = SILENT
) -> bool:
    """Serve until a signal ends it (Ctrl-C or a polite kill).

    Args:
        options: what is served, and where.
        up: is told of the server once it answers.
        progress: is told what goes on until then.

    Returns:
        Whether the server was up: False where the signal came while it was starting.

    Raises:
        UserError: options that do not go together, no such model or profile, or a port that is taken.
        ServerFailure: the server could not be started, or has stopped.
    """
    try:
        asyncio.run(_until_told(_spec(options), options, up, progress))
    except asyncio.CancelledError:
        return False
    return True


async def _until_told(
    spec: ServerSpec, options: ServeOptions, up: Callable[[RunningServer], None], progress: Progress
) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    # from the first moment: a Ctrl-C while the model loads ends it as cleanly as one later
    starting = asyncio.current_task()
    assert starting is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, starting.cancel)
    access = Access.given(options.host, options.allow_hosts, options.allow_origins)
    async with launched(
        "serve", spec, say=progress.say, progress=progress.download, access=access, port=options.port
    ) as found:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
        up(found.server)
        await _ended(told, found.server.url)


def _spec(options: ServeOptions) -> ServerSpec:
    """Return the server asked for; UserError for options of the other kind, or values that make no sense."""
    simulated = options.profile is not None
    for name in EMBEDDED if simulated else SIMULATED:
        if getattr(options, name) is not None:
            flag = f"--{'fault' if name == 'faults' else name}".replace("_", "-")
            kind = "the embedded engine" if simulated else "a simulated server (--profile)"
            raise UserError(f"{flag} goes with {kind}; leave it out")
    names = ("slots", "context_tokens", *(("profile", *SIMULATED) if simulated else EMBEDDED))
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    try:
        if simulated:
            return SimulatedServer.model_validate({"kind": "simulated", **given})
        return LlamaCppServer.model_validate({"kind": "llamacpp", **given})
    except ValidationError as error:
        (detail, *_) = error.errors(include_url=False)
        where = ".".join(str(step) for step in detail["loc"])
        raise UserError(f"{where}: {detail['msg']}" if where else detail["msg"]) from None


async def _ended(told: asyncio.Event, url: str) -> None:
    """Wait for the signal; a server that dies by itself is a failure, not an end."""
    async with asking(url, 30) as client:
        while True:
            try:
                async with asyncio.timeout(5):
                    await told.wait()
                return
            except TimeoutError:
                pass
            try:
                await client.get("/api/version")
            except httpx.TimeoutException:
                continue  # the machine is busy; only a refused connection means that it is gone
            except httpx.TransportError:
                raise ServerFailure(f"serve: the server at {url} has stopped") from None
