"""What differs between two machines, or between two lists of servers, as facts; `harness.wording.changes` says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from harness.runs.model import ServerFacts

__all__ = ["Changed", "changes", "server_changes"]

# Of a server; its address and what was measured of it are not what it is.
_FACTS = ("kind", "model", "slots_asked", "slots_found", "version", "details")


class Changed(NamedTuple):
    """A fact that is another one now; None: it was, or is, not there."""

    what: str
    before: object
    now: object
    server: str = ""  # whose fact it is; "": the machine's, or the run's


def changes(before: Mapping[str, Any], now: Mapping[str, Any], name: str = "") -> list[Changed]:
    """Return every key whose value differs; what both lack or share is left out."""
    found = []
    for key in dict.fromkeys((*before, *now)):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        what = f"{name} {key}".strip()
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            found += changes(_mapping(old), _mapping(new), "" if key in ("packages", "details") else what)
        else:
            found.append(Changed(what, old, new))
    return found


def server_changes(before: Iterable[ServerFacts], now: Iterable[ServerFacts]) -> list[Changed]:
    """Return what differs between servers of the same name."""
    old = {server.name: _facts(server) for server in before}
    return [
        change._replace(server=server.name)
        for server in now
        if server.name in old
        for change in changes(old[server.name], _facts(server))
    ]


def _facts(server: ServerFacts) -> dict[str, Any]:
    return {name: getattr(server, name) for name in _FACTS}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
