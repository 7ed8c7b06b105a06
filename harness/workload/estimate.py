"""How long prompts will be, before anything has run: an estimate from the texts and the limits of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.workload.checks import Resolved
from harness.workload.inline import Inlined
from harness.workload.networks import nx
from harness.workload.prompts import NUMBERING_TOKENS, estimate_tokens, prompt_tokens
from harness.workload.reads import Loop, Readable, Reads

__all__ = ["answer_tokens", "estimate_embeddings", "estimate_prompts", "listed_item_tokens", "pass_tokens"]


def estimate_prompts(
    inlined: Inlined, resolved: Mapping[str, Resolved], item_tokens: Mapping[str, tuple[int, ...]]
) -> None:
    """Set `prompt_tokens`, `system_tokens` and `grown_tokens` of every agent node.

    Text counts by its length, an item by the mean of its input, an answer by its mean limit.

    Args:
        resolved: the agents by node of the graph.
    """
    graph = inlined.graph
    inputs = {name: float(sum(items)) for name, items in item_tokens.items()}
    for name, agent in resolved.items():
        node = graph.nodes[name]
        items = item_tokens.get(node["over"], ())
        item = sum(items) / len(items) if items else 0.0
        if node["over_node"] is not None:
            item = listed_item_tokens(graph, node["over_node"])
        answers = answer_tokens(graph, inlined.uses[name], inlined.loops)
        node["prompt_tokens"] = round(prompt_tokens(agent.prompt, estimate_tokens, item, inputs, answers))
        node["prompt_tokens"] += agent.spec.image_tokens or 0
        system = [part for part in agent.prompt.system or () if isinstance(part, str)]
        node["system_tokens"] = sum(estimate_tokens(text) for text in system)
        node["grown_tokens"] = round(node["run"].before * pass_tokens(node), 1)


def pass_tokens(node: Mapping[str, Any]) -> float:
    """Return how much longer each pass of a loop makes the prompts of the next: what was answered and what comes in."""
    return 0.0 if node["grows"] is None else float(node["output_tokens"] + max(1.0, node["grows"].by.mean))


def estimate_embeddings(inlined: Inlined, item_tokens: Mapping[str, tuple[int, ...]]) -> None:
    """Set `prompt_tokens` of every embedding: of a request with the mean number of texts, each of the mean length."""
    graph = inlined.graph
    for name, node in graph.nodes(data=True):
        if not node["texts"]:
            continue
        if node["over_node"] is not None:
            tokens = listed_item_tokens(graph, node["over_node"])
        elif source := next(iter(inlined.uses[name].names.values()), ()):
            answers = [graph.nodes[other] for result in source for other in result.main]
            tokens = sum(one["output_tokens"] for one in answers) / max(1, len(answers))
        else:
            items = item_tokens[node["over"] or node["embeds"]]
            tokens = sum(items) / len(items)
        node["prompt_tokens"] = round(tokens * node["texts"] / node["width"])


def answer_tokens(graph: nx.DiGraph, use: Readable, loops: Mapping[str, Loop]) -> dict[str, float]:
    """Return the tokens of what each node, `input` and `previous` are filled in as, by the name in a template."""
    answers = {name: _tokens(graph, reads) for name, reads in use.names.items()}
    if "input" in use.names:
        answers["previous"] = _tokens(graph, loops[use.loops[-1]].result) if use.loops else answers["input"]
    return answers


def listed_item_tokens(graph: nx.DiGraph, over_node: str) -> float:
    """Return the mean tokens of an item of the list that a node answers."""
    longest = max((graph.nodes[name]["mean_width"] for name in graph.successors(over_node)), default=1.0)
    return float(graph.nodes[over_node]["output_tokens"] / max(1.0, longest))


def _tokens(graph: nx.DiGraph, reads: Reads) -> float:
    nodes = [graph.nodes[name] for result in reads for name in result.main or result.otherwise]
    count = sum(node["mean_width"] for node in nodes)
    numbering = NUMBERING_TOKENS if count > 1 else 0
    return float(sum(node["mean_width"] * (node["output_tokens"] + numbering) for node in nodes))
