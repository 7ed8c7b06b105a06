"""Before anything is measured: whether the models that are shown images can see, and the images for them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from harness.errors import UserError
from harness.measure.sender import Endpoint
from harness.servers.ollama_api import capabilities
from harness.workload.image_files import data_url, image_files
from harness.workload.images import sees
from harness.workload.load import Loaded
from harness.workload.model_calls import model_calls

__all__ = ["images_for"]


async def images_for(
    loaded: Loaded, endpoints: Mapping[str, Endpoint], transport: httpx.AsyncBaseTransport | None = None
) -> dict[str, str]:
    """Return the images that agents are shown, by name, as data URLs.

    Raises:
        UserError: a server takes no images, or a model cannot see; a line for each.
    """
    mistakes: dict[str, None] = {}
    for name, model, _, node in model_calls(loaded, sees):
        server = endpoints[name].server
        if server.emulated:  # it counts them
            continue
        if server.embedded:
            mistakes[f'server "{name}": the embedded engine takes no images, and node "{node}" has some'] = None
            continue
        called = server.names.get(model) or (model if server.names else server.model)
        able = await capabilities(server, called, transport)
        if able is not None and "vision" not in able:
            mistakes[
                f'server "{name}": {model} does not see images, and node "{node}" has some; take a model that does '
                '(`ollama show NAME` lists "vision"), such as gemma3:4b, or remove `images`'
            ] = None
    if mistakes:
        raise UserError("\n".join(mistakes))
    return {name: data_url(data) for name, data in image_files(loaded.agents.values(), loaded.path.parent).items()}
