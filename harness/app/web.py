"""A web server within a command, which handles signals itself."""

from __future__ import annotations

import socket
from contextlib import nullcontext

import uvicorn

__all__ = ["serve_quietly"]


async def serve_quietly(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until the server is told to end; signals are the caller's, as the server's own would end the process."""
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    await server.serve(sockets=[listener])
