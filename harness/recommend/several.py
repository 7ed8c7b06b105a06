"""The candidates of a workload whose nodes ask for two models: a server for each, side by side on half of the cores.

Where the file has them on different machines, each has its machine to itself.

Which node goes where is then no question; what is left to choose is how many slots each has, and how it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from harness.core.context import CallNeed
from harness.core.plan import Plan
from harness.core.scheduling import FIFO
from harness.errors import UserError
from harness.profiles.schema import Profile
from harness.recommend.designs import ways_of
from harness.recommend.facts import (
    DoNotFit,
    Excluded,
    MoreMachines,
    OneServerForBoth,
    ShortContext,
    TooMuch,
    TwoSchedulings,
)
from harness.recommend.levers import LeverChoice, choices_with_room, rank_of, triable
from harness.recommend.runners import as_loaded
from harness.recommend.space import Candidate, Space, halves_of, slot_counts
from harness.wording.searches import excluded_text, excluded_why
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded
from harness.workload.longest import needs_of
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec, same_model

__all__ = ["asked_models", "check_models", "server_like", "space_of_two"]

SERVERS = 2


def asked_models(loaded: Loaded) -> tuple[str, ...]:
    """Return the models that nodes ask for, that of the server with most slots first; one where it plays a profile."""
    like = loaded.servers[most_slots(loaded.servers)]
    if like.simulated:
        return (like.model,)
    found = dict.fromkeys(
        like.model if not node.model or same_model(node.model, like.model) else node.model
        for pipeline in loaded.pipelines
        for node in pipeline.graph.nodes
        if node.kind == "agent" and not node.batch  # a model that embeds is beside the others on each server
    )
    return tuple(sorted(found, key=lambda model: model != like.model))


def server_like(loaded: Loaded, model: str) -> ServerSpec:
    """Return the server that those of a model are like: the one of the file with most slots, with that model.

    Where servers with that model stand on other machines only, it stands on theirs.
    """
    base = loaded.servers[most_slots(loaded.servers)]
    if base.simulated or same_model(base.model, model):
        return base
    placed = [spec.machine for spec in loaded.servers.values() if same_model(spec.model, model)]
    machine = base.machine if not placed or base.machine in placed else placed[0]
    return base.model_copy(update={"model": model} | ({"machine": machine} if machine != base.machine else {}))


def check_models(loaded: Loaded) -> None:
    """Raise UserError where nodes ask for more models than there are searched ways to serve."""
    models, like = asked_models(loaded), loaded.servers[most_slots(loaded.servers)]
    running = len(models) > 1 and like.running
    if len(models) > SERVERS or running:
        what = "several models of a running server" if running else f"{len(models)} models"
        raise UserError(
            f"nodes ask for {' and '.join(models)}, and recommend searches the ways to give each of two models a "
            f"server of its own, not {what}; name the candidates in `compare` for slotwise simulate or run"
        )
    if loaded.embedding_models and (len(models) > 1 or not like.embeds):
        why = f"{' and '.join(models)} answer" if len(models) > 1 else f"its server (kind: {like.kind}) does not embed"
        raise UserError(
            f"nodes embed with {' and '.join(sorted(loaded.embedding_models))}, and recommend searches the ways to use "
            f"a server with one model that answers beside the one that embeds, but {why}; name the candidates in "
            "`compare` for slotwise simulate or run"
        )


def space_of_two(
    loaded: Loaded,
    profiles: Mapping[str, Profile],
    *,
    extrapolate: bool = False,
    max_slots: int | None = None,
    fits: Callable[[Sequence[ServerSpec]], TooMuch | None] | None = None,
) -> Space:
    """Return every candidate that gives each of two models a server of its own.

    Args:
        loaded: the workload.
        profiles: of each model, on its machine.
        extrapolate, max_slots, fits: see `harness.recommend.space.design_space`.

    Raises:
        UserError: there are more than two models, a server is a running one, or nothing is left.
    """
    models, base = asked_models(loaded), most_slots(loaded.servers)
    check_models(loaded)
    left_out: list[Excluded] = [OneServerForBoth(), TwoSchedulings()]
    choices: list[list[ServerSpec]] = []
    likes = {model: server_like(loaded, model) for model in models}
    apart = len({like.machine for like in likes.values()}) == len(likes)  # then each has a machine to itself
    used = {like.machine for like in likes.values()}
    if others := tuple(machine or "here" for machine in by_machine(loaded.known_servers) if machine not in used):
        left_out.append(MoreMachines(others))
    place = _placed(loaded, models)
    for (model, like), need in zip(likes.items(), _longest(loaded, place), strict=True):
        if need is not None and need.tokens > like.context_tokens:
            left_out.append(ShortContext(like.context_tokens, need.enough, model))
            like = like.model_copy(update={"context_tokens": need.enough})
        slots = slot_counts(like, profiles[model], extrapolate, max_slots, left_out)
        if apart:
            choices.append([like.with_slots(n) for n in slots])
            continue
        halves, missing = halves_of(like, profiles[model], slots, extrapolate)
        if missing:
            raise UserError(f"two servers side by side are needed, and {excluded_why(missing)}")
        choices.append(halves)
    shared = _both_paths(loaded, models)
    servers: dict[str, ServerSpec] = {}
    plans: list[Plan] = []
    dropped: dict[TooMuch, int] = {}
    for first, second in product(*choices):
        specs = {_called(spec): spec for spec in (first, second)}
        one, other = specs
        pulled: list[LeverChoice] = []
        for choice, why in choices_with_room(
            specs,
            lambda spec: triable(spec, profiles[spec.model], extrapolate),
            lambda own: fits(as_loaded(loaded.pipelines, place, list(own.values()))) if fits else None,
        ):
            if why:
                dropped[why] = dropped.get(why, 0) + 1
            else:
                pulled.append(choice)
        for choice in pulled:
            servers |= {server + choice.marks[server]: spec for server, spec in choice.specs.items()}
        for mine, theirs in product(
            ways_of(loaded.policies, first.slots, shared=shared[0]),
            ways_of(loaded.policies, second.slots, shared=shared[1]),
        ):
            if mine.scheduling != theirs.scheduling and FIFO not in (mine.scheduling, theirs.scheduling):
                continue
            name = f"{models[0]}:{mine.name}+{models[1]}:{theirs.name}"
            plans += [
                Plan(name + c.mark, (mine.queue(one + c.marks[one]), theirs.queue(other + c.marks[other])), place)
                for c in pulled
            ]
    left_out += [DoNotFit(n, "pair of servers", reason) for reason, n in dropped.items()]
    if not plans:
        raise UserError("no candidate is left to try. " + "; ".join(map(excluded_text, left_out)))
    whole = loaded._replace(
        servers=servers,
        plans=tuple(plans),
        derived=tuple(servers),
        models={name: (spec.model,) for name, spec in servers.items()},
    )
    candidates = tuple(Candidate(number, plan, rank_of(plan, servers)) for number, plan in enumerate(plans))
    return Space(whole, candidates, tuple(left_out), base)


def _placed(loaded: Loaded, models: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the number of the model that each node of each pipeline asks for; 0 where it asks for none."""
    return tuple(
        tuple(
            models.index(next(model for model in models if not node.model or same_model(node.model, model)))
            if node.kind == "agent" and not node.batch
            else 0
            for node in pipeline.graph.nodes
        )
        for pipeline in loaded.pipelines
    )


def _longest(loaded: Loaded, place: Sequence[Sequence[int]]) -> list[CallNeed | None]:
    """Return the longest call of each of two models."""
    model_of = {
        (pipeline.name, node.name): number
        for pipeline, numbers in zip(loaded.pipelines, place, strict=True)
        for node, number in zip(pipeline.graph.nodes, numbers, strict=True)
    }
    needs = needs_of(loaded)
    return [
        max((n for n in needs if model_of[n.pipeline, n.node] == number), key=lambda n: n.tokens, default=None)
        for number in range(SERVERS)
    ]


def _called(spec: ServerSpec) -> str:
    name = "".join(letter if letter.isalnum() else "-" for letter in spec.model.rpartition("/")[2]).strip("-")
    return f"{name}-{spec.slots}"


def _both_paths(loaded: Loaded, models: Sequence[str]) -> list[bool]:
    """Say for each model whether calls of both paths come to its server."""
    found = []
    for number, model in enumerate(models):
        paths = {
            pipeline.path
            for pipeline in loaded.pipelines
            for node in pipeline.graph.nodes
            if node.kind == "agent" and not node.batch
            if (same_model(node.model, model) if node.model else number == 0)
        }
        found.append(len(paths) > 1)
    return found
