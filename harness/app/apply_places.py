"""Where the settings of a server go on this machine: the file, what it will say, and the commands that have it read."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.app.kept_file import read_file
from harness.deploy.block import block_in
from harness.deploy.checked import NAMES, checked_environment, checked_service
from harness.deploy.compose_override import BASES, OVERRIDES, OWN, ollama_services, override_text, services_in
from harness.deploy.deployment import FIRST_SERVICE, DeployedServer
from harness.deploy.launchd import AGENTS, agent_label, agent_text
from harness.deploy.systemd import DROP_IN_NAME, UNITS, drop_in_text, other_settings
from harness.errors import UserError, did_you_mean

__all__ = ["PLACES", "PLAIN_NAME", "UNIT_FOLDERS", "Commands", "FilePlace", "commands_for", "find_place"]

PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
Commands = tuple[tuple[str, ...], ...]
UNIT_FOLDERS = (UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                "/lib/systemd/system")  # fmt: skip  # the first that has a name counts (systemd.unit(5))


class FilePlace(NamedTuple):
    """A file that settings go to."""

    kind: str
    why: str  # this kind was taken
    path: Path
    service: str  # as systemd, launchd or compose calls it
    variables: Mapping[str, str]
    write: Callable[[str], str]  # what the file says now -> what it is to say
    commands: Commands  # that have it read; empty: nothing reads it there
    notes: tuple[str, ...] = ()


def find_place(server: DeployedServer, kind: str | None, to: Path | None) -> FilePlace:
    """Return where a server's settings go.

    Args:
        server: of a candidate.
        kind: systemd, launchd or compose; None: what this machine has.
        to: the file; None: where its reader looks for it.

    Raises:
        UserError: there is no such kind, the machine has none of them, or the run has something else than settings.
    """
    checked_service(server.service)
    if kind is None:
        kind, why = _usual()
    elif kind in PLACES:
        why = "asked for with --as"
    else:
        raise UserError(f'--as: expected {", ".join(PLACES)}, found "{kind}"{did_you_mean(kind, PLACES)}')
    place = PLACES[kind](server, to)
    return place._replace(why=why, path=place.path.absolute())


def _usual() -> tuple[str, str]:
    if sys.platform == "darwin":
        return "launchd", "this is macOS"
    if shutil.which("systemctl") and _unit(FIRST_SERVICE):
        return "systemd", f"{FIRST_SERVICE}.service is on this machine"
    if any(Path(name).is_file() for name in BASES) and _base(Path()):
        return "compose", "a compose file is in this folder"
    raise UserError(
        "nothing here that starts Ollama: no ollama.service of systemd, no compose file in this folder, no macOS. "
        "Choose with --as systemd, --as launchd or --as compose; --to PATH writes the file elsewhere"
    )


# --- systemd ----------------------------------------------------------------------------------------------------------


def _unit(service: str) -> Path | None:
    found = (Path(folder) / f"{service}.service" for folder in UNIT_FOLDERS)
    return next((path for path in found if path.is_file()), None)


def _systemd(server: DeployedServer, to: Path | None) -> FilePlace:
    service, variables = server.service, checked_environment(server)
    if to is None and _unit(service) is None:
        first = _unit(FIRST_SERVICE)
        copied = f"sudo cp {first} {UNITS}/{service}.service && sudo systemctl daemon-reload"
        do = f"Make it: {copied}" if first and service != FIRST_SERVICE else "Name another file with --to PATH"
        raise UserError(f"systemd has no {service}.service on this machine. {do}")
    path = to or Path(UNITS) / f"{service}.service.d" / DROP_IN_NAME
    return FilePlace(
        "systemd", "", path, service, variables,
        partial(drop_in_text, environment=variables, risks=server.risks),
        commands_for("systemd", path, service),
        _others(path, service, variables),
    )  # fmt: skip


def _others(path: Path, service: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Say which other files of the unit set the same variables, and which of them win."""
    files: dict[str, Path] = {}
    unit = _unit(service)
    folders = [*(Path(folder) / f"{service}.service.d" for folder in UNIT_FOLDERS)]
    for folder in (path.parent, *folders) if path.parent.name == f"{service}.service.d" else folders:
        for one in sorted(folder.glob("*.conf")) if folder.is_dir() else ():
            files.setdefault(one.name, one)
    files.pop(path.name, None)
    every = [*([unit] if unit else []), *(files[name] for name in sorted(files))]
    texts = []
    for one in every:
        try:
            texts.append((str(one), one.read_bytes()[: 1 << 20].decode("utf-8", "replace")))
        except OSError:
            continue
    said = []
    for other in other_settings(path.name, texts, variables):
        if not other.variable:
            what = f"reads variables from {other.value}" if other.value else "clears what was set before"
            said.append(f"{other.path} {what}; that comes after this file, so check it")
        elif other.wins:
            said.append(f"{other.path} sets {other.variable}={other.value} and wins, because it comes after this file")
        else:
            said.append(f"{other.path} sets {other.variable}={other.value}; this file comes after it and wins")
    return tuple(said)


