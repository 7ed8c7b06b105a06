"""A compose file that is written: an override of the file that is there, or a whole one where there is none.

An existing file is never merged with: that would lose its comments and its layout. `docker compose` merges instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

from harness.deploy.block import block_in, outside, with_block
from harness.deploy.compose import service_text, variables_text

__all__ = ["BASES", "OVERRIDES", "OWN", "ollama_services", "override_text", "services_in"]

VOLUMES = """\
volumes:
  ollama: {}
"""

# The files that `docker compose` reads by itself, in the order in which it looks for them
# (docs.docker.com/compose/how-tos/multiple-compose-files/merge).
BASES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = tuple(f"{stem}.override.{end}" for stem in ("compose", "docker-compose") for end in ("yml", "yaml"))
OWN = "compose.slotwise.yaml"  # where somebody else's override file is there already


def override_text(
    current: str, service: str, environment: Mapping[str, str], risks: Iterable[str] = (), *, port: int | None = None
) -> str:
    """Return a compose file with a service's variables in a block of ours; what else it has stays.

    Other services in the block, of servers that were applied before, stay too.

    Args:
        current: what the file has now; "": it is new.
        service: as the compose file calls it.
        environment: checked variables.
        risks: comments, each a line with its sign.
        port: where the service is published, for one that no other file has; None: another file has the service, and
            only its variables are written.

    Raises:
        ValueError: the file has the keys of ours outside our block, or cannot be read: a merge would change it.
    """
    if port is None:
        part = f"  {service}:\n{variables_text(environment, risks)}"
    else:
        part = service_text(service, port, environment, risks)
    parts = _parts(block_in(current) or "") | {service: part}
    volumes = VOLUMES if any("volumes:" in one for one in parts.values()) else ""
    body = "services:\n" + "".join(parts.values()) + volumes
    taken = {"services", *(["volumes"] if volumes else [])} & set(_keys(outside(current)))
    if taken:
        raise ValueError(f"it has {' and '.join(sorted(taken))} of its own, which are not merged")
    return with_block(current, body)


def _parts(block: str) -> dict[str, str]:
    """Return the services of our block as they are written there, comments included."""
    if block and not block.startswith("services:\n"):
        raise ValueError("the lines between its marks were changed: they do not begin with `services:`")
    # "volumes:" at the beginning of a line ends the services; the services' own are indented.
    services = re.split(r"^volumes:\n", block.removeprefix("services:\n"), flags=re.MULTILINE)[0]
    found = re.finditer(r"^  (\S+):[^\n]*\n(?:(?:    [^\n]*)?\n)*", services, re.MULTILINE)
    return {one[1]: one[0] for one in found}


def _keys(text: str) -> Sequence[str]:
    """Return the keys at the top of a YAML text; nothing in it is constructed."""
    try:
        node = yaml.compose(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("it is no YAML that can be read") from None
    if node is None:
        return ()
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("it is no mapping of services")
    return [str(key.value) for key, _ in node.value]


def services_in(text: str) -> dict[str, str]:
    """Return the services of a compose file, each with its image ("" where it names none).

    Raises:
        ValueError: it cannot be read.
    """
    try:
        node = yaml.compose(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("it is no YAML that can be read") from None
    found = {}
    for name, service in _mapping(_mapping(node).get("services")).items():
        image = _mapping(service).get("image")
        found[name] = str(image.value) if isinstance(image, yaml.ScalarNode) else ""
    return found


def _mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def ollama_services(services: Mapping[str, str]) -> list[str]:
    """Return the services that run Ollama's image."""
    return [name for name, image in services.items() if re.search(r"(?:^|/)ollama(?::|@|$)", image)]
