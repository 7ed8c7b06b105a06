"""What check says of models that are shown images."""

from __future__ import annotations

from collections.abc import Iterator

from harness.workload.load import Loaded
from harness.workload.model_calls import servers_by_model
from harness.workload.schema import AgentSpec

__all__ = ["image_hints", "sees"]


def sees(agent: AgentSpec) -> bool:
    """Tell whether an agent is shown images."""
    return bool(agent.images)


def image_hints(loaded: Loaded) -> Iterator[str]:
    """Yield what a run needs of models that are shown images; a simulated one only counts them."""
    for model, ours, servers in servers_by_model(loaded, sees):
        if ours:
            where = ", ".join(servers)
            yield f"{where}: the embedded engine takes no images, so slotwise run refuses this; simulate does not."
        else:
            yield f'{", ".join(servers)}: {model} must be a model that sees (`ollama show {model}` lists "vision").'
