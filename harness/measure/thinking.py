"""Before anything is measured: whether the models that are asked to think can, and what happens where one cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx

from harness.core.plan import queues_of
from harness.errors import UserError
from harness.measure.sender import Endpoint
from harness.runs.model import Note
from harness.servers.ollama_api import thinks
from harness.workload.load import Loaded
from harness.workload.schema import AgentSpec

__all__ = ["about_thinking"]


async def about_thinking(
    loaded: Loaded, endpoints: Mapping[str, Endpoint], transport: httpx.AsyncBaseTransport | None = None
) -> list[Note]:
    """Return what a report has to say of the models that are asked to think.

    Raises:
        UserError: a model cannot think, and its server has nothing to take the place of that; a line for each.
    """
    notes: dict[str, None] = {}
    mistakes: dict[str, None] = {}
    for name, asked, agent in dict.fromkeys(_thinking(loaded)):
        server = endpoints[name].server
        model = asked or server.model
        if await thinks(server, server.names.get(model, model), transport) is not False:
            continue
        who = f'server "{name}": {model} has no thinking'
        spec = loaded.agents[agent]
        if not server.can_pin_output:
            mistakes[
                f'{who}, and node "{agent[1]}" asks for it; take a model that thinks (Ollama lists them at '
                "https://ollama.com/search?c=thinking), or remove `think`"
            ] = None
        elif spec.format is not None:
            mistakes[
                f'{who}. Its first tokens can take the place of that, but not where an answer has a `format`, as that of '
                f'node "{agent[1]}" has; take a model that thinks, or remove one of the two'
            ] = None
        else:
            notes[
                f'Server "{name}": {model} has no thinking. As many of its first tokens as '
                "`thinking_tokens` says take the place of that: the times are real, but nothing was thought."
            ] = None
    if mistakes:
        raise UserError("\n".join(mistakes))
    return [Note("thinking", text) for text in notes]


def _thinking(loaded: Loaded) -> Iterator[tuple[str, str | None, tuple[str, str]]]:
    """Yield (server, model, node) of all calls that are to think, under any candidate."""
    for plan in loaded.plans:
        for pipeline, places in zip(loaded.pipelines, plan.placement, strict=True):
            for node, place in zip(pipeline.graph.nodes, places, strict=True):
                agent: AgentSpec | None = loaded.agents.get((pipeline.name, node.name))
                if agent is None or not agent.think:
                    continue
                for queue in queues_of(place):
                    yield plan.queues[queue].server, agent.model, (pipeline.name, node.name)
