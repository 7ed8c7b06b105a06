"""Which servers answer: one that does not is asked again, ever more rarely, until it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from harness.drivers.gateway import Gate
from harness.gateway.upstream import Headers, Upstream, UpstreamError

__all__ = ["Health"]

FIRST_S = 0.5  # until a server that is gone is asked again; then twice that, and so on
MOST_S = 30.0
ANSWER_S = 5.0


class Health:
    """Watches over the servers behind a gate.

    Args:
        gate: is told which can be reached.
        upstreams: in the order of the plan's queues.
        via: headers that every request of this gateway has.
        say: is told of each that goes, and comes back.
    """

    def __init__(self, gate: Gate, upstreams: Sequence[Upstream], via: Headers, say: Callable[[str], None]) -> None:
        self._gate, self._upstreams, self._via, self._say = gate, upstreams, via, say
        self._asking: dict[int, asyncio.Task[None]] = {}

    def up(self) -> list[int]:
        """Return those that can be reached, as far as is known."""
        return [number for number in range(len(self._upstreams)) if number not in self._asking]

    async def failed(self, number: int, error: UpstreamError) -> None:
        """Take note that a request to a server failed: was that the server, or this request alone?"""
        if number in self._asking or (not error.refused and await self._answers(number)):
            return
        if number not in self._asking:
            self._gate.reach(number, up=False)
            self._say(f"{self._upstreams[number].url} does not answer: it gets no calls until it does")
            self._asking[number] = asyncio.create_task(self._until_back(number))

    def close(self) -> None:
        """Stop asking the servers."""
        for task in self._asking.values():
            task.cancel()

    async def _until_back(self, number: int) -> None:
        wait_s = FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            if await self._answers(number):
                break
            wait_s = min(2 * wait_s, MOST_S)
        del self._asking[number]
        self._gate.reach(number, up=True)
        self._say(f"{self._upstreams[number].url} answers again")

    async def _answers(self, number: int) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._upstreams[number].send("GET", "/api/version", self._via)
                await answer.close()
        except (UpstreamError, TimeoutError):
            return False
        return answer.status < 500
