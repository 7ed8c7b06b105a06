"""The candidates that are looked at: every way to run a workload that its server, its profile and its paths leave open.

A candidate is servers and a plan, named for what it does: `window3-on-4` is one server with four slots and at most
three calls in flight; `serial-on-1+waves-on-4` is two servers, each on half of the cores, the interactive path on the
first; `-in-768` are slots of 768 tokens, where only so they fit into memory. Where servers stand on several machines,
`-at-gpu0` says on which one a server is, and `4x-` is one on each. What is left out is left out by a rule, and each
rule that left something out is said with how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.core.plan import Plan
from harness.errors import UserError
from harness.predict.runners import loads_beside
from harness.predict.servers import Profiles
from harness.profiles.schema import Profile
from harness.recommend.designs import Designs, Place
from harness.recommend.facts import (
    DoNotFit,
    Excluded,
    FixedSlots,
    LessContext,
    NotInProfile,
    NoTwoServers,
    OneEach,
    OtherModel,
    SameMachines,
    ShortContext,
    TooMuch,
)
from harness.recommend.levers import not_tried, rank_of, triable
from harness.wording.searches import excluded_text
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded
from harness.workload.machines import by_machine as servers_by_machine
from harness.workload.schema import FrozenDict, ServerSpec, same_model

__all__ = [
    "MOST_SLOTS",
    "Candidate",
    "Space",
    "design_space",
    "halves_of",
    "places_of",
    "slot_counts",
]

MOST_SLOTS = 16  # tried with --extrapolate where nothing else is asked for


class Candidate(NamedTuple):
    """One way to run the workload; `number` is its place in the space."""

    number: int
    plan: Plan
    simplicity: tuple[int, ...]  # the lower, the simpler to run: decides between those that are equal

    @property
    def name(self) -> str:
        """What it is called everywhere."""
        return self.plan.name

    @property
    def levers(self) -> int:
        """How many levers of its servers are not as usual."""
        return self.simplicity[-1]

    @property
    def slots(self) -> int:
        """Of all its servers together."""
        return sum(queue.slots for queue in self.plan.queues)


class Space(NamedTuple):
    """All candidates of a workload; `loaded` is the workload with their servers and plans in it."""

    loaded: Loaded
    candidates: tuple[Candidate, ...]
    left_out: tuple[Excluded, ...]
    base: str  # the server of the file that all of them are like

    def find(self, name: str) -> Candidate:
        """Return the candidate of that name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)


def design_space(
    loaded: Loaded,
    profile: Profile,
    *,
    extrapolate: bool = False,
    max_slots: int | None = None,
    fits: Callable[[Sequence[ServerSpec]], TooMuch | None] | None = None,
    context_tokens: int | None = None,
    by_machine: Mapping[str, Profiles] = FrozenDict(),
) -> Space:
    """Return every candidate of a workload with one model on the machines of its servers (`several.py`: with two).

    On one machine that is one server, or two side by side; on several it is one server on one of them, or one on each.

    Args:
        loaded: the workload; its server with most slots, on each machine, is the one that candidates' servers are like.
        profile: says which numbers of slots are known, and whether two servers side by side are.
        extrapolate: try numbers of slots that the profile lacks, in powers of two.
        max_slots: the most slots of one server; None = those of the profile, with `extrapolate` 16.
        fits: what servers do not fit into together; None where they fit. Left out: all fit.
        context_tokens: what the longest call needs. Slots have as much where the file gives them less; and where the
            file's context does not fit into the machine, and this does. None = always that of the file.
        by_machine: the profiles of machines that have their own.

    Raises:
        UserError: nothing is left.
    """
    base = most_slots(loaded.servers)
    places = places_of(loaded, base, profile, by_machine)
    left_out: list[Excluded] = []
    profile_of = {place.like.machine: place.profile for place in places.values()}
    designs = Designs(loaded, fits, context_tokens, lambda spec: triable(spec, profile_of[spec.machine], extrapolate))
    slots: dict[str, tuple[int, ...]] = {}
    for name, place in places.items():
        if (enough := designs.enough(place.like)) > place.like.context_tokens:
            left_out.append(ShortContext(place.like.context_tokens, enough))
            places[name] = place = place._replace(like=place.like.model_copy(update={"context_tokens": enough}))
        slots[name] = slot_counts(place.like, place.profile, extrapolate, max_slots, left_out)
    left_out = list(dict.fromkeys(left_out))
    if len(places) == 1:
        designs.one_server(places[base], slots[base])
        halves, why = halves_of(places[base].like, places[base].profile, slots[base], extrapolate)
        if loaded.embedding_models:
            halves, why = [], NoTwoServers("embedding", profile.name)
        if why and places[base].like.resizable:
            left_out.append(why)
        designs.two_halves(halves if places[base].like.resizable else [])
    else:
        left_out += _about_machines(loaded, places)
        different = [name for name, place in places.items() if place.same_as is None]
        for name in different:
            designs.one_server(places[name], slots[name], mark=f"-at-{places[name].like.machine or 'here'}")
        designs.one_on_each(places, slots)
        for name in different:
            designs.paths_apart(name, places, slots)
    left_out += [DoNotFit(n, "candidate", reason) for reason, n in designs.dropped.items()]
    like = places[base].like
    left_out += [LessContext(like.context_tokens, designs.enough(like), n, r) for r, n in designs.shortened.items()]
    if (
        unknown := not_tried(like, places[base].profile, {n for s in designs.servers.values() for n in s.levers})
    ) is not None:
        left_out.append(unknown)
    if not designs.plans:
        reasons = "; ".join(map(excluded_text, left_out))
        raise UserError(f"no candidate is left to try. {reasons}")
    servers = designs.servers
    asked = dict.fromkeys((*(loaded.models.get(base) or (like.model,)), *sorted(loaded.embedding_models)))
    whole = loaded._replace(
        servers=servers,
        plans=tuple(designs.plans),
        derived=tuple(servers),
        models=dict.fromkeys(servers, tuple(asked)),
    )
    plans = tuple(plan for plan in designs.plans if not loads_beside(whole, plan))
    if len(plans) < len(designs.plans):
        left_out.append(NoTwoServers("loads", profile.name))
    candidates = tuple(Candidate(number, plan, rank_of(plan, servers)) for number, plan in enumerate(plans))
    return Space(whole._replace(plans=plans), candidates, tuple(left_out), base)


