"""What can be turned in a workload without writing YAML: slots, users, rates of arrival, lengths of answers, levers.

A workload with other values in it is written as YAML again, so that it can be kept, and predicted as any other is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.core.levers import LEVERS, Levers
from harness.errors import UserError, did_you_mean
from harness.workload.load import Loaded
from harness.workload.schema import scaled

__all__ = ["LeverDial", "PipelineDial", "ServerDial", "Turned", "dials_of", "lever_dials", "turned"]

MOST_USERS = 10_000
MOST_SLOTS = 64
FACTORS = 0.01, 100.0  # the least and the most of what a rate or a length is multiplied with


class ServerDial(NamedTuple):
    """A server of the file whose slots can be turned."""

    name: str
    slots: int
    model: str


class PipelineDial(NamedTuple):
    """How jobs of a pipeline come."""

    name: str
    users: int  # of a closed loop; 0: there are none
    per_s: float | None  # jobs a second, the mean; None: there is no such rate


class LeverDial(NamedTuple):
    """A setting of the engine whose effect a prediction knows."""

    name: str
    about: str
    values: tuple[str, ...]
    usual: str


@dataclass(frozen=True, kw_only=True)
class Turned:
    """What is to be another value; what is left out stays as it is written."""

    slots: Mapping[str, int] = field(default_factory=dict)  # by server
    users: Mapping[str, int] = field(default_factory=dict)  # by pipeline: people in a closed loop
    rate: Mapping[str, float] = field(default_factory=dict)  # by pipeline: a factor on how often jobs come
    answers: float = 1.0  # a factor on the length of every answer
    levers: Mapping[str, str] = field(default_factory=dict)  # by name, of every server of the file

    def __bool__(self) -> bool:
        return bool(self.slots or self.users or self.rate or self.levers or self.answers != 1)


def dials_of(loaded: Loaded) -> tuple[tuple[ServerDial, ...], tuple[PipelineDial, ...]]:
    """Return what can be turned in a workload: its servers, and its pipelines."""
    servers = tuple(ServerDial(name, spec.slots, spec.model) for name, spec in loaded.workload.servers.items())
    pipelines = tuple(
        PipelineDial(name, process.users, process.mean_per_s)
        for name, spec in loaded.workload.pipelines.items()
        for process in (spec.arrival.process(),)
    )
    return servers, pipelines


def lever_dials() -> tuple[LeverDial, ...]:
    """Return the levers whose effect is in the server model; of others nothing is predicted."""
    known = (LEVERS[name] for name in Levers._fields)
    return tuple(LeverDial(one.name, one.about, one.values, one.usual) for one in known)


def turned(loaded: Loaded, to: Turned) -> dict[str, Any]:
    """Return a workload with other values, as plain data. Comments and role cards' files are not in it.

    Raises:
        UserError: there is no such server, pipeline or lever, or it has nothing of that kind.
    """
    workload = loaded.workload
    if to.answers != 1 and loaded.cards:  # a role card is another file: its agent is written out
        workload = workload.model_copy(update={"agents": {**workload.agents, **loaded.cards}})
    plain = workload.to_plain()
    for name, slots in to.slots.items():
        _known("server", name, plain.get("servers", {}))
        _within(f'slots of "{name}"', slots, 1, MOST_SLOTS)
        plain["servers"][name]["slots"] = slots
    for name, value in to.levers.items():
        if name not in LEVERS:
            raise UserError(f'expected a lever of {", ".join(LEVERS)}, found "{name}"{did_you_mean(name, LEVERS)}')
        for server in plain.get("servers", {}).values():
            server.setdefault("levers", {})[name] = value
    for name, users in to.users.items():
        _known("pipeline", name, plain["pipelines"])
        _within(f'users of "{name}"', users, 1, MOST_USERS)
        if not workload.pipelines[name].arrival.process().users:
            raise UserError(f'pipeline "{name}" has no users: its jobs come at a rate or at times of their own')
        plain["pipelines"][name]["arrival"]["closed"] = users
    for name, factor in to.rate.items():
        _known("pipeline", name, plain["pipelines"])
        _within(f'rate of "{name}"', factor, *FACTORS)
        if factor == 1:
            continue
        arrival = workload.pipelines[name].arrival
        if arrival.process().users:
            raise UserError(f'pipeline "{name}" has users, and no rate: a user waits for the answer')
        plain["pipelines"][name]["arrival"] = arrival.faster(factor)
    if to.answers != 1:
        _within("length of answers", to.answers, *FACTORS)
        for agent in _agents(plain):
            if "output_tokens" in agent:
                agent["output_tokens"] = scaled(agent["output_tokens"], to.answers)
    return plain


def _agents(plain: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every agent that is written out, by name or at its node."""
    graphs = [*plain["pipelines"].values(), *plain.get("subpipelines", {}).values()]
    inline = [node.get("agent") for graph in graphs for node in graph["nodes"].values()]
    return [*plain.get("agents", {}).values(), *(agent for agent in inline if isinstance(agent, dict))]


def _known(what: str, name: str, there: Mapping[str, Any]) -> None:
    if name not in there:
        raise UserError(f'no {what} "{name}" in the workload{did_you_mean(name, there)}')


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UserError(f"{what}: expected {least:g} to {most:g}, found {value:g}")
