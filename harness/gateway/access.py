"""Who may speak to a server on this machine: by the `Host` and the `Origin` of a request, as Ollama does it.

A page on the web can make a browser send requests to 127.0.0.1, and a name can be made to lead there (DNS rebinding).
The first is known by its `Origin`, the second by its `Host`. Programs send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Access", "host_of", "names"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - compared with
# Applications on this machine, whose pages are no web pages (`OLLAMA_ORIGINS`, envconfig/config.go of Ollama).
APPLICATIONS = frozenset({"app", "file", "tauri", "vscode-webview", "vscode-file"})


def host_of(value: str) -> str:
    """Return the host of a `Host` header or of an address with a port, in small letters; "" where it is none."""
    try:
        return (urlsplit(f"//{value.strip()}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


class Access(NamedTuple):
    """What is let in.

    bound: the address that is listened on; where it is every address of the machine, any address is taken, but no name.
    hosts, origins: further ones; an origin with scheme and host, such as https://chat.example.org, or "*" for all.
    """

    bound: str
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def refusal(self, headers: Mapping[bytes, bytes]) -> str:
        """Return why a request is refused, in a line; "" where it is let in."""
        host = host_of(headers.get(b"host", b"").decode("latin-1"))
        if not self._host_allowed(host):
            return f'host "{host}" is not allowed; name it with --allow-host'
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and not self._origin_allowed(origin):
            return f'origin "{origin}" is not allowed; name it with --allow-origin'
        return ""

    def _host_allowed(self, host: str) -> bool:
        if host in LOOPBACK or host.endswith(".localhost") or host == self.bound or host in self.hosts:
            return True
        return self.bound in ("0.0.0.0", "::") and _is_address(host)  # noqa: S104 - likewise

    def _origin_allowed(self, origin: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        return scheme in APPLICATIONS or (scheme in ("http", "https") and host_of(rest) in LOOPBACK)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def names(values: Iterable[str]) -> frozenset[str]:
    """Return hosts as they are compared."""
    return frozenset(host_of(value) for value in values)
