"""One running server in the place of every server of a workload: what can be compared there, and what cannot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.core.plan import Plan, ServerQueue
from harness.errors import UserError
from harness.workload.candidates import Plans, most_slots
from harness.workload.schema import ServerSpec, same_model

__all__ = ["on_one_server"]


def on_one_server(found: Plans, plans: Sequence[Plan], embedding: Collection[str], *, both_paths: bool) -> Plans:
    """Return the plans with their calls sent to one server, which is named after the one with the most slots.

    A candidate keeps the number of calls at once that it has on its own server: "serial" sends one, a window as many as
    that has slots. Candidates that need several servers at once are left out, and those that become the same as
    another.

    Args:
        found: every server of it is the running one.
        plans: those of `found` that are wanted.
        embedding: the models that texts are embedded with; they need no server of their own.
        both_paths: whether the standard set has "split" where it can start servers.

    Raises:
        UserError: the workload names several models, or every candidate needs several servers.
    """
    _check_models(found, embedding)
    name = most_slots(found.servers)
    skipped: dict[str, str] = {}
    kept: dict[str, Plan] = {}
    for plan in plans:
        if len(plan.queues) > 1:
            skipped[plan.name] = f"needs {len(plan.queues)} servers at once: {', '.join(q.server for q in plan.queues)}"
            continue
        queues = tuple(_moved(queue, name, found.servers[name].slots) for queue in plan.queues)
        moved = plan._replace(queues=queues)
        if same := next((other for other, its in kept.items() if its._replace(name=plan.name) == moved), ""):
            skipped[plan.name] = f'is the same as "{same}" on one server'
        else:
            kept[plan.name] = moved
    if not kept:
        each = "; ".join(f'"{candidate}" {why}' for candidate, why in skipped.items())
        raise UserError(f"--server: no candidate can be measured on one server ({each}); name each: --server NAME=URL")
    if both_paths:
        skipped["split"] = "needs 2 servers at once"
    models = {name: tuple(dict.fromkeys(model for asked in found.models.values() for model in asked))}
    derived = tuple(one for one in found.derived if one == name)
    return found._replace(
        servers={name: _standing(name, found.servers)},
        plans=tuple(kept.values()),
        derived=derived,
        models=models,
        skipped=skipped,
    )


def _moved(queue: ServerQueue, name: str, slots: int) -> ServerQueue:
    """Return the queue in front of the one server, with as many calls at once as before."""
    moved = queue._replace(server=name, slots=slots)
    if moved.most == queue.most:
        return moved
    return moved._replace(limit=queue.slots) if "limit" in queue.concurrency.settings else queue._replace(server=name)


def _standing(name: str, servers: Mapping[str, ServerSpec]) -> ServerSpec:
    """Return the one server; nobody asked it for a number of slots, so it has none to be compared with."""
    machines = {spec.machine for spec in servers.values()}
    spec = servers[name].model_copy(update={} if len(machines) == 1 else {"machine": None})
    spec.model_fields_set.discard("slots")
    return spec


def _check_models(found: Plans, embedding: Collection[str]) -> None:
    distinct: list[str] = []
    for model in (model for asked in found.models.values() for model in asked if model not in embedding):
        if not any(same_model(model, other) for other in distinct):
            distinct.append(model)
    if len(distinct) > 1:
        raise UserError(
            f"--server: the workload asks for several models ({', '.join(distinct)}), so one address cannot stand for "
            "every server; name each: --server NAME=URL"
        )
