"""The profiles of a prediction, and what it takes for granted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.levers import LEVERS
from harness.errors import UserError, did_you_mean
from harness.predict.servers import Profiles
from harness.profiles.compile import ASSUMPTIONS
from harness.profiles.load import load_profile
from harness.workload.load import Loaded
from harness.workload.machines import by_machine
from harness.workload.schema import same_model

__all__ = ["Named", "check_assumed", "profiles_of", "read_named", "with_levers"]


class Named(NamedTuple):
    """A profile as it is named: for all servers, for a machine, for a model, or for a model on a machine."""

    machine: str | None
    model: str  # "" = whatever it is
    profile: str


def read_named(text: str, machines: Collection[str]) -> Named:
    """Read NAME, MACHINE=NAME, MODEL=NAME or MACHINE:MODEL=NAME; what is no machine's name is a model's."""
    left, _, profile = text.rpartition("=")
    machine, _, model = left.partition(":")
    return Named(machine, model, profile) if machine in machines else Named(None, left, profile)


def profiles_of(named: Sequence[str], near: Path, loaded: Loaded, *, unused: bool = False) -> Profiles:
    """Read the profiles of a prediction; those in `near` come before those that are shipped.

    A machine that is not named has what the file says of it, else what its simulated servers play, else what all the
    rest has.

    Args:
        named: as `read_named` takes them: one for everything, or for each machine, or each model.
        near: the workload's folder.
        loaded: the workload.
        unused: the machines of servers that no candidate uses need one too.

    Raises:
        UserError: there is no such profile, a machine or a model has none or two, or one is for nobody.
    """
    servers = loaded.known_servers
    machines = [machine for machine in by_machine(servers) if machine is not None]
    found: dict[str | None, dict[str, str]] = {}
    for text in named:
        one = read_named(text, machines)
        _check_named(one, text, found.get(one.machine, {}), machines, loaded)
        found.setdefault(one.machine, {})[one.model] = one.profile
    for machine, names in by_machine(servers).items():
        if machine is not None and machine not in found and (own := _own_profile(loaded, machine, names)):
            found[machine] = {"": own}
    rest = found.pop(None, None)
    elsewhere = {str(machine): _read(chosen, near) for machine, chosen in found.items()}
    needs_rest = [machine for machine in by_machine(servers) if machine not in found]
    if rest is not None and not needs_rest:
        raise UserError(
            f"--profile {next(iter(rest.values()))}: every server stands on a machine with a profile of its own; leave "
            f"it out, or name the machine: --profile {machines[0]}=NAME"
        )
    if rest is None and any(machine not in found for machine in by_machine(servers if unused else loaded.servers)):
        raise UserError(_lacking(needs_rest, found))
    if rest is None:
        return Profiles(next(iter(elsewhere.values())).first, by_machine=elsewhere)
    return _read(rest, near)._replace(by_machine=elsewhere)


def _check_named(one: Named, text: str, others: Mapping[str, str], machines: Sequence[str], loaded: Loaded) -> None:
    """Raise UserError where a profile is for nobody, or stands beside one that is for the same."""
    prefix = "" if one.machine is None else f"{one.machine}:"
    twice = one.model in others and (one.model or one.machine is not None)
    if not one.profile or (others and "" in {one.model, *others} and not twice):
        such = f"--profile {machines[0]}=NAME" if machines and not prefix else f"--profile {prefix}gemma3-270m=NAME"
        by = "model or by machine" if machines else "model"
        raise UserError(
            f'--profile: several go by {by}, such as --profile {prefix}smollm2-135m=NAME {such}, found "{text}"'
        )
    if one.model in others:
        whom = f'model "{one.model}"' if one.model else ""
        where = f'machine "{one.machine}"' if one.machine is not None else ""
        raise UserError(f"--profile: two profiles for {' on '.join(filter(None, (whom, where)))}; give one")
    specs = loaded.known_servers.values()
    nodes = [node.model for pipeline in loaded.pipelines for node in pipeline.graph.nodes if node.model]
    models = dict.fromkeys([*nodes, *(spec.model for spec in specs)])
    if one.model and not any(same_model(one.model, model) for model in models):
        known = [*models] if one.machine is not None or not machines else [*machines, *models]
        kind = "machine or model" if machines and one.machine is None else "model"
        hint = did_you_mean(one.model, known) or f"; there is {', '.join(known)}"
        raise UserError(f'--profile {text}: no {kind} "{one.model}" in the workload{hint}')


def _own_profile(loaded: Loaded, machine: str, names: Sequence[str]) -> str:
    """Return what the file says of a machine's profile: its own key, else the one that all servers there play."""
    spec = loaded.workload.machines.get(machine)
    if spec is not None and spec.profile is not None:
        return spec.profile
    servers = loaded.known_servers
    played = {one.profile if (one := servers[name].simulation) is not None else "" for name in names}
    return played.pop() if len(played) == 1 else ""


def _lacking(machines: Sequence[str | None], found: Mapping[str | None, object]) -> str:
    named = [machine for machine in machines if machine is not None]
    if not named and not found:
        return "a prediction needs the profile of a machine: give one with --profile NAME"
    if not named:
        return "there is no profile for the servers that name no machine: give one with --profile NAME"
    each = " ".join(f"--profile {machine}=NAME" for machine in named)
    return (
        f"there is no profile for {'machine' if len(named) == 1 else 'machines'} {', '.join(named)}: give {each}, or "
        "one for all that have none of their own, --profile NAME"
    )


def _read(chosen: Mapping[str, str], near: Path) -> Profiles:
    """Load what is chosen for one place: one profile, or one for each model."""
    profiles = {model: load_profile(_path(name, near), near) for model, name in chosen.items()}
    first = next(iter(profiles.values()))
    return Profiles(first) if "" in profiles else Profiles(first, profiles)


def _path(name: str, near: Path) -> str:
    """Return a profile that a file names by path as seen from here."""
    return str(near / name) if (near / name).is_file() else name


def with_levers(loaded: Loaded, levers: Mapping[str, str]) -> Loaded:
    """Return a workload whose servers have these levers beside those that it gives them.

    Raises:
        UserError: there is no such lever.
    """
    for name in levers:
        if name not in LEVERS:
            raise UserError(f'--lever: expected one of {", ".join(LEVERS)}, found "{name}"{did_you_mean(name, LEVERS)}')
    if not levers:
        return loaded
    return loaded._replace(servers={name: spec.with_levers(levers) for name, spec in loaded.servers.items()})


def check_assumed(assume: Mapping[str, float]) -> None:
    """Raise UserError where something is given that no profile has."""
    known = (*ASSUMPTIONS, "load_s")
    for key in assume:
        if key not in known:
            raise UserError(f'--assume: expected one of {", ".join(known)}, found "{key}"{did_you_mean(key, known)}')
