"""Who goes first, as code to copy: a limit with a queue of its own, and the key of a call in it for each order.

The keys are those of `harness.core.scheduling`, on the loop's clock. Only the key of `least-served-first` is less
exact: it is that of the instant at which the call begins to wait, and not put right while it waits.
"""

from __future__ import annotations

__all__ = ["ORDERED", "TURNS", "key_lines"]

AGEING_S = 30  # of every lane that a recommendation makes; a workload may set another

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
_KEYS = {  # parameters, docstring, value
    "interactive-first": (
        "interactive",
        f"Interactive calls overtake waiting batch calls, unless one of those has waited {AGEING_S} s longer.",
        f"{_NOW} - ({AGEING_S} if interactive else 0)",
    ),
    "oldest-job-first": (
        "job_began_s",
        "Calls of the job that began first go first; give each the loop's time at which its job began.",
        "job_began_s",
    ),
    "least-served-first": (
        "job_served_s",
        "Calls of the job that has been served least go first; give each the seconds of its job's ended calls.",
        f"{_NOW} + job_served_s",
    ),
    "shortest-first": (
        "tokens, longest",
        f"Calls that are to write least go first; one of no tokens is {AGEING_S} s before the longest of all.",
        f"{_NOW} + {AGEING_S} * tokens / longest",
    ),
    "critical-path-first": (
        "tokens_ahead, longest",
        f"Calls with most tokens to the end of their job go first; the longest path of all is worth {AGEING_S} s.",
        f"{_NOW} - {AGEING_S} * tokens_ahead / longest",
    ),
}
ORDERED = frozenset(_KEYS)  # the orders that a semaphore, first come, first served, is not


def key_lines(scheduling: str, identifier: str) -> list[str]:
    """Return the function that makes the key of a call under one of `ORDERED`."""
    parameters, about, value = _KEYS[scheduling]
    return [f"def key_{identifier}({parameters}):", f'    """{about}"""', f"    return {value}"]
