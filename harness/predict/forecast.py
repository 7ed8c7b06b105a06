"""How long the calls of a workload will be, as far as that is known before any is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import networkx as nx

from harness.core.events import Call
from harness.core.graph import Node
from harness.core.outputs import output_tokens
from harness.drivers.modelled import Tokens
from harness.predict.turns import growing
from harness.profiles.schema import Profile, TextTokens
from harness.units import percent
from harness.workload.estimate import answer_tokens, listed_item_tokens
from harness.workload.load import Loaded
from harness.workload.prompts import Prompt, estimate_tokens, prompt_tokens

__all__ = ["TokensOf", "forecast", "forecast_assumes"]

# The token counts of one repeat: (candidate, repeat) -> call -> (prompt tokens, output tokens).
TokensOf = Callable[[str, int], Tokens]
Lengths = tuple[tuple[tuple[tuple[int, int], ...], ...], ...]  # by pipeline, node, item: (prompt, output) tokens


def forecast(loaded: Loaded, text: TextTokens | None) -> TokensOf:
    """Return the lengths that a designer knows beforehand: prompts by their text, answers as drawn or pinned.

    Items are those of the workload, each with its own length; made-up ones are those of the first repeat.

    Args:
        loaded: the workload.
        text: of the profile; None = a token is four characters, as simulated servers count in any case.
    """
    pipelines, seed = loaded.pipelines, loaded.workload.seed
    varies = any(node.output_tokens is not None for pipeline in pipelines for node in pipeline.graph.nodes)
    plain = _lengths(loaded, None)
    fitted = plain if text is None else _lengths(loaded, text)
    texts = {
        plan.name: [None if loaded.servers[queue.server].simulated else text for queue in plan.queues]
        for plan in loaded.plans
    }
    by_queue = {
        name: [plain if queue_text is None else fitted for queue_text in queues] for name, queues in texts.items()
    }
    once = {known: _once(loaded, known) for known in (None, text)}

    def of_trial(candidate: str, repeat: int) -> Tokens:
        queues = by_queue[candidate]

        def fixed(call: Call) -> tuple[int, int]:
            return queues[call.queue][call.pipeline][call.node][call.item]

        def drawn(call: Call) -> tuple[int, int]:
            prompt, output = fixed(call)
            return prompt, output_tokens(pipelines[call.pipeline], call, seed, repeat) or output

        def not_again(call: Call) -> tuple[float, float]:
            queue_text = texts[candidate][call.queue]
            return once[queue_text][call.pipeline][call.node], 0.0 if queue_text is None else queue_text.of_turn

        return growing(loaded, repeat, drawn if varies else fixed, not_again)

    return of_trial


def forecast_assumes(loaded: Loaded, profile: Profile) -> tuple[str, ...]:
    """Return what a forecast of the lengths takes for granted, a sentence each without its full stop."""
    notes = []
    simulated = [spec.simulated for spec in loaded.servers.values()]
    if profile.text is None and not all(simulated):
        notes.append(
            f'a token is four characters of prompt, and the chat template adds none (profile "{profile.name}" does not '
            "know; short prompts come out a quarter too short)"
        )
    elif profile.text is not None and not all(simulated):
        error = profile.text.held_out
        notes.append(
            f"prompts have the tokens that their words, digits and punctuation had in calibration (off by "
            f"{percent(error.median_error)}, {percent(error.worst_error)} at worst, on texts that were not fitted)"
        )
    free = sum(not agent.exact_output for agent in loaded.agents.values())
    if free or not all(spec.pins_output for spec in loaded.servers.values()):
        notes.append("every answer is as long as it may be (output_tokens); a model that stops before that is quicker")
    return tuple(notes)


def _lengths(loaded: Loaded, text: TextTokens | None) -> Lengths:
    count: Callable[[str], float] = estimate_tokens if text is None else text.count
    items = {name: [float(count(item)) for item in texts] for name, texts in loaded.inputs.items()}
    inputs = {name: float(sum(counts)) for name, counts in items.items()}
    result = []
    for pipeline in loaded.pipelines:
        graph = loaded.graphs[pipeline.name]
        loops = {name: loop for (owner, name), loop in loaded.loops.items() if owner == pipeline.name}
        nodes: list[tuple[tuple[int, int], ...]] = []
        for node in pipeline.graph.nodes:
            if node.kind != "agent":
                nodes.append(((1, 1),))  # makes no call
                continue
            prompt = loaded.prompts[pipeline.name, node.name]
            answers = answer_tokens(graph, loaded.uses[pipeline.name, node.name], loops)
            overhead = _overhead(prompt, text)
            nodes.append(
                tuple(
                    (
                        max(1, round(overhead + prompt_tokens(prompt, count, item, inputs, answers))),
                        node.expected_output_tokens or 1,
                    )
                    for item in _items(graph, node, items)
                )
            )
        result.append(tuple(nodes))
    return tuple(result)


def _items(graph: nx.DiGraph, node: Node, items: Mapping[str, list[float]]) -> list[float]:
    """Return the tokens of every item that a node may fan out over; one of none where it does not."""
    over, over_node = graph.nodes[node.name]["over"], graph.nodes[node.name]["over_node"]
    if over_node is not None:
        return [listed_item_tokens(graph, over_node)] * node.width
    return [0.0] if over is None else items[over]


def _once(loaded: Loaded, text: TextTokens | None) -> list[list[float]]:
    """Return what of a prompt later turns of its conversation do not repeat, by pipeline and node."""
    count: Callable[[str], float] = estimate_tokens if text is None else text.count
    return [
        [
            0.0
            if node.kind != "agent"
            else _overhead(prompt := loaded.prompts[pipeline.name, node.name], text)
            + sum(count(part) for part in prompt.system or () if isinstance(part, str))
            for node in pipeline.graph.nodes
        ]
        for pipeline in loaded.pipelines
    ]


def _overhead(prompt: Prompt, text: TextTokens | None) -> float:
    if text is None:
        return 0.0
    return text.template_tokens if prompt.system is None else text.system_template_tokens
