"""Which nodes embed, with which models: what embeds does not answer, and what answers does not embed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.core.graph import Pipeline
from harness.workload.mistakes import Mistakes
from harness.workload.source import Loc

__all__ = ["check_embeddings", "embedding_models", "embedding_nodes"]


def embedding_nodes(pipelines: Iterable[Pipeline]) -> frozenset[tuple[str, str]]:
    """Return every (pipeline, node) that embeds."""
    return frozenset((one.name, node.name) for one in pipelines for node in one.graph.nodes if node.batch)


def embedding_models(pipelines: Iterable[Pipeline]) -> frozenset[str]:
    """Return the models that texts are embedded with."""
    return frozenset(node.model for one in pipelines for node in one.graph.nodes if node.batch)


def check_embeddings(pipelines: Iterable[Pipeline], stands: Mapping[tuple[str, str], Loc], mistakes: Mistakes) -> None:
    """Note every embedding whose model other nodes ask for answers; `stands` tells where each node is written."""
    nodes = [(one.name, node) for one in pipelines for node in one.graph.nodes if node.kind == "agent"]
    answering = {node.model for _, node in nodes if not node.batch}
    for pipeline, node in nodes:
        if node.batch and node.model in answering:
            message = (
                f'node "{node.name}" embeds with "{node.model}", which other nodes ask for answers; a server embeds '
                "with embedding models alone: name one of these"
            )
            mistakes.add((*stands[pipeline, node.name], "embed", "model"), message)
