"""The candidates that are looked at: every way to run a workload that its server, its profile and its paths leave open.

A candidate is servers and a plan, named for what it does: `window3-on-4` is one server with four slots and at most
three calls in flight; `serial-on-1+waves-on-4` is two servers, each on half of the cores, the interactive path on the
first; `-in-768` are slots of 768 tokens, where only so they fit into memory. What is left out is left out by a rule,
and each rule that left something out is said with how many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from harness.core.concurrency import Concurrency, Variant
from harness.core.placement import Placement
from harness.core.plan import Plan, Pool, ServerQueue, simplicity_of
from harness.core.policies import Policies
from harness.core.scheduling import FIFO, Scheduling
from harness.errors import UserError
from harness.profiles.schema import Profile
from harness.recommend.facts import (
    DoNotFit,
    Excluded,
    FixedSlots,
    LessContext,
    NotInProfile,
    NoTwoServers,
    ShortContext,
    TooMuch,
)
from harness.wording.searches import excluded_text
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded
from harness.workload.schema import ServerSpec

__all__ = [
    "MOST_SLOTS",
    "Candidate",
    "Space",
    "design_space",
    "halves_of",
    "slot_counts",
    "ways_of",
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


def design_space(
    loaded: Loaded,
    profile: Profile,
    *,
    extrapolate: bool = False,
    max_slots: int | None = None,
    fits: Callable[[Sequence[ServerSpec]], TooMuch | None] | None = None,
    context_tokens: int | None = None,
) -> Space:
    """Return every candidate of a workload with one model on a profile's machine (`several.py`: with two).

    Args:
        loaded: the workload; its server with most slots is the one that all candidates' servers are like.
        profile: says which numbers of slots are known, and whether two servers side by side are.
        extrapolate: try numbers of slots that the profile lacks, in powers of two.
        max_slots: the most slots of one server; None = those of the profile, with `extrapolate` 16.
        fits: what servers do not fit into together; None where they fit. Left out: all fit.
        context_tokens: what the longest call needs. Slots have as much where the file gives them less; and where the
            file's context does not fit into the machine, and this does. None = always that of the file.

    Raises:
        UserError: nothing is left.
    """
    base = most_slots(loaded.servers)
    like = loaded.servers[base]
    left_out: list[Excluded] = []
    fixed = not like.resizable
    enough = like.context_tokens if fixed or context_tokens is None else context_tokens
    if enough > like.context_tokens:
        left_out.append(ShortContext(like.context_tokens, enough))
        like = like.model_copy(update={"context_tokens": enough})
    slots = slot_counts(like, profile, extrapolate, max_slots, left_out)
    policies = loaded.policies
    paths = [pipeline.path for pipeline in loaded.pipelines]
    both = len(set(paths)) == 2
    servers: dict[str, ServerSpec] = {}
    plans: list[Plan] = []
    dropped: Counter[TooMuch] = Counter()
    shortened: Counter[TooMuch] = Counter()

    def too_much(specs: Iterable[ServerSpec]) -> TooMuch | None:
        return fits(list(specs)) if fits else None

    def add(
        queues: tuple[ServerQueue, ...],
        specs: Mapping[str, ServerSpec],
        place: tuple[tuple[int | Pool, ...], ...],
        name: str = "",
    ) -> None:
        name = name or "+".join(_named(queue) for queue in queues)
        why, mark = too_much(specs[queue.server] for queue in queues), ""
        if why and enough < like.context_tokens:
            less = {server: spec.model_copy(update={"context_tokens": enough}) for server, spec in specs.items()}
            if not too_much(less[queue.server] for queue in queues):
                shortened[why] += 1
                why, mark, specs = None, f"-in-{enough}", less
        if why:
            dropped[why] += 1
            return
        servers.update({queue.server + mark: specs[queue.server] for queue in queues})
        marked = tuple(queue._replace(server=queue.server + mark) for queue in queues)
        plans.append(Plan(name + mark, marked, place))

    everything = tuple((0,) * len(pipeline.graph.nodes) for pipeline in loaded.pipelines)
    for n in slots:
        server = base if fixed else f"slots-{n}"
        spec = like.with_slots(n)
        for way in ways_of(policies, n, shared=both, fixed=fixed):
            add((way.queue(server),), {server: spec}, everything)
    halves, why = halves_of(like, profile, slots, extrapolate)
    if why and not fixed:
        left_out.append(why)
    if both and not fixed:
        apart = tuple(
            (int(path == "batch"),) * len(pipeline.graph.nodes)
            for path, pipeline in zip(paths, loaded.pipelines, strict=True)
        )
        for mine, theirs in product(halves, halves):
            specs = {f"interactive-{mine.slots}": mine, f"batch-{theirs.slots}": theirs}
            first, second = specs
            for one, other in product(
                ways_of(policies, mine.slots, shared=False), ways_of(policies, theirs.slots, shared=False)
            ):
                add((one.queue(first), other.queue(second)), specs, apart)
    for half, choice in product(halves if not fixed else [], _choices(loaded)):
        specs = {f"half-{half.slots}-{letter}": half for letter in "ab"}
        pooled = tuple((Pool(choice, (0, 1)),) * len(pipeline.graph.nodes) for pipeline in loaded.pipelines)
        kept = f"-{choice.name}" if choice.settles or choice.source.where else ""
        for way in ways_of(policies, half.slots, shared=both):
            if way.limit is None:
                add(tuple(way.queue(server) for server in specs), specs, pooled, f"2x-{way.name}{kept}")
    left_out += [DoNotFit(n, "candidate", reason) for reason, n in dropped.items()]
    left_out += [LessContext(like.context_tokens, enough, n, reason) for reason, n in shortened.items()]
    if not plans:
        reasons = "; ".join(map(excluded_text, left_out))
        raise UserError(f"no candidate is left to look at. {reasons}")
    asked = loaded.models.get(base) or (like.model,)
    whole = loaded._replace(
        servers=servers, plans=tuple(plans), derived=tuple(servers), models=dict.fromkeys(servers, tuple(asked))
    )
    candidates = tuple(Candidate(number, plan, simplicity_of(plan.queues)) for number, plan in enumerate(plans))
    return Space(whole, candidates, tuple(left_out), base)


def _choices(loaded: Loaded) -> list[Placement]:
    """Return how one of two equal servers may be chosen; conversations stay on one only where that saves reading."""
    sessions = (pipeline.session for pipeline in loaded.pipelines)
    reused = any(session is not None and session.reuse_prefix for session in sessions)
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
