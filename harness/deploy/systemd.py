"""Settings as a systemd drop-in for each server; a second server is a copy of Ollama's own unit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from harness.deploy.block import outside, with_block
from harness.deploy.deployment import DeployedServer, Deployment

__all__ = ["DROP_IN_NAME", "UNITS", "OtherSetting", "drop_in_text", "other_settings", "systemd_texts"]

UNITS = "/etc/systemd/system"
# Our own file beside `override.conf`, which `systemctl edit` writes. systemd reads drop-ins in the order of their
# names, and of a variable that is set twice the last value counts (systemd.unit(5), systemd.exec(5)).
DROP_IN_NAME = "slotwise.conf"
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
        variables=_assigned(server.environment_on_host),
    )


def _assigned(environment: Mapping[str, str]) -> str:
    return " ".join(f'"{key}={value}"' for key, value in environment.items())


# --- the same as a file that is written -------------------------------------------------------------------------------


def drop_in_text(current: str, environment: Mapping[str, str], risks: Iterable[str] = ()) -> str:
    """Return a drop-in with these variables in a block of ours; what else it has stays.

    Args:
        current: what the file has now; "": it is new.
        environment: checked variables.
        risks: comments, each a line with its sign.

    Raises:
        ValueError: our lines cannot be told from the others.
    """
    lines = outside(current).rstrip("\n").split("\n")
    if lines[-1].endswith("\\"):
        raise ValueError("its last line ends with a backslash, so what follows would belong to it")
    body = "".join(f"{risk}\n" for risk in risks)
    return with_block(current, f"{body}[Service]\nEnvironment={_assigned(environment)}\n")


class OtherSetting(NamedTuple):
    """Where else a variable of ours is set for the same unit."""

    path: str
    variable: str  # "": any, by a file that was not read, or because all are cleared
    value: str
    wins: bool  # it comes after ours


def other_settings(own: str, files: Iterable[tuple[str, str]], variables: Collection[str]) -> list[OtherSetting]:
    """Return what other files of the unit say about these variables.

    Args:
        own: the name of our drop-in.
        files: the unit (a name that ends in `.service`) and its other drop-ins: path and text.
        variables: ours.
    """
    found = []
    for path, text in files:
        name = path.rpartition("/")[2]
        later = not name.endswith(".service") and name > own
        for key, value in _service_lines(text):
            if key == "EnvironmentFile":  # its variables come after those of every Environment=
                found.append(OtherSetting(path, "", value, wins=True))
            elif key == "Environment" and not value and later:
                found.append(OtherSetting(path, "", "", wins=True))
            elif key == "Environment":
                pairs = (word.partition("=") for word in _words(value))
                found += [OtherSetting(path, name, set_to, later) for name, _, set_to in pairs if name in variables]
            elif key == "UnsetEnvironment":
                names = (word.partition("=")[0] for word in _words(value))
                found += [OtherSetting(path, name, "", wins=True) for name in names if name in variables]
    return found


def _service_lines(text: str) -> Iterable[tuple[str, str]]:
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()
