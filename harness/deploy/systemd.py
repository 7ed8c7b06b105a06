"""Settings as a systemd drop-in for each server; a second server is a copy of Ollama's own unit."""

from __future__ import annotations

from harness.deploy.deployment import DeployedServer, Deployment

__all__ = ["systemd_texts"]

UNITS = "/etc/systemd/system"
COPY = """\
# first: sudo cp {units}/ollama.service {units}/{service}.service
# and: sudo systemctl daemon-reload
"""
# One line of variables: a key that occurs twice is an error to most readers of INI files, though not to systemd.
DROP_IN = """\
# {path}{on}
{copy}# write it: sudo systemctl edit {service}.service
# then: sudo systemctl enable {service} && sudo systemctl restart {service}
{risks}[Service]
Environment={variables}
"""


def systemd_texts(deployment: Deployment) -> dict[str, str]:
    """Return the drop-in of each server by its path."""
    return {f"{UNITS}/{server.service}.service.d/override.conf": _drop_in(server) for server in deployment.servers}


def _drop_in(server: DeployedServer) -> str:
    service = server.service
    return DROP_IN.format(
        path=f"{UNITS}/{service}.service.d/override.conf",
        on=f" on {server.use.machine}" if server.use.machine else "",
        copy=COPY.format(units=UNITS, service=service) if service != "ollama" else "",
        service=service,
        risks="".join(f"{risk}\n" for risk in server.risks),
        variables=" ".join(f'"{key}={value}"' for key, value in server.environment_on_host.items()),
    )
