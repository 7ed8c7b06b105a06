"""Levers of candidates: which can be tried on a profile, each choice of them, and those of which nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from harness.core.levers import LEVERS, unusual
from harness.core.plan import Plan, simplicity_of
from harness.errors import UserError
from harness.profiles.compile import compile_costs, unknowns
from harness.profiles.levers import known_levers
from harness.profiles.schema import Profile
from harness.recommend.facts import NotTried, TooMuch
from harness.workload.schema import ServerSpec

__all__ = [
    "LeverChoice",
    "LeversOf",
    "choices_with_room",
    "lever_choices",
    "not_tried",
    "rank_of",
    "triable",
    "without_prompts",
]

LeversOf = Callable[[ServerSpec], Mapping[str, str]]  # what can be tried of a server: another value of a lever, by name


def triable(spec: ServerSpec, profile: Profile, extrapolate: bool) -> dict[str, str]:
    """Return the levers that can be tried of a server that is started here, each with its other value.

    Those whose effect the profile knows and was seen where it was measured; what the file sets stays as it is.
    """
    if spec.running:
        return {}
    slots, threads = spec.slots, spec.engine_threads
    try:  # what must be given beside a profile has nothing to do with its levers
        lacking = unknowns(profile, slots, threads=threads, extrapolate=extrapolate)
        given = {item.key: 0.0 for item in lacking if item.value is None}
        costs = compile_costs(profile, slots, threads=threads, given=given, extrapolate=extrapolate).costs
    except UserError:  # it cannot be predicted at all, which is said where it is tried
        return {}
    known = known_levers(profile, costs)
    return {name: value for name, value in known.items() if name not in spec.levers and LEVERS[name].searched}


def not_tried(spec: ServerSpec, profile: Profile, tried: set[str]) -> NotTried | None:
    """Return the levers of a server that the profile says nothing of; None where it has none that could be tried."""
    if spec.running or spec.simulated:
        return None
    names = tuple(
        name
        for name, lever in LEVERS.items()
        if name not in tried and name not in spec.levers and (lever.variables or not spec.levers_by_variable)
    )
    return NotTried(names, profile.name) if names else None


class LeverChoice(NamedTuple):
    """Servers with some levers pulled; the marks go behind the candidate's name and behind those of its servers."""

    specs: dict[str, ServerSpec]
    marks: dict[str, str]
    mark: str


def lever_choices(specs: Mapping[str, ServerSpec], levers_of: LeversOf) -> Iterator[LeverChoice]:
    """Yield these servers with every choice of their levers, none first; a lever is pulled at all that have it."""
    own = {server: levers_of(spec) for server, spec in specs.items()}
    names = dict.fromkeys(name for levers in own.values() for name in levers)
    for number in range(len(names) + 1):
        for chosen in combinations(names, number):
            pulled = {
                server: {name: levers[name] for name in chosen if name in levers} for server, levers in own.items()
            }
            everything = {name: value for levers in pulled.values() for name, value in levers.items()}
            yield LeverChoice(
                {
                    server: spec.with_levers(pulled[server]) if pulled[server] else spec
                    for server, spec in specs.items()
                },
                {server: _mark(levers) for server, levers in pulled.items()},
                _mark({name: everything[name] for name in chosen}),
            )


def without_prompts(spec: ServerSpec) -> dict[str, str]:
    """Return the lever with which a server's engine keeps no earlier prompts in main memory; none where it has none."""
    open_ = spec.prompt_cache_bytes and not spec.running and "ram_cache" not in spec.levers
    return {"ram_cache": "off"} if open_ else {}


def choices_with_room(
    specs: Mapping[str, ServerSpec], levers_of: LeversOf, too_much: Callable[[Mapping[str, ServerSpec]], TooMuch | None]
) -> list[tuple[LeverChoice, TooMuch | None]]:
    """Return every choice of levers of these servers, with what it does not fit into.

    Where it is for the engines' earlier prompts that none fits, those without these are choices, too.
    """
    found = [(choice, too_much(choice.specs)) for choice in lever_choices(specs, levers_of)]
    if all(why is not None and why.prompt_cache_bytes for _, why in found):
        found += [(choice, too_much(choice.specs)) for choice in lever_choices(specs, without_prompts) if choice.mark]
    return found


def rank_of(plan: Plan, servers: Mapping[str, ServerSpec]) -> tuple[int, ...]:
    """Return how simple a candidate is to run, see `simplicity_of`."""
    return simplicity_of(plan.queues, sum(len(unusual(servers[queue.server].levers)) for queue in plan.queues))


def _mark(levers: Mapping[str, str]) -> str:
    return "".join(f"-{name.replace('_', '-')}-{value}" for name, value in levers.items())
