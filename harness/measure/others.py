"""Notice that others use a server: before anything is measured there, and while a run goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.analysis.others import waits_for_others
from harness.core.records import CallRecord
from harness.measure.progress import Progress
from harness.runs.model import Baseline, ServerFacts
from harness.wording.others import others_noticed

__all__ = ["Watch", "waits_alone"]


def waits_alone(calls: Sequence[CallRecord]) -> tuple[float, ...]:
    """Return how long calls waited for others that were sent one by one to a warm server; only those that waited.

    The least that one of them took besides its tokens is what a request costs.
    """
    least_s = min((call.residual_s for call in calls if call.residual_s is not None), default=0.0)
    load_s = min((call.reply.load_s or 0.0 for call in calls), default=0.0)
    baseline = Baseline(least_s, load_s, len(calls))
    return tuple(waited.others_s for waited in waits_for_others(calls, 1, baseline))


class Watch:
    """Says once, as soon as a trial has ended, that others were noticed in it.

    Args:
        servers: names of those that ran already; nobody else knows of the others.
        progress: is told.
    """

    def __init__(self, servers: Sequence[str], progress: Progress) -> None:
        self._servers = frozenset(servers)
        self._progress = progress
        self._calls: list[CallRecord] = []
        self._said = False

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
