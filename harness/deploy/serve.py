"""Settings as the `ollama serve` line of each server."""

from __future__ import annotations

from harness.deploy.deployment import DeployedServer, Deployment
from harness.units import count

__all__ = ["serve_lines", "serve_texts"]


def serve_lines(deployment: Deployment) -> tuple[str, ...]:
    """Return a command for each server."""
    return tuple(_line(server) for server in deployment.servers)


def serve_texts(deployment: Deployment) -> dict[str, str]:
    """Return the commands as one text."""
    head = ["# each in a terminal of its own"] if len(deployment.servers) > 1 else []
    risks = dict.fromkeys(risk for server in deployment.servers for risk in server.risks)
    return {"": "\n".join([*head, *risks, *serve_lines(deployment)]) + "\n"}


def _line(server: DeployedServer) -> str:
    if (kind := server.other_kind) is not None:
        if not server.use.limits_calls:
            at = f" at {server.use.url}" if server.use.url else ""
            return f"# {server.use.server}: nothing is to change on the server{at}"
        how = kind.started_with.format(slots=server.use.slots, context=server.use.slots * server.use.context_to_set)
        if not server.use.context_to_set:
            how = how.replace(" --ctx-size 0", "")
        return f"# {server.use.server}: start it as before, with {count(server.use.slots, 'slot')}: {how}"
    variables = " ".join(f"{key}={value}" for key, value in server.environment_on_host.items())
    return f"{variables} ollama serve" + (f"  # {server.note}" if server.note else "")
