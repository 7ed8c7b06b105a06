"""The candidates of a run as its folder keeps them: policies by name, with what a report needs to know of a user's own.

A report never executes a policy: of those that do not come with Slotwise the folder keeps what is data (what they do in
words, how simple they are) and what their limits came to on each server. A copy of their file is kept for people; to
go on with a run, or to simulate it again, the file itself is read from where it was, and a changed one is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any, NamedTuple, NoReturn

from harness.core.concurrency import WINDOW
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.policies import KINDS, STANDARD, Policies
from harness.core.policy import PolicySource, facts_of
from harness.core.scheduling import FIFO, KeyCode
from harness.errors import PolicyError

__all__ = [
    "KeptPlan",
    "PolicyFile",
    "kept_plan",
    "kept_policies",
    "own_policies_of",
    "plan_of",
    "policies_of_run",
    "policy_files",
]


class PolicyFile(NamedTuple):
    """Where a user's own policies of a run came from."""

    where: str  # the file's absolute path, or an entry point
    sha256: str  # of the file; "" of an entry point


class _Queue(NamedTuple):
    """A queue as it is kept."""

    server: str
    slots: int
    concurrency: str = WINDOW.name
    scheduling: str = FIFO.name
    limit: int | None = None
    max_wait_s: float = 1.0
    ageing_s: float = 30.0
    reserve: int = 1
    most: int | None = None
    most_batch: int | None = None


class KeptPlan(NamedTuple):
    """A plan as it is kept: a node's queue by its number, or a placement policy's name with the numbers of several."""

    name: str
    queues: tuple[_Queue, ...]
    placement: tuple[tuple[int | tuple[str, tuple[int, ...]], ...], ...]


# --- writing ----------------------------------------------------------------------------------------------------------


def kept_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data."""
    return {
        "name": plan.name,
        "queues": [queue.to_plain() for queue in plan.queues],
        "placement": [
            [at if isinstance(at, int) else [at.policy.name, at.queues] for at in row] for row in plan.placement
        ],
    }


def own_policies_of(plans: Iterable[Plan]) -> list[tuple[str, Any]]:
    """Return the policies of plans that do not come with Slotwise, each once, with their kind."""
    used: dict[tuple[str, str], Any] = {}
    for plan in plans:
        used |= {("concurrency", queue.concurrency.name): queue.concurrency for queue in plan.queues}
        used |= {("scheduling", queue.scheduling.name): queue.scheduling for queue in plan.queues}
        pools = (at for row in plan.placement for at in row if isinstance(at, Pool))
        used |= {("placement", pool.policy.name): pool.policy for pool in pools}
    return [(kind, policy) for (kind, _), policy in used.items() if policy.source.where]


def kept_policies(plans: Iterable[Plan]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what is data of the user's own policies, by kind and name."""
    kept: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, policy in own_policies_of(plans):
        kept.setdefault(kind, {})[policy.name] = facts_of(policy)
    return kept


def policy_files(plans: Iterable[Plan]) -> tuple[PolicyFile, ...]:
    """Return where the user's own policies of plans come from."""
    return tuple(dict.fromkeys(PolicyFile(own.source.where, own.source.sha256) for _, own in own_policies_of(plans)))


# --- reading ----------------------------------------------------------------------------------------------------------


def policies_of_run(kept: Mapping[str, Any]) -> Policies:
    """Return the policies that a run's workload may name: ours, and what is known of the user's own."""
    tables: dict[str, dict[str, Any]] = {kind.name: {} for kind in KINDS}
    for kind in KINDS:
        table = kept.get(kind.name)
        for name, facts in table.items() if isinstance(table, Mapping) else ():
            if name not in getattr(STANDARD, kind.name) and isinstance(facts, Mapping):
                given = _known(kind.made_of, facts)
                code = {kind.main: _no_code(str(name))}
                tables[kind.name][str(name)] = kind.made_of(**{**given, **code, "name": str(name), "source": _KEPT})
    return STANDARD.with_own(Policies(tables["concurrency"], tables["scheduling"], tables["placement"]))


def plan_of(kept: KeptPlan, policies: Policies) -> Plan:
    """Return a plan that was kept; PolicyError where it names a policy that is not there."""
    queues = []
    for queue in kept.queues:
        concurrency = _find(policies.concurrency, "concurrency", queue.concurrency)
        if concurrency.source.where:  # its code is not here, but what its limits came to is
            start = _no_code(concurrency.name)
            concurrency = replace(concurrency, start=start, limit=_constant(queue.most))
            if queue.most_batch is not None:
                concurrency = replace(concurrency, batch_limit=_constant(queue.most_batch))
        scheduling = _find(policies.scheduling, "scheduling", queue.scheduling)
        queues.append(ServerQueue(queue.server, queue.slots, concurrency, scheduling, *queue[4:8]))
    placement = tuple(
        tuple(at if isinstance(at, int) else Pool(_find(policies.placement, "placement", at[0]), at[1]) for at in row)
        for row in kept.placement
    )
    return Plan(kept.name, tuple(queues), placement)


_KEPT = PolicySource("kept with the run")


def _find(table: Mapping[str, Any], kind: str, name: str) -> Any:
    if name not in table:
        raise PolicyError(f'plans: no {kind} policy "{name}" is kept with the run')
    return table[name]


def _constant(value: int | None) -> Any:
    return lambda queue: value


def _no_code(name: str) -> Any:
    def start(*_: object) -> NoReturn:
        raise PolicyError(f'policy "{name}": a run folder keeps no code; name the file with --policies FILE')

    return start


def _known(made_of: type[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a policy has today and that are of the right type: the folder may come from elsewhere."""
    defaults = {field.name: field.default for field in fields(made_of) if field.default is not MISSING}
    known: dict[str, Any] = {}
    for name, value in facts.items():
        if name == "code" and isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
            known[name] = KeyCode(*map(str, value))
        elif name in defaults and isinstance(defaults[name], bool | int | str) and type(value) is type(defaults[name]):
            known[name] = value
    return known
