"""A candidate on the servers that a test asks for: for tests of settings that are copied from a report."""

from __future__ import annotations

from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.model import CandidateSummary, ServerUse

ONE = ServerUse("four-slot", "ollama", 4, 2048, 512, "window", "fifo", 4)


def candidate(*uses: ServerUse) -> CandidateSummary:
    """A digest on the last of the servers and a chat on the first."""
    found = analyse(scenario({"split": steady(3)}, {"split": steady(1)})).candidates[0]
    digest, chat = (found.pipelines[0], found.pipelines[1])
    placed = (digest._replace(server=uses[-1].server), chat._replace(server=uses[0].server))
    return found._replace(name="it", servers=uses, pipelines=placed)
