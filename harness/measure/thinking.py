"""Before anything is measured: whether the models that are asked to think can, and what happens where one cannot."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from harness.errors import UserError
from harness.measure.sender import Endpoint
from harness.runs.model import Note
from harness.servers.ollama_api import capabilities
from harness.workload.load import Loaded
from harness.workload.model_calls import model_calls
from harness.workload.thinking import thinks

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
    for name, model, pipeline, node in model_calls(loaded, thinks):
        server = endpoints[name].server
        if server.emulated:  # it thinks where it is asked to
            continue
        called = server.names.get(model) or (model if server.names else server.model)
        able = await capabilities(server, called, transport)
        if able is None or "thinking" in able:
            continue
        who = f'server "{name}": {model} has no thinking'
        if not server.embedded:
            mistakes[
                f'{who}, and agents ask for it; take a model that thinks (`ollama show NAME` lists "thinking"), '
                "such as qwen3:0.6b, or remove `think`"
            ] = None
        elif loaded.agents[pipeline, node].format is not None:
            mistakes[
                f'{who}. Its first tokens can take the place of that, but not in node "{node}", whose answers have a '
                "`format`; take a model that thinks, or remove one of the two"
            ] = None
        else:
            notes[
                f'Server "{name}": {model} has no thinking. As many of its first tokens as '
                "`thinking_tokens` says take the place of that: the times are real, but nothing was thought."
            ] = None
    if mistakes:
        raise UserError("\n".join(mistakes))
    return [Note("thinking", text) for text in notes]
