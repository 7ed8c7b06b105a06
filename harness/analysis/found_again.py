"""How much of the prompts a server found again in its cache, of agents whose prompts it may keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.core.records import CallRecord
from harness.workload.networks import nx
from harness.workload.schema import PipelineSpec

__all__ = ["FoundAgain", "found_again"]


class FoundAgain(NamedTuple):
    """Prompt tokens of the calls of these nodes that ended well, and how many of them needed no reading."""

    nodes: tuple[str, ...]
    prompt_tokens: int
    found_tokens: int | None  # None: not known; Ollama does not say

    @property
    def share(self) -> float | None:
        """The share that was found again."""
        return None if self.found_tokens is None else self.found_tokens / self.prompt_tokens


def found_again(calls: Iterable[CallRecord], spec: PipelineSpec, graph: nx.DiGraph[str]) -> FoundAgain | None:
    """Return what was found again of a pipeline's prompts under one candidate; None where nothing may be kept.

    Args:
        calls: of the pipeline under the candidate.
        spec: the pipeline.
        graph: its nodes, as `harness.workload.dependencies` has them.
    """
    sessions = spec.session is not None and spec.session.reuse_prefix
    kept = {
        name
        for name, node in graph.nodes(data=True)
        if node["kind"] == "agent"
        and (node["shares_prefix"] or (sessions if node["grows"] is None else node["grows"].reuse_prefix))
    }
    replies = [call.reply for call in calls if call.outcome == "ok" and call.node in kept]
    prompt_tokens = sum(reply.prompt_tokens or 0 for reply in replies)
    if not prompt_tokens:
        return None
    known = [reply.cached_tokens for reply in replies if reply.cached_tokens is not None]
    nodes = tuple(name for name in graph if name in kept)
    return FoundAgain(nodes, prompt_tokens, sum(known) if len(known) == len(replies) else None)
