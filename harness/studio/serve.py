"""Serve the workbench on this machine until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.app.design_token import kept_token
from harness.app.look import begun
from harness.app.web import answering, quiet_server, serve_quietly
from harness.servers.child import listen
from harness.studio.file import Opened
from harness.studio.web import Studio
from harness.studio.work import DesignPlace

__all__ = ["StudioOptions", "studio"]

GRACE_S = 1  # for requests in flight, when it ends


@dataclass(frozen=True, kw_only=True)
class StudioOptions:
    """Of `studio`."""

    file: Path | None = None  # the workload; left out: a small one to begin with, in no file
    profiles: tuple[str, ...] = ()  # of the machine, as `--profile` takes them
    port: int = 0  # to listen on; 0 takes a free one
    browser: bool = True  # open one, where there is one


def studio(options: StudioOptions, up: Callable[[str], None] = lambda url: None) -> None:
    """Serve until a signal ends it (Ctrl-C or a polite kill).

    Args:
        options: what is worked on, and where.
        up: is told of the address once it answers; the token is in it.

    Raises:
        WorkloadError: the file cannot be read. A new file need not be there.
        UserError: a port that is taken.
    """
    written = begun(options.file)
    started = Opened(DesignPlace(written.path, options.profiles), written.text, named=options.file is not None)
    asyncio.run(_until_told(started, options, up))


async def _until_told(started: Opened, options: StudioOptions, up: Callable[[str], None]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    token = kept_token(options.port) if options.port else secrets.token_urlsafe(24)
    app = Studio(started, token)
    with listen("127.0.0.1", options.port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}"
        server = quiet_server(app, GRACE_S)
        app.start()
        serving = asyncio.create_task(serve_quietly(server, listener))
        try:
            await answering(server, serving)
            up(url)
            if options.browser:
                await asyncio.to_thread(_open, url)
            signalled = asyncio.create_task(told.wait())
            await asyncio.wait({signalled, serving}, return_when=asyncio.FIRST_COMPLETED)
            signalled.cancel()
        finally:
            await app.stop()
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await serving


def _open(url: str) -> None:
    """Open a browser where there is a screen for one; else the address that was printed is enough."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return  # what is found there runs in the terminal, and holds it
    with suppress(webbrowser.Error):
        webbrowser.open(url)
