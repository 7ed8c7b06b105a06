"""What check says of models that are asked to think."""

from __future__ import annotations

from collections.abc import Iterator

from harness.workload.load import Loaded
from harness.workload.model_calls import servers_by_model
from harness.workload.schema import AgentSpec

__all__ = ["thinking_hints", "thinks"]


def thinks(agent: AgentSpec) -> bool:
    """Tell whether an agent thinks before it answers."""
    return bool(agent.think)


def thinking_hints(loaded: Loaded) -> Iterator[str]:
    """Yield what a run needs of models that are asked to think; a simulated one always can."""
    for model, ours, servers in servers_by_model(loaded, thinks):
        if ours:
            yield (
                f"{', '.join(servers)}: where {model} has no thinking, as many of its first tokens as thinking_tokens "
                "says take the place of that. A run says whether it was so."
            )
        else:
            yield (
                f"{', '.join(servers)}: {model} must be a model that thinks (`ollama show {model}` lists "
                '"thinking"). It decides itself how long; thinking_tokens plus output_tokens is the most.'
            )
