"""Who may speak to a server on this machine: by the `Host` and the `Origin` of a request, as Ollama does it.

A page on the web can make a browser send requests to 127.0.0.1, and a name can be made to lead there (DNS rebinding).
The first is known by its `Origin`, the second by its `Host`. Programs send no `Origin`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OWN_MACHINE", "Access", "Guarded", "host_of", "names", "preflight", "shared"]

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

    @classmethod
    def given(cls, host: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> Access:
        """Return it as the command line has it; the address to listen on may be a name."""
        return cls(host, names((*hosts, host)), frozenset(origins))

    def _host_allowed(self, host: str) -> bool:
        if host in LOOPBACK or host.endswith(".localhost") or host == self.bound or host in self.hosts:
            return True
        return self.bound in ("0.0.0.0", "::") and _is_address(host)  # noqa: S104 - likewise

    def _origin_allowed(self, origin: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        scheme, _, rest = origin.partition("://")
        return scheme in APPLICATIONS or (scheme in ("http", "https") and host_of(rest) in LOOPBACK)


OWN_MACHINE = Access("127.0.0.1")


class Guarded:
    """An app that only those reach who are let in; the others get a 403 in Ollama's form."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; pages that may call it may read the answer too."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        if not scope.get("query_string", b"").isascii():  # no URL, which Starlette would stumble over
            kind = [(b"content-type", b"application/json; charset=utf-8")]
            await _send(send, 400, kind, json.dumps({"error": "the query of the URL must be ASCII"}).encode())
            return
        if not headers:
            await self._app(scope, receive, send)
            return
        refusal = self._access.refusal(headers)
        if refusal:
            kind = [(b"content-type", b"application/json; charset=utf-8")]
            await _send(send, 403, kind, json.dumps({"error": refusal}).encode())
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _send(send, 204, preflight(headers), b"")
            return
        if b"origin" not in headers:
            await self._app(scope, receive, send)
            return

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *shared(headers)]}
            await send(message)

        await self._app(scope, receive, send_shared)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def shared(headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return what lets a page read the answer, where its origin has been let in."""
    origin = headers.get(b"origin")
    return [] if origin is None else [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


def preflight(headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the answer to a browser that asks before it sends: what its origin may do, it may do in any way."""
    wanted = headers.get(b"access-control-request-headers", b"*")
    methods = (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS")
    return [*shared(headers), methods, (b"access-control-allow-headers", wanted), (b"access-control-max-age", b"600")]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def names(values: Iterable[str]) -> frozenset[str]:
    """Return hosts as they are compared."""
    return frozenset(host_of(value) for value in values)
