"""Where servers stand: machines by name, and what is wrong with what a file says of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from harness.content import available, find
from harness.workload.mistakes import Mistakes, unknown
from harness.workload.schema import ServerSpec, Workload

__all__ = ["by_machine", "check_machines", "check_profile", "started_on"]

K = TypeVar("K", bound=Hashable)


def by_machine(servers: Mapping[K, ServerSpec]) -> dict[str | None, tuple[K, ...]]:
    """Return the keys of the servers on each machine, in their order; None = the one that needs no name."""
    found: dict[str | None, list[K]] = {}
    for key, spec in servers.items():
        found.setdefault(spec.machine, []).append(key)
    return {machine: tuple(keys) for machine, keys in found.items()}


def started_on(servers: Mapping[str, ServerSpec]) -> dict[str | None, tuple[str, ...]]:
    """Return the servers with an engine that are started here, by the machine that the file says they stand on.

    They all run on the machine that starts them: where these are several, the file says what cannot be.
    """
    return by_machine({name: spec for name, spec in servers.items() if not spec.running and not spec.simulated})


def check_machines(workload: Workload, folder: Path, mistakes: Mistakes) -> None:
    """Check that machines that are written down have servers, and that servers name no others."""
    machines = workload.machines
    named = {spec.machine for spec in workload.servers.values()}
    for name, spec in workload.servers.items():
        if machines and spec.machine is not None and spec.machine not in machines:
            hint = unknown("machine", spec.machine, machines)
            mistakes.add(("servers", name, "machine"), f'server "{name}": {hint} (all are in `machines`)')
    for name, machine in machines.items():
        if name not in named:
            message = f'machine "{name}" has no server; write `machine: {name}` at one, or remove it'
            mistakes.add(("machines", name), message, key=True)
        check_profile(("machines", name, "profile"), f'machine "{name}"', machine.profile, folder, mistakes)


def check_profile(at: Sequence[str], whose: str, profile: str | None, folder: Path, mistakes: Mistakes) -> None:
    """Check that a profile that is named is there; one that is named by path is read when it is needed."""
    if profile is None or "/" in profile or profile.endswith((".yaml", ".yml")):
        return
    if find("profiles", f"{profile}.yaml", folder) is None:
        known = available("profiles", ".yaml", folder)
        mistakes.add(tuple(at), f"{whose}: {unknown('profile', profile, known)}")
