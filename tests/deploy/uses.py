"""A candidate on the servers that a test asks for: for tests of settings that are copied from a report."""

from __future__ import annotations

from typing import Any

from analysis.scenarios import scenario, steady
from core.graphs import queue_of

from harness.analysis.analyse import analyse
from harness.analysis.measures import policies_of
from harness.analysis.model import CandidateSummary, ServerUse

ONE = ServerUse("four-slot", "ollama", 4, 2048, 512, "window", "fifo", 4)


def used(
    use: ServerUse, concurrency: str = "window", scheduling: str = "fifo", limit: int | None = None, **changes: Any
) -> ServerUse:
    """A server used with these policies, and other changes; `limit` as a candidate sets it."""
    use = use._replace(**changes)
    return policies_of(use, queue_of(use.server, use.slots, concurrency, scheduling, limit=limit))


def candidate(*uses: ServerUse) -> CandidateSummary:
    """A digest on the last of the servers and a chat on the first."""
    found = analyse(scenario({"split": steady(3)}, {"split": steady(1)})).candidates[0]
    digest, chat = (found.pipelines[0], found.pipelines[1])
    placed = (digest._replace(servers=(uses[-1].server,)), chat._replace(servers=(uses[0].server,)))
    return found._replace(name="it", servers=uses, pipelines=placed)
