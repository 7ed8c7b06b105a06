"""A web server within a command, which handles signals itself and says nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import nullcontext

import uvicorn
from starlette.types import ASGIApp

__all__ = ["answering", "quiet_server", "serve_quietly"]


def quiet_server(app: ASGIApp, grace_s: float) -> uvicorn.Server:
    """Return a server that logs nothing and, when told to end, waits `grace_s` for requests in flight."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            loop="asyncio",
            http="httptools",
            server_header=False,
            date_header=False,
            timeout_keep_alive=300,
            timeout_graceful_shutdown=int(grace_s),
        )
    )


async def serve_quietly(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until the server is told to end; signals are the caller's, as the server's own would end the process."""
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    await server.serve(sockets=[listener])


async def answering(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Wait until a server answers; where it ends before that, raise what ended it."""
    while not server.started:  # it says so to nobody
        if serving.done():
            serving.result()
        await asyncio.sleep(0.001)
