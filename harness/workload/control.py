"""What decides which way a job goes, in words: branches, loops, lists, fan-in, tools, retries, priorities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.graph import Growth
from harness.core.sizes import Distribution
from harness.units import count, percent, seconds
from harness.workload.load import Loaded
from harness.workload.networks import nx
from harness.workload.rules import rule_words

__all__ = ["control_of", "size_words"]


_BOUNDED = ("fixed", "uniform", "empirical")  # their words name the most


def control_of(graph: nx.DiGraph, loaded: Loaded) -> tuple[tuple[str, str], ...]:
    """Return (branch, loop, list, need, grows, sizes, think, retry, reply or first; words) of a graph."""
    return tuple(line for name in graph for line in _of(graph, name, loaded))


def _of(graph: nx.DiGraph, name: str, loaded: Loaded) -> Iterator[tuple[str, str]]:
    node = graph.nodes[name]
    if node["labels"]:
        spec = loaded.node(graph.name, name)
        ways = [
            f"{label} {percent(share)} ({rule_words(spec.rule(label))})"
            if _by_model(loaded)
            else f"{label} {percent(share)}"
            for label, share in zip(node["labels"], node["shares"], strict=True)
        ]
        yield "branch", f"{name}: {', '.join(ways)}"
    if node["kind"] == "until" and node["body"]:
        yield "loop", f"{name.removesuffix('/until')}: {_loop(node, loaded, graph.name, name)}"
    if node["over_node"] is not None:
        items = f"{size_words(node['items'])} items of what {node['over_node']} answers, at most {node['width']}"
        yield "list", f"{name}: {items}"
    before = sorted(graph.predecessors(name), key=list(graph).index)
    left = "the others are left to run" if node["losers"] == "run" else "the others are cancelled"
    if node["need"] is not None and node["need"] < len(before):
        yield "need", f"{name}: {node['need']} of {', '.join(before)}; {left}"
    if node["enough"] is not None:
        yield "need", f"{name}: {node['enough']} of its {node['width']} calls; {left}"
    if node["grows"] is not None:
        yield "grows", f"{name}: {_growth(node)}"
    if node["batch"]:
        yield "embed", f"{name}: {embed_words(node)}"
    if node["delay"] is not None:
        yield "sizes", f"{name}: {size_words(node['delay'], 's')}, {seconds(node['delay_s'])} on average"
    if node["output"] is not None:
        yield "sizes", f"{name}: {size_words(node['output'])} output tokens, {node['output_tokens']} on average"
    if node["thinking"] is not None:
        tokens = count(node["thinking_tokens"], "token")
        varied = "" if node["thinking"].kind == "fixed" else f": {size_words(node['thinking'])}"
        about = f"{tokens}{' on average' if varied else ''} before the answer, which nobody sees{varied}"
        yield "think", f"{name}: {about}"
    if node["retries"]:
        wait = f", the first {seconds(node['backoff_s'])} after a failure" if node["backoff_s"] else ""
        yield "retry", f"{name}: {count(node['retries'], 'more attempt')}{wait}"
    if node["answers"]:
        later = nx.descendants(graph, name)
        load = [other for other in graph if other in later and graph.nodes[other]["kind"] == "agent"]
        yield "reply", f"is there when {name} is done" + (f"; load after it: {', '.join(load)}" if load else "")
    usual = loaded.workload.pipelines[graph.name].priority
    if node["kind"] == "agent" and node["priority"] != usual:
        yield "first", f"{name}: priority {node['priority']}"


def embed_words(node: Mapping[str, Any]) -> str:
    """Say what an embedding embeds, with which model, in how many requests: about a job."""
    texts, requests = node["texts"], node["width"]
    most = "at most " if node["items"] is not None else ""
    what = "the item of each call" if node["embeds"] == "item" else node["embeds"]
    tokens = node["prompt_tokens"] * requests
    each = "" if requests == 1 else f" in {count(requests, 'request')}"
    return f"{most}{count(texts, 'text')} ({what}) with {node['model']}{each}, about {count(tokens, 'token')}"


def _by_model(loaded: Loaded) -> bool:
    return loaded.workload.control == "model"


def _loop(node: dict[str, Any], loaded: Loaded, pipeline: str, name: str) -> str:
    most, drawn = node["max_iterations"], node["drawn_passes"]
    if drawn is not None:
        return f"{size_words(drawn)} passes" + (f", at most {most}" if drawn.kind not in _BOUNDED else "")
    if not node["end_share"]:
        return count(most, "pass", "passes")
    mean = float((1 - (1 - node["end_share"]) ** most) / node["end_share"])
    text = f"at most {count(most, 'pass', 'passes')}, {mean:.3g} on average ({percent(node['end_share'])} end it)"
    until = loaded.until(pipeline, name)
    if _by_model(loaded) and until is not None and node["decides"]:
        text += f"; until {node['decides']} answers so: {rule_words(until.rule)}"
    return text


def _growth(node: dict[str, Any]) -> str:
    """Say what comes in with each pass."""
    grows: Growth = node["grows"]
    unit = "new token" if grows.by.kind == "fixed" and grows.by.values[0] == 1 else "new tokens"
    text = f"each further pass sends all before it and {size_words(grows.by, unit)}"
    return text if grows.reuse_prefix else f"{text}, and the server is to read all of it"


def size_words(size: Distribution, unit: str = "") -> str:
    """Say a distribution in a few words: `2 to 5`, `lognormal around 60`."""
    after = f" {unit}" if unit else ""
    first = size.values[0]
    match size.kind:
        case "fixed":
            return f"{first:g}{after}"
        case "uniform":
            return f"{first:g} to {size.values[1]:g}{after}"
        case "empirical":
            low, high = min(size.values), max(size.values)
            return f"one of {count(len(size.values), 'observed value')} ({low:g} to {high:g}{after})"
        case "lognormal":
            return f"lognormal around {first:g}{after}"
    return f"{size.kind}, mean {first:g}{after}"
