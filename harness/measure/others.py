"""Notice that others use a server: before anything is measured there, and while a run goes on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence

from harness.analysis.others import waits_for_others
from harness.core.records import CallRecord
from harness.measure.progress import Progress
from harness.measure.sender import Endpoint
from harness.runs.model import Baseline, Note, ServerFacts
from harness.wording.others import others_noticed, others_working

__all__ = ["Watch", "slots_of_others", "waits_alone"]

AGAIN_S = 0.2  # a slot is free a moment after the last piece of its answer has come


def waits_alone(calls: Sequence[CallRecord]) -> tuple[float, ...]:
    """Return how long calls waited for others that were sent one by one to a warm server; only those that waited.

    The least that one of them took besides its tokens is what a request costs.
    """
    least_s = min((call.residual_s for call in calls if call.residual_s is not None), default=0.0)
    load_s = min((call.reply.load_s or 0.0 for call in calls), default=0.0)
    baseline = Baseline(least_s, load_s, len(calls))
    return tuple(waited.others_s for waited in waits_for_others(calls, 1, baseline))


async def slots_of_others(endpoint: Endpoint) -> int:
    """Return how many slots work on a server while nothing of ours is there; 0 where it does not tell."""
    if endpoint.server.managed or endpoint.working is None:
        return 0
    if not (found := await endpoint.working()):
        return 0
    await asyncio.sleep(AGAIN_S)
    return min(found, await endpoint.working() or 0)


class Watch:
    """Says once that others were noticed, as soon as they are; keeps the trials that began while they were there.

    Args:
        servers: names of those that ran already; nobody else knows of the others.
        progress: is told.
    """

    def __init__(self, servers: Sequence[str], progress: Progress) -> None:
        self._servers = frozenset(servers)
        self._progress = progress
        self._calls: list[CallRecord] = []
        self._said = False
        self._working: dict[str, list[str]] = {}  # by server, the titles of trials

    async def began(self, title: str, endpoints: Iterable[Endpoint]) -> bool:
        """Tell whether one of the servers that say it works for others, before the first call of a trial."""
        noticed = False
        for endpoint in endpoints:
            if slots := await slots_of_others(endpoint):
                name = endpoint.server.name
                if not self._working:
                    self._progress.say(others_working(name, [title], slots))
                self._working.setdefault(name, []).append(title)
                noticed = True
        return noticed

    def notes(self) -> list[Note]:
        """Return what a report has to say of these trials."""
        return [Note("others working", others_working(name, titles)) for name, titles in self._working.items()]

    def keep(self, call: CallRecord) -> None:
        """Take a call of the trial under way."""
        if call.server in self._servers and not self._said:
            self._calls.append(call)

    def ended(self, title: str, servers: Iterable[ServerFacts]) -> None:
        """Look at the trial that has ended, with what is known of the servers by then, and forget it."""
        for facts in servers:
            name = facts.name
            mine = [call for call in self._calls if call.server == name]
            waited = waits_for_others(mine, facts.slots_found, facts.baseline)
            if waited and not self._said:
                self._said = True
                others_s = math.fsum(one.others_s for one in waited)
                self._progress.say(others_noticed(title, name, len(waited), others_s))
        self._calls.clear()