# --- launchd ----------------------------------------------------------------------------------------------------------


def _launchd(server: DeployedServer, to: Path | None) -> FilePlace:
    service, variables = server.service, checked_environment(server)
    path = to or Path(AGENTS).expanduser() / f"{agent_label(service)}.plist"

    def write(current: str) -> str:
        if current and f"<string>{agent_label(service)}</string>" not in current:
            raise ValueError(f"it is not the agent {agent_label(service)}")
        return agent_text(service, variables)

    return FilePlace("launchd", "", path, service, variables, write, commands_for("launchd", path, service, variables))


# --- compose ----------------------------------------------------------------------------------------------------------


def _base(folder: Path) -> Path | None:
    return next((folder / name for name in BASES if (folder / name).is_file()), None)


def _text(path: Path) -> str:
    found = read_file(path)
    return "" if found is None else found.text


def _ours(path: Path) -> bool:
    try:
        return block_in(_text(path)) is not None
    except ValueError:
        return True


def _compose(server: DeployedServer, to: Path | None) -> FilePlace:
    variables = checked_environment(server, on_host=False)
    folder = to.parent if to else Path()
    base = _base(folder)
    override = next((folder / name for name in OVERRIDES if (folder / name).is_file()), None)
    if to is not None:
        path = to
    elif base is None or _ours(base):
        path = base or folder / BASES[0]
    elif override is None or _ours(override):
        path = override or folder / f"{'docker-' if base.name.startswith('docker') else ''}compose.override.yaml"
    else:
        path = folder / OWN
    try:
        known = services_in(_text(base)) if base is not None and base.name != path.name else {}
    except ValueError as error:
        raise UserError(f"{base}: {error}") from None
    service = _called(server.service, known, base)
    return FilePlace(
        "compose", "", path, service, variables,
        partial(override_text, service=service, environment=variables, risks=server.risks,
                port=None if service in known else server.port),
        commands_for("compose", path, service),
    )  # fmt: skip


def _called(service: str, known: Mapping[str, str], base: Path | None) -> str:
    """Return what a compose file calls a server: of the first one, the service that has Ollama's image."""
    if service in known or service != FIRST_SERVICE:
        return service
    found = ollama_services(known)
    if len(found) > 1:
        raise UserError(
            f"{base}: {len(found)} services have Ollama's image ({', '.join(found)}); name the one that is meant "
            f"{FIRST_SERVICE}, or write a file of your own: slotwise report RUN --settings compose"
        )
    if found and not re.fullmatch(PLAIN_NAME, found[0]):
        raise UserError(f'{base}: expected a service with a plain name, found "{found[0][:80]}"')
    return found[0] if found else service


# --- what has a file read ---------------------------------------------------------------------------------------------


def commands_for(
    kind: str, path: Path, service: str, variables: Mapping[str, str] | None = None, *, undone: bool = False
) -> Commands:
    """Return the commands that make the server read a file, or forget it where it was `undone`; empty: none."""
    if kind == "systemd":
        if path.parent.name != f"{service}.service.d":
            return ()
        user = ("--user",) if path.absolute().parents[1].name == "user" else ()
        return (("systemctl", *user, "daemon-reload"), ("systemctl", *user, "restart", f"{service}.service"))
    if kind == "launchd":
        if service != FIRST_SERVICE:
            unload = ("launchctl", "unload", str(path))
            return (unload,) if undone else (unload, ("launchctl", "load", str(path)))
        named = {name: value for name, value in (variables or {}).items() if name in NAMES}
        verb = "unsetenv" if undone else "setenv"
        sets = tuple(("launchctl", verb, name, *(() if undone else (value,))) for name, value in named.items())
        if Path("/Applications/Ollama.app").exists():
            return (*sets, ("killall", "Ollama"), ("open", "-a", "Ollama"))
        return (*sets, ("brew", "services", "restart", "ollama"))
    base = _base(path.parent)
    override = next((path.parent / name for name in OVERRIDES if (path.parent / name).is_file()), None)
    files = [one for one in (base, override, path) if one is not None and not (undone and one == path)]
    files = list(dict.fromkeys(one.absolute() for one in files))
    named_files = tuple(word for one in files for word in ("-f", str(one)))
    return (("docker", "compose", *named_files, "up", "-d", "--no-deps", service),) if files else ()


PLACES: dict[str, Callable[[DeployedServer, Path | None], FilePlace]] = {
    "systemd": _systemd,
    "launchd": _launchd,
    "compose": _compose,
}
