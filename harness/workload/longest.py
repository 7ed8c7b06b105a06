"""The longest call of each node before anything has run: its prompt and answer where every size is at its largest."""

from __future__ import annotations

from typing import NamedTuple

from harness.core.context import CallNeed, HowSure
from harness.core.sizes import fixed
from harness.workload.estimate import answer_tokens, listed_item_tokens
from harness.workload.inputs import varies
from harness.workload.loaded import Loaded
from harness.workload.networks import nx
from harness.workload.prompts import estimate_tokens, prompt_tokens
from harness.workload.schema import SyntheticInput
from harness.workload.schema.sizes import distribution
from harness.workload.traffic import generated_tokens, needed_tokens

__all__ = ["Longest", "longest", "needs_of"]


class Longest(NamedTuple):
    """One pipeline's graph with `prompt_tokens`, `output_tokens` and `mean_width` at their largest; an estimate."""

    graph: nx.DiGraph
    varies: frozenset[str]  # nodes whose prompt or answer may be shorter
    unbounded: frozenset[str]  # of these: a size without a bound is taken at its 99.9th percentile

    def how_sure(self, node: str) -> HowSure:
        """Return how sure the tokens of its longest call are, apart from how texts are estimated."""
        if node in self.unbounded:
            return "percentile"
        return "largest" if node in self.varies else "fixed"


def longest(loaded: Loaded, pipeline: str) -> Longest:
    """Return how long the calls of a pipeline can become."""
    graph: nx.DiGraph = nx.DiGraph()
    varying, unbounded = set[str](), set[str]()
    for name, node in loaded.graphs[pipeline].nodes(data=True):
        output = node["output"]
        width, tokens = node["width"], node["output_tokens"] if output is None else round(output.largest)
        grows = node["grows"] and node["grows"]._replace(by=fixed(node["grows"].by.largest))
        thinking = 0 if node["thinking"] is None else round(node["thinking"].largest)
        sizes = {"output": None, "output_tokens": tokens, "thinking_tokens": thinking}
        graph.add_node(name, **{**node, **sizes, "mean_width": width, "grows": grows})
        again = node["grows"] is not None and (node["run"].mean != node["run"].most or node["grows"].by.kind != "fixed")
        if output is not None or node["mean_width"] != width or again:
            varying.add(name)
        if output is not None and output.highest is None:
            unbounded.add(name)
    inputs = {name: _items(loaded, name) for name in loaded.workload.inputs}
    drawn = {name for name, spec in loaded.workload.inputs.items() if varies(spec)}
    vary, endless = frozenset(varying), frozenset(unbounded)  # their answers; made-up text always has a bound
    for name, node in loaded.graphs[pipeline].nodes(data=True):
        if node["thinking"] is not None and node["thinking"].kind != "fixed":  # nobody else reads it
            varying.add(name)
            if node["thinking"].highest is None:
                unbounded.add(name)
        key = pipeline, name
        if key not in loaded.prompts or node["batch"]:
            continue
        prompt, use = loaded.prompts[key], loaded.uses[key]
        item = max(inputs.get(node["over"], (0.0,)), default=0.0)
        if node["over_node"] is not None:
            item = listed_item_tokens(loaded.graphs[pipeline], node["over_node"])
        sums = {one: sum(items) for one, items in inputs.items()}
        loops = {loop: found for (of_pipeline, loop), found in loaded.loops.items() if of_pipeline == pipeline}
        read = answer_tokens(graph, use, loops)
        text = round(prompt_tokens(prompt, estimate_tokens, item, sums, read))
        graph.nodes[name]["prompt_tokens"] = text + (loaded.agents[key].image_tokens or 0)
        nodes = {one for reads in use.names.values() for result in reads for one in result.main or result.otherwise}
        if {*prompt.names, node["over"]} & drawn or nodes & vary:
            varying.add(name)
        if nodes & endless:
            unbounded.add(name)
    turns = next((one.session.turns for one in loaded.pipelines if one.name == pipeline and one.session), None)
    if turns is not None and turns.kind != "fixed":
        varying.update(graph)
        if turns.highest is None:
            unbounded.update(graph)
    return Longest(graph, frozenset(varying), frozenset(unbounded))


def needs_of(loaded: Loaded) -> tuple[CallNeed, ...]:
    """Return the longest call of every node that calls a model."""
    found = []
    for pipeline in loaded.pipelines:
        most = longest(loaded, pipeline.name)
        for name, node in most.graph.nodes(data=True):
            if node["kind"] == "agent" and not node["batch"]:  # an embedding has no slot to fit into
                generated = generated_tokens(node)
                prompt = needed_tokens(pipeline, node) - generated
                found.append(CallNeed(pipeline.name, name, prompt, generated, most.how_sure(name)))
    return tuple(found)


def _items(loaded: Loaded, name: str) -> tuple[float, ...]:
    """Return the most tokens that each item of an input can have."""
    spec = loaded.workload.inputs[name]
    if isinstance(spec, SyntheticInput) and varies(spec):
        return (distribution(spec.synthetic.tokens, whole=True).largest,) * spec.synthetic.count
    return tuple(float(estimate_tokens(text)) for text in loaded.inputs[name])
