"""What a workload that was made asks for, counted as its source is: calls, tokens, width and tools of all its jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log
from typing import Any

from harness.imports.account import ImportAccount, ImportCounts, ImportLoss, lost_of
from harness.imports.fit import cut_mean
from harness.workload.describe import widest
from harness.workload.load import Loaded
from harness.workload.scenarios import scenarios
from harness.workload.schema import AgentSpec, SyntheticInput, distribution
from harness.workload.traffic import TURN_TEMPLATE_TOKENS

__all__ = ["balanced", "made_of"]

_PLACEHOLDER = re.compile(r"\{[\w-]+\}")
_DRAWN = "on average over many jobs: branches, loops and sizes are drawn one by one here"
_MORE = "as what never overlapped in the source need not wait for each other here"
_FEWER = "as what overlapped in the source waits for each other here"


def balanced(account: ImportAccount, loaded: Loaded) -> ImportAccount:
    """Return the account with what was made, and with a loss for whatever no line names yet."""
    if account.found == ImportCounts():
        return account
    account = account._replace(made=made_of(loaded))
    gaps = account.missing()
    width = round(gaps.pop("width", 0))
    lost = list(account.lost)
    if gaps:
        lost.append(lost_of(_DRAWN, gaps))
    if width:
        lost.append(ImportLoss(_FEWER if width > 0 else _MORE, width=width))
    return account._replace(lost=tuple(lost))


def made_of(loaded: Loaded) -> ImportCounts:
    """Return the means over all jobs; the width is that of the widest job. Choices that take no time are no tools."""
    calls = read = generated = tools = 0.0
    width = 0
    for pipeline in loaded.pipelines:
        graph = loaded.graphs[pipeline.name]
        ways = scenarios(graph)
        width = max(width, widest(graph, ways))
        for share, way in ways:
            for name, node in way.nodes(data=True):
                times = share * (pipeline.jobs or 0) * node.get("passes", 1.0) * node.get("mean_width", node["width"])
                if node["kind"] == "tool":
                    tools += 0 if node.get("labels") and not node["delay_s"] else times
                elif node["kind"] == "agent":
                    calls += times
                    if node["batch"]:
                        read += times * node["batch"] * _text(loaded, node["embeds"])
                        continue
                    agent = loaded.agents[pipeline.name, name]
                    answer = _mean(agent.output_tokens)
                    generated += times * (answer + (_mean(agent.thinking_tokens) if agent.thinking_tokens else 0))
                    read += times * (_read(loaded, agent, node) + _grown(node, answer))
    return ImportCounts(calls, read, generated, width, tools)


def _grown(node: Mapping[str, Any], answer: float) -> float:
    """Return the tokens that a prompt has more than that of the first pass, on average over all passes."""
    if not node.get("grows"):
        return 0.0
    each = _cut(node["grows"].by) + answer + TURN_TEMPLATE_TOKENS
    return float(TURN_TEMPLATE_TOKENS + node["run"].before * each)


def _read(loaded: Loaded, agent: AgentSpec, node: Mapping[str, Any]) -> float:
    """Return the mean tokens of a prompt: of the made-up texts that it is nothing else than, or as `check` has it."""
    parts = [text for text in (agent.system, agent.prompt) if text]
    if not all(_PLACEHOLDER.fullmatch(text) for text in parts):
        return float(node["prompt_tokens"])
    return sum(_text(loaded, str(node["over"]) if text == "{item}" else text[1:-1]) for text in parts)


def _text(loaded: Loaded, name: str) -> float:
    spec = loaded.workload.inputs.get(name)
    return _mean(spec.synthetic.tokens) if isinstance(spec, SyntheticInput) else 0.0


def _mean(size: Any) -> float:
    return _cut(distribution(size, whole=True))


def _cut(found: Any) -> float:
    """Of a distribution, return the mean of what is drawn, with what is above the most cut down to it."""
    if found.kind == "lognormal" and found.most is not None:
        median, sigma = found.values
        return cut_mean(log(median), sigma, found.most)
    return float(found.mean)
