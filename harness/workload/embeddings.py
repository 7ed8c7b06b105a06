"""Which nodes embed, with which models: what embeds does not answer, and what answers does not embed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.core.graph import Pipeline
from harness.workload.mistakes import Mistakes
from harness.workload.schema import EmbedSpec, NodeSpec
from harness.workload.source import Loc

__all__ = ["check_embeddings", "count_texts", "embedded", "embedding_models", "embedding_nodes"]


def embedding_nodes(pipelines: Iterable[Pipeline]) -> frozenset[tuple[str, str]]:
    """Return every (pipeline, node) that embeds."""
    return frozenset((one.name, node.name) for one in pipelines for node in one.graph.nodes if node.batch)


def embedding_models(pipelines: Iterable[Pipeline]) -> frozenset[str]:
    """Return the models that texts are embedded with."""
    return frozenset(node.model for one in pipelines for node in one.graph.nodes if node.batch)


def count_texts(embed: EmbedSpec, nodes: Mapping[str, NodeSpec], item_counts: Mapping[str, int]) -> int | None:
    """Return how many texts an embedding node has, with `over` in each request; None where that is not known."""
    if embed.texts == "item":
        return 1
    if embed.texts in nodes:
        source = nodes[embed.texts]
        if source.over is None:
            return 1
        return item_counts.get(source.over) if source.enough is None else None
    return item_counts.get(embed.texts)


def embedded(
    embed: EmbedSpec, nodes: Mapping[str, NodeSpec], item_counts: Mapping[str, int], width: int
) -> dict[str, Any]:
    """Return what an embedding has in a graph besides what every node has that makes calls.

    Args:
        embed: of the node.
        nodes: beside it.
        item_counts: of inputs.
        width: of a fan-out.
    """
    if embed.texts == "item":
        return {"model": embed.model, "embeds": embed.texts, "texts": width, "batch": 1}
    texts = count_texts(embed, nodes, item_counts) or 0
    batch = embed.batch or max(1, texts)
    requests = -(-texts // batch)
    counts = {"texts": texts, "batch": batch, "width": requests, "mean_width": float(requests)}
    return {"model": embed.model, "embeds": embed.texts, **counts}


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
