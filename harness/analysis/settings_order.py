"""Who goes first, as code to copy: a limit with a queue of its own, and the key of a call in it.

The keys are those of `harness.core.scheduling`, on the loop's clock. Only the key of `least-served-first` is less
exact: it is that of the instant at which the call begins to wait, and not put right while it waits.
"""

from __future__ import annotations

from harness.core.scheduling import KeyCode

__all__ = ["TURNS", "key_lines"]

TURNS = (
    "class Turns:",
    '    """So many at once; of those that wait, the lowest key goes first, then who came first."""',
    "",
    "    def __init__(self, most):",
    "        self.free, self.waiting, self.number = most, [], itertools.count()",
    "",
    "    @contextlib.asynccontextmanager",
    "    async def at(self, key):",
    "        if self.free:",
    "            self.free -= 1",
    "        else:",
    "            turn = asyncio.get_running_loop().create_future()",
    "            heapq.heappush(self.waiting, (key, next(self.number), turn))",
    "            try:",
    "                await turn",
    "            except asyncio.CancelledError:",
    "                if turn.done() and not turn.cancelled():  # given a turn and cancelled at the same instant",
    "                    self.next()",
    "                raise",
    "        try:",
    "            yield",
    "        finally:",
    "            self.next()",
    "",
    "    def next(self):",
    "        while self.waiting:",
    "            turn = heapq.heappop(self.waiting)[-1]",
    "            if not turn.done():",
    "                turn.set_result(None)",
    "                return",
    "        self.free += 1",
)

_NOW = "asyncio.get_running_loop().time()"


def key_lines(key: KeyCode, identifier: str) -> list[str]:
    """Return the function that makes the key of a call."""
    return [
        f"def key_{identifier}({key.parameters}):",
        f'    """{key.about}"""',
        f"    return {key.value.replace('NOW', _NOW)}",
    ]