def places_of(loaded: Loaded, base: str, profile: Profile, by_machine: Mapping[str, Profiles]) -> dict[str, Place]:
    """Return the machines on which a server with the model of `base` stands, by its server with most slots there."""
    model, found = loaded.servers[base].model, dict[str, Place]()
    mine = {name: spec for name, spec in loaded.known_servers.items() if same_model(spec.model, model)}
    for machine, names in servers_by_machine(mine).items():
        name = base if base in names else most_slots({name: mine[name] for name in names})
        like = mine[name]
        profiles = by_machine.get(machine or "")
        place = Place(name, like, profile if profiles is None else profiles.of(like.model))
        twin = next((other for other, earlier in found.items() if _alike(earlier, place, loaded)), None)
        found[name] = place._replace(same_as=twin)
    return found


def _alike(one: Place, other: Place, loaded: Loaded) -> bool:
    """Whether it makes no difference on which of two machines a server stands."""
    machines = loaded.workload.machines

    def known(place: Place) -> tuple[object, ...]:
        spec, machine = place.like, machines.get(place.like.machine or "")
        room = None if machine is None else machine.memory_bytes
        return spec.model_dump(exclude={"machine", "url"}), spec.running, place.profile.name, room

    return one.same_as is None and known(one) == known(other)


def _about_machines(loaded: Loaded, places: Mapping[str, Place]) -> Iterator[Excluded]:
    """Say what is not looked at where servers stand on several machines."""
    names = {name: place.like.machine or "here" for name, place in places.items()}
    if any(place.like.resizable for place in places.values()):
        yield OneEach(tuple(names.values()))
    for name in places:
        alike = tuple(names[other] for other, place in places.items() if place.same_as == name)
        if alike:
            yield SameMachines(alike, names[name])
    others = tuple(m or "here" for m in servers_by_machine(loaded.known_servers) if (m or "here") not in names.values())
    if others:
        yield OtherModel(others, next(iter(places.values())).like.model)


def slot_counts(
    like: ServerSpec, profile: Profile, extrapolate: bool, max_slots: int | None, left_out: list[Excluded]
) -> tuple[int, ...]:
    """Return the numbers of slots of one server with the whole machine."""
    if not like.resizable:
        left_out.append(FixedSlots(like.slots))
        return (like.slots,)
    known = {int(slots) for slots in profile.family(like.engine_threads)}
    if extrapolate:
        most = max_slots or max(MOST_SLOTS, *known)
        wanted = known | {1 << k for k in range(7) if 1 << k <= most}
    else:
        wanted = known
        lacking = tuple(n for n in (1, 2, 4, 8) if n not in known and n < (max_slots or MOST_SLOTS))
        if lacking:
            left_out.append(NotInProfile(lacking, profile.name))
    if max_slots is not None:
        wanted = {n for n in wanted if n <= max_slots}
    return tuple(sorted(wanted))


def halves_of(
    like: ServerSpec, profile: Profile, slots: Sequence[int], extrapolate: bool
) -> tuple[list[ServerSpec], NoTwoServers | None]:
    """Return the servers that can work side by side on this machine, or why there are none."""
    if not profile.contention or "2" not in profile.contention:
        return [], NoTwoServers("contention", profile.name)
    if profile.half is None:
        return [like.with_slots(n) for n in slots], None
    if not like.simulated and like.engine_threads not in (None, "half"):
        return [], NoTwoServers("threads", profile.name)
    known = {int(n) for n in profile.half}
    wanted = sorted({*known, *slots} if extrapolate else known & {*slots, *known})
    return [like.with_slots(n).halved() for n in wanted], None
