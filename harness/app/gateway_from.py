"""The design that a run recommends, as a plan before running servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.app.options import REPORTS
from harness.app.report import report
from harness.core.plan import Plan, Pool
from harness.core.policies import Policies
from harness.errors import UserError
from harness.gateway.classes import CLASSES
from harness.own_policies import read_policies
from harness.units import count

__all__ = ["plan_from"]


def plan_from(
    named: str, servers: Sequence[str], slots: Sequence[int], policies: Path | Policies | None = None
) -> Plan:
    """Return what the report of a run recommends, with these servers in place of its own, in their order.

    Args:
        named: the run's folder, or its name below `reports`.
        servers: as they are shown.
        slots: of each; none: as many as in the run.
        policies: where the run's own policies are; nothing in its folder is executed.

    Raises:
        UserError: the run recommends nothing, or what a gateway cannot do; or there are more or fewer servers.
    """
    folder = Path(named) if Path(named).is_dir() else REPORTS / named
    run, analysis = report(folder)
    choice = analysis.choice
    if choice.candidate is None:
        several = ", ".join(one.candidate for one in choice.settings)
        found = f"several candidates ({several})" if several else "nothing"
        raise UserError(f"--from {named}: the run recommends {found}; choose --concurrency and --scheduling yourself")
    plan = next(plan for plan in run.plans if plan.name == choice.candidate)
    if len(plan.queues) != len(servers):
        expected = count(len(plan.queues), "server")
        names = ", ".join(queue.server for queue in plan.queues)
        raise UserError(
            f'--from {named}: "{plan.name}" has {expected} ({names}); name each with --upstream, in this order'
        )
    for queue in plan.queues:
        if queue.scheduling.needs_jobs:
            raise UserError(
                f'--from {named}: "{plan.name}" schedules by {queue.scheduling.name}, which goes by what a workload '
                "says of its jobs; a gateway sees single calls"
            )
    plan = _with_own(plan, named, read_policies(policies))
    queues = tuple(
        queue._replace(server=server, slots=slots[number] if slots else queue.slots)
        for number, (queue, server) in enumerate(zip(plan.queues, servers, strict=True))
    )
    summaries = analysis.by_name[plan.name].pipelines
    placement = []
    for path in CLASSES:
        used: set[int | Pool] = set()
        for row, summary in zip(plan.placement, summaries, strict=True):
            if summary.path == path:  # what makes no call has a placement too, which is read by nobody
                used |= {at for at in row if isinstance(at, Pool) or plan.queues[at].server in summary.servers}
        if len(used) > 1:
            raise UserError(f'--from {named}: "{plan.name}" sends {path} calls to servers by pipeline or node')
        placement.append((used.pop() if used else 0,))
    return Plan(plan.name, queues, tuple(placement))


def _with_own(plan: Plan, named: str, every: Policies) -> Plan:
    """Put the code of a user's own policies in: of a run only their names are known."""

    def own(policy: Any, known: Mapping[str, Any]) -> Any:
        if policy.source.where and policy.name not in known:
            raise UserError(f'--from {named}: "{policy.name}" is your own policy; name its file with --policies FILE')
        return known[policy.name] if policy.source.where else policy

    def at(place: int | Pool) -> int | Pool:
        return place._replace(policy=own(place.policy, every.placement)) if isinstance(place, Pool) else place

    queues = tuple(
        queue._replace(
            concurrency=own(queue.concurrency, every.concurrency), scheduling=own(queue.scheduling, every.scheduling)
        )
        for queue in plan.queues
    )
    return plan._replace(queues=queues, placement=tuple(tuple(map(at, row)) for row in plan.placement))
