"""Candidates as they are made: every way to use one server, two halves of a machine, or a server on each of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from harness.core.concurrency import Concurrency, Variant
from harness.core.placement import Placement
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.policies import Policies
from harness.core.scheduling import FIFO, Scheduling
from harness.profiles.schema import Profile
from harness.recommend.facts import TooMuch
from harness.recommend.levers import LeversOf, choices_with_room
from harness.recommend.runners import as_loaded
from harness.workload.load import Loaded
from harness.workload.schema import ServerSpec

__all__ = ["Designs", "Place", "ways_of"]


class Place(NamedTuple):
    """A machine, and what a server there is like."""

    server: str  # of the file
    like: ServerSpec
    profile: Profile
    same_as: str | None = None  # an earlier place that is alike, by its server


class _Way(NamedTuple):
    """How one server is used."""

    slots: int
    concurrency: Concurrency
    scheduling: Scheduling
    limit: int | None

    @property
    def name(self) -> str:
        limit = "" if self.limit is None else str(self.limit)
        scheduling = "" if self.scheduling is FIFO else f"-{self.scheduling.name}"
        return f"{self.concurrency.name}{limit}-on-{self.slots}{scheduling}"

    def queue(self, server: str) -> ServerQueue:
        return ServerQueue(server, self.slots, self.concurrency, self.scheduling, self.limit)


class Designs:
    """Candidates as they are made, and what did not fit."""

    def __init__(
        self,
        loaded: Loaded,
        fits: Callable[[Sequence[ServerSpec]], TooMuch | None] | None,
        context_tokens: int | None,
        levers_of: LeversOf = lambda spec: {},
    ) -> None:
        self._loaded, self._fits, self._context_tokens, self._levers_of = loaded, fits, context_tokens, levers_of
        self._paths = [pipeline.path for pipeline in loaded.pipelines]
        self._both = len(set(self._paths)) == 2
        self.servers: dict[str, ServerSpec] = {}
        self.plans: list[Plan] = []
        self.dropped: Counter[TooMuch] = Counter()
        self.shortened: Counter[TooMuch] = Counter()

    def enough(self, like: ServerSpec) -> int:
        """Return the context that the longest call needs; the server's own where that is fixed or nothing is known."""
        return like.context_tokens if self._context_tokens is None or not like.resizable else self._context_tokens

    def add(
        self,
        queues: tuple[ServerQueue, ...],
        specs: Mapping[str, ServerSpec],
        place: tuple[tuple[int | Pool, ...], ...],
        name: str = "",
    ) -> None:
        """Add a candidate with each choice of levers, with less context where it only fits so; or count that it does
        not fit."""
        name = name or "+".join(_named(queue) for queue in queues)
        used = {queue.server: specs[queue.server] for queue in queues}
        for choice, why in choices_with_room(used, self._levers_of, lambda own: self._too_much(self._less(own), place)):
            too_much, mark, chosen = self._too_much(choice.specs, place), "", choice.specs
            if why:
                self.dropped[why] += 1
                continue
            if too_much:
                chosen = self._less(chosen)
                self.shortened[too_much] += 1
                mark = f"-in-{min(spec.context_tokens for spec in chosen.values())}"
            mark_of = {server: mark + choice.marks[server] for server in chosen}
            self.servers.update({server + mark_of[server]: spec for server, spec in chosen.items()})
            marked = tuple(queue._replace(server=queue.server + mark_of[queue.server]) for queue in queues)
            self.plans.append(Plan(name + mark + choice.mark, marked, place))

    def _less(self, specs: Mapping[str, ServerSpec]) -> dict[str, ServerSpec]:
        """Return servers whose slots have no more context than the longest call needs."""
        return {
            server: spec.model_copy(update={"context_tokens": min(self.enough(spec), spec.context_tokens)})
            for server, spec in specs.items()
        }

    def _too_much(self, specs: Mapping[str, ServerSpec], place: tuple[tuple[int | Pool, ...], ...]) -> TooMuch | None:
        """Return what these servers, by queue, do not fit into with the contexts that agents ask for."""
        return self._fits(as_loaded(self._loaded.pipelines, place, list(specs.values()))) if self._fits else None

    def _everywhere(self, place: int | Pool) -> tuple[tuple[int | Pool, ...], ...]:
        """Return a placement of all calls."""
        return tuple((place,) * len(pipeline.graph.nodes) for pipeline in self._loaded.pipelines)

    def _by_path(self, interactive: int | Pool, batch: int | Pool) -> tuple[tuple[int | Pool, ...], ...]:
        """Return a placement of calls by their path."""
        return tuple(
            (batch if path == "batch" else interactive,) * len(pipeline.graph.nodes)
            for path, pipeline in zip(self._paths, self._loaded.pipelines, strict=True)
        )

    def one_server(self, place: Place, slots: Iterable[int], mark: str = "") -> None:
        """Add every way to use one server."""
        for n in slots:
            server, spec = _server(place, n, f"{place.like.machine or 'here'}-slots-{n}" if mark else f"slots-{n}")
            for way in self._ways(n, shared=self._both, fixed=not place.like.resizable):
                self.add((way.queue(server),), {server: spec}, self._everywhere(0), way.name + mark if mark else "")

    def _ways(self, slots: int, *, shared: bool, fixed: bool = False) -> Iterator[_Way]:
        return ways_of(self._loaded.policies, slots, shared=shared, fixed=fixed)

    def two_halves(self, halves: Sequence[ServerSpec]) -> None:
        """Add two servers side by side on one machine: the paths apart, or both for whatever comes."""
        for mine, theirs in product(halves, halves) if self._both else ():
            specs = {f"interactive-{mine.slots}": mine, f"batch-{theirs.slots}": theirs}
            first, second = specs
            for one, other in product(self._ways(mine.slots, shared=False), self._ways(theirs.slots, shared=False)):
                self.add((one.queue(first), other.queue(second)), specs, self._by_path(0, 1))
        for half, choice in product(halves, _choices(self._loaded)):
            specs = {f"half-{half.slots}-{letter}": half for letter in "ab"}
            for way in self._ways(half.slots, shared=self._both):
                if way.limit is None:
                    queues = tuple(way.queue(server) for server in specs)
                    pool = self._everywhere(Pool(choice, (0, 1)))
                    self.add(queues, specs, pool, f"2x-{way.name}{_kept(choice)}")

    def one_on_each(self, places: Mapping[str, Place], slots: Mapping[str, Sequence[int]]) -> None:
        """Add a server on each machine, all of them for whatever comes."""
        for group in self._groups(places, slots, shared=self._both):
            for choice in _choices(self._loaded):
                pool = Pool(choice, tuple(range(len(group.queues))))
                self.add(group.queues, group.specs, self._everywhere(pool), f"{group.name}{_kept(choice)}")

    def paths_apart(self, name: str, places: Mapping[str, Place], slots: Mapping[str, Sequence[int]]) -> None:
        """Add one path on the machine of this server alone, the other on all others."""
        rest = {other: place for other, place in places.items() if other != name}
        if not self._both:
            return
        at = places[name].like.machine or "here"
        for n, group in product(slots[name], list(self._groups(rest, slots, shared=False))):
            server, spec = _server(places[name], n, f"{at}-slots-{n}")
            specs = {server: spec, **group.specs}
            for way in self._ways(n, shared=False, fixed=not spec.resizable):
                queues, alone = (way.queue(server), *group.queues), f"{way.name}-at-{at}"
                if len(rest) == 1:
                    self.add(queues, specs, self._by_path(0, 1), f"{alone}+{group.name}")
                    continue
                for choice in _choices(self._loaded):
                    pool = Pool(choice, tuple(range(1, len(queues))))
                    named = f"{group.name}{_kept(choice)}"
                    self.add(queues, specs, self._by_path(0, pool), f"{alone}+{named}")
                    self.add(queues, specs, self._by_path(pool, 0), f"{named}+{alone}")

    def _groups(
        self, places: Mapping[str, Place], slots: Mapping[str, Sequence[int]], *, shared: bool
    ) -> Iterator[_Group]:
        """Yield every way to use servers on several machines alike; of one server every way there is."""
        free = [set(slots[name]) for name, place in places.items() if place.like.resizable]
        for n in sorted(set.intersection(*free)) if free else [0]:
            specs: dict[str, ServerSpec] = {}
            for place in places.values():
                server, spec = _server(place, n, f"{place.like.machine or 'here'}-slots-{n}")
                specs[server] = spec
            most = max(spec.slots for spec in specs.values())
            for way in self._ways(most, shared=shared, fixed=not free):
                if len(specs) > 1 and way.limit is not None:
                    continue
                queues = tuple(way._replace(slots=spec.slots).queue(server) for server, spec in specs.items())
                name = "+".join(dict.fromkeys(map(_named, queues)))
                at = f"-at-{next(iter(specs.values())).machine or 'here'}"
                yield _Group(f"{len(specs)}x-{name}" if len(specs) > 1 else name + at, queues, specs)


