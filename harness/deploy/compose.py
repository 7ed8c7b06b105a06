"""Settings as a compose file: a service for each server, one volume of models, nothing beyond the loopback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.deploy.deployment import Deployment

__all__ = ["compose_texts", "service_text", "variables_text"]

FILE = """\
# compose.yaml; then: docker compose up -d
services:
{services}volumes:
  ollama: {{}}
"""
# Inside its container a server listens where the image says.
SERVICE = """\
  {service}:{comment}
    image: ollama/ollama
    restart: unless-stopped
    ports: ["127.0.0.1:{port}:11434"]
{settings}    volumes: ["ollama:/root/.ollama"]
    # gpus: all    # with an NVIDIA GPU and its container toolkit
"""


def compose_texts(deployment: Deployment) -> dict[str, str]:
    """Return the file."""
    services = (
        service_text(server.service, server.port, server.environment, server.risks, server.comment)
        for server in deployment.servers
    )
    return {"compose.yaml": FILE.format(services="".join(services))}


def service_text(
    service: str, port: int, environment: Mapping[str, str], risks: Iterable[str] = (), comment: str = ""
) -> str:
    """Return a service, whole; `risks` are comments, each a line with its sign."""
    return SERVICE.format(service=service, comment=comment, port=port, settings=variables_text(environment, risks))


def variables_text(environment: Mapping[str, str], risks: Iterable[str] = ()) -> str:
    """Return the variables of a service, with what they risk above."""
    said = "".join(f"    {risk}\n" for risk in risks)
    return f"{said}    environment:\n" + "".join(f'      {key}: "{value}"\n' for key, value in environment.items())
