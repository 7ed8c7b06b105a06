"""Settings as a compose file: a service for each server, one volume of models, nothing beyond the loopback."""

from __future__ import annotations

from harness.deploy.deployment import DeployedServer, Deployment

__all__ = ["compose_texts"]

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
{risks}    environment:
{variables}
    volumes: ["ollama:/root/.ollama"]
    # gpus: all    # with an NVIDIA GPU and its container toolkit
"""


def compose_texts(deployment: Deployment) -> dict[str, str]:
    """Return the file."""
    return {"compose.yaml": FILE.format(services="".join(_service(server) for server in deployment.servers))}


def _service(server: DeployedServer) -> str:
    variables = "\n".join(f'      {key}: "{value}"' for key, value in server.environment.items())
    risks = "".join(f"    {risk}\n" for risk in server.risks)
    return SERVICE.format(
        service=server.service, comment=server.comment, port=server.port, risks=risks, variables=variables
    )