class _Group(NamedTuple):
    """Servers that are used alike."""

    name: str
    queues: tuple[ServerQueue, ...]
    specs: dict[str, ServerSpec]


def _server(place: Place, slots: int, name: str) -> tuple[str, ServerSpec]:
    """Return the server of a place with this many slots under a name; one that runs already as it is."""
    return (name, place.like.with_slots(slots)) if place.like.resizable else (place.server, place.like)


def _kept(choice: Placement) -> str:
    return f"-{choice.name}" if choice.settles or choice.source.where else ""


def _choices(loaded: Loaded) -> list[Placement]:
    """Return how one of two equal servers may be chosen; conversations stay on one only where that saves reading."""
    sessions = (pipeline.session for pipeline in loaded.pipelines)
    growths = (node.grows for pipeline in loaded.pipelines for node in pipeline.graph.nodes)
    reused = any(talk is not None and talk.reuse_prefix for talk in (*sessions, *growths))
    reused = reused or any(agent.shares_prefix for agent in loaded.agents.values())
    return [policy for policy in loaded.policies.placement.values() if reused or not policy.for_reused_prefixes]


def ways_of(policies: Policies, slots: int, *, shared: bool, fixed: bool = False) -> Iterator[_Way]:
    """Yield every way to use a server with that number of slots.

    Left out is what is the same thing twice, as the policies themselves say: slots that would be idle (where their
    number is not fixed), a policy that does the same as a simpler one, what does something only where both paths share
    a queue, and scheduling where nothing ever waits in front of the server.
    """
    orders = [policy for policy in policies.scheduling.values() if shared or not policy.for_both_paths]
    for policy in policies.concurrency.values():
        if policy.for_both_paths and not shared:
            continue
        if policy.one_at_a_time and slots > 1 and not fixed:
            continue
        if policy.same_as is not None and policy.same_as(ServerQueue("", slots, policy)):
            continue
        variants = (Variant(),) if policy.tried is None else policy.tried(slots)
        for order in orders:
            yield from (_Way(slots, policy, order, tried.limit) for tried in variants if tried.every_scheduling)
        yield from (_Way(slots, policy, FIFO, tried.limit) for tried in variants if not tried.every_scheduling)


def _named(queue: ServerQueue) -> str:
    return _Way(queue.slots, queue.concurrency, queue.scheduling, queue.limit).name
