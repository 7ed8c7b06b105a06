"""An event loop whose timers do not wait for the next full millisecond.

epoll takes its timeout in milliseconds and asyncio rounds up, so every timer is late by half a millisecond and more,
which is a good part of a fast engine's step. `select` takes microseconds, and the descriptor of an epoll (or a kqueue)
can be waited for with it.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from typing import Any

__all__ = ["fine_loop"]


class _FineSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        number: Any = getattr(self, "fileno", None)  # a selector that is no descriptor is as fine as it is
        if timeout is not None and timeout > 0 and number is not None:
            select.select([number()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def fine_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop."""
    return asyncio.SelectorEventLoop(_FineSelector())
