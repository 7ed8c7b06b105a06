"""Which servers every node goes to: where `place` puts it, unless its agent names a model that is not there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from harness.workload.schema import ServerSpec, Where, same_model

__all__ = ["Goes", "Lacking", "Models", "Placed", "goes", "models_by_server", "node_servers"]

# The model that each agent node of each pipeline asks for, in the walk's order; "" = whatever its server has.
Models = Mapping[str, Mapping[str, str]]


class Lacking(NamedTuple):
    """A node whose model no server that it could go to has."""

    candidate: str
    pipeline: str
    node: str
    model: str
    have: str  # what the servers have, in words
    embeds: bool = False

    def sentence(self) -> str:
        """Say it: node, model, what the servers have."""
        if self.embeds:
            return (
                f'node "{self.node}" of pipeline "{self.pipeline}" embeds with "{self.model}", and candidate '
                f'"{self.candidate}" places it on no server that can: the embedded engine has no embedding models; '
                "place it on a server of kind: ollama or simulated"
            )
        return (
            f'node "{self.node}" of pipeline "{self.pipeline}" asks for model "{self.model}", and candidate '
            f'"{self.candidate}" finds it on no server ({self.have}); place it on a server with that model, or use '
            "kind: ollama, which can serve several"
        )


class Goes(NamedTuple):
    """Where calls go: to one server, or to one of several."""

    servers: tuple[str, ...]
    policy: str = ""  # the placement policy that chooses among several


def goes(where: Where) -> Goes:
    """Return what was written as servers and a policy."""
    return Goes((where,)) if isinstance(where, str) else Goes(where.servers, where.policy)


class Placed(NamedTuple):
    """The servers of every (pipeline, node), and the nodes that find their model nowhere."""

    servers: dict[tuple[str, str], Goes]
    lacking: tuple[Lacking, ...]


def node_servers(
    models: Models,
    place: Where | Mapping[str, Where] | None,
    default: str,
    servers: Mapping[str, ServerSpec],
    twin: Callable[[str, str], str] | None = None,
    candidate: str = "",
    embedding: Collection[tuple[str, str]] = (),
) -> Placed:
    """Return the servers of every (pipeline, node) under a candidate.

    A node that `place` names itself (PIPELINE.NODE; of a sub-pipeline also by the node that uses it) goes there and
    nowhere else. Any other goes where its pipeline is
    placed if that server has its model, else to the server of the file that has it: the one most like the server that
    it was placed on (kind, then slots), the first among equals. `twin(found, placed)` may replace it by a copy.
    Of several servers those count that have its model; where none has, the first is the one that it was placed on.
    An embedding (a node among `embedding`) can go to every server that embeds: these have or load any such model.
    """
    found: dict[tuple[str, str], Goes] = {}
    lacking = []
    have = ", ".join(f'"{name}" has {spec.model}' for name, spec in servers.items())
    for pipeline, nodes in models.items():
        for node, model in nodes.items():
            itself = _placed_itself(place, pipeline, node) if isinstance(place, Mapping) else None
            where = goes(itself or (place.get(pipeline, default) if isinstance(place, Mapping) else place or default))
            embeds = (pipeline, node) in embedding
            able = tuple(
                name
                for name in where.servers
                if name not in servers or (servers[name].embeds if embeds else servers[name].serves(model))
            )
            if able:
                where = Goes(able, where.policy if len(able) > 1 else "")
            else:
                server, like = where.servers[0], servers[where.servers[0]]
                others = [name for name, spec in servers.items() if same_model(model, spec.model)]
                if embeds:
                    others = [name for name in servers if servers[name].embeds]
                    others = [name for name in others if same_model(model, servers[name].model)] or others
                if itself or not others:
                    lacking.append(Lacking(candidate, pipeline, node, model, have, embeds))
                else:
                    # max keeps the first among equals
                    other = max(others, key=lambda name: _likeness(servers[name], like))
                    where = Goes((twin(other, server) if twin else other,))
            found[pipeline, node] = where
    return Placed(found, tuple(lacking))


def _placed_itself(place: Mapping[str, Where], pipeline: str, node: str) -> Where | None:
    while node:
        server = place.get(f"{pipeline}.{node}")
        if server is not None:
            return server
        node = node.rpartition("/")[0]
    return None


def _likeness(spec: ServerSpec, like: ServerSpec) -> tuple[bool, bool, int]:
    return spec.kind == like.kind, spec.slots == like.slots, spec.slots


def models_by_server(
    models: Models, placed: Sequence[Mapping[tuple[str, str], Goes]], servers: Mapping[str, ServerSpec]
) -> dict[str, tuple[str, ...]]:
    """Return the models that are asked for on each server, its own first where it is among them."""
    asked: dict[str, dict[str, None]] = {}
    for places in placed:
        for (pipeline, node), server in ((key, server) for key, where in places.items() for server in where.servers):
            own = servers[server].model
            model = models[pipeline][node] or own
            names = asked.setdefault(server, {})
            if not any(same_model(model, other) for other in names):
                names[own if same_model(model, own) else model] = None
    return {name: tuple(sorted(names, key=lambda model: model != servers[name].model)) for name, names in asked.items()}
