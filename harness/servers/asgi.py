"""What every ASGI app of ours needs: the whole body of a request, and to hear when its client hangs up."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

__all__ = ["BODY_BYTES_MAX", "Caller", "TooLarge", "read_body"]

BODY_BYTES_MAX = 64 * 1024 * 1024


class TooLarge(Exception):
    """A body of more bytes than are taken; the message says how many that is."""


class Caller:
    """The other end: when it hangs up, the call is cancelled wherever it is."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._task = asyncio.current_task()
        self._watch = asyncio.create_task(self._wait(receive))

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def expected(self) -> None:
        """Stop watching: servers also say "disconnect" when a response is complete."""
        self._watch.cancel()

    def forgive(self) -> None:
        """Take the cancellation back: it has done its work."""
        if self._task is not None:
            self._task.uncancel()

    leave = expected


async def read_body(receive: Receive) -> bytes | None:
    """Return the body, or None when the client is gone; TooLarge beyond 64 MiB."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise TooLarge(f"request body too large: more than {BODY_BYTES_MAX} bytes")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
