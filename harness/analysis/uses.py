"""What a server was used with: the threads of its engine, its accelerator, and what agents asked it for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from harness.analysis.model import AgentUse, CandidateSummary
from harness.core.device import on_accelerator, share_on_cpu
from harness.core.records import CallRecord
from harness.runs.model import Run, ServerFacts
from harness.workload.dependencies import agents_of
from harness.workload.schema import KINDS, AgentSpec, same_model

__all__ = ["accelerator_used", "address_used", "agents_used", "differ_in_order", "threads_used"]


def threads_used(run: Run, details: Mapping[str, str | int | float]) -> int | None:
    """Return the threads of a server's engine where they are fewer than the cores, and matter.

    A prediction knows no number of cores, and names threads only where they are fewer. Where all of a model is on an
    accelerator they change nothing.
    """
    threads, cores = int(details.get("threads", 0)), run.machine.get("cores")
    if threads <= 0 or on_accelerator(details):
        return None
    return threads if not isinstance(cores, int) or threads < cores else None


class Address(TypedDict):
    """How a program reaches a server, as `ServerUse` has it."""

    model: str
    url: str
    key_variable: str


def address_used(run: Run, server: ServerFacts | None) -> Address:
    """Return the model that calls to a server ask for, its URL where it runs already, and where its API key is.

    A model of our own engine, or of a file, has another name where it is deployed.
    """
    kind = KINDS.get(server.kind) if server else None
    if server is None or kind is None:
        return Address(model="", url="", key_variable="")
    spec = run.workload.servers.get(server.name)
    named = (kind.loads_by_name or kind.openai_client) and not server.model.lower().endswith(".gguf")
    return Address(
        model=server.model if named else "",
        url=server.url if spec is not None and spec.running else "",
        key_variable=getattr(spec, "api_key_env", None) or "",
    )


def accelerator_used(run: Run, details: Mapping[str, str | int | float]) -> str:
    """Name what a server's model is on; "" where that is not an accelerator."""
    if not (on_accelerator(details) or share_on_cpu(details)):
        return ""
    return str(details.get("accelerator") or run.machine.get("accelerator") or "an accelerator")


def agents_used(run: Run, server: ServerFacts, calls: Iterable[CallRecord]) -> tuple[AgentUse, ...]:
    """Return the agents with calls on a server that ask for a context, a keep-alive or thinking, in the file's order.

    `calls` are those of one candidate.
    """
    asking = {
        (pipeline, node): AgentUse(name, _other(agent, server), agent.num_ctx, agent.keep_alive, agent.think)
        for pipeline in run.workload.pipelines
        for node, (name, agent) in agents_of(run.workload, pipeline).items()
        if agent.num_ctx is not None or agent.keep_alive is not None or agent.think
    }
    if not asking:
        return ()
    used = {(call.pipeline, call.node) for call in calls if call.server == server.name}
    return tuple(dict.fromkeys(use for key, use in asking.items() if key in used))


def _other(agent: AgentSpec, server: ServerFacts) -> str:
    """Return the model that an agent asks for where it is not the server's."""
    return "" if not agent.model or same_model(agent.model, server.model) else agent.model


def differ_in_order(candidates: Sequence[CandidateSummary]) -> bool:
    """Tell whether two candidates differ in nothing but the order in which calls get a slot.

    Then nothing is done sooner in all: what one call gains another one loses, and a median shows only half of that.
    """
    orders: dict[object, set[tuple[str, ...]]] = {}
    for candidate in candidates:
        rest = (
            tuple((use.server, use.slots, use.concurrency, use.limit, use.batch_limit) for use in candidate.servers),
            tuple((summary.pipeline, summary.servers, summary.nodes) for summary in candidate.pipelines),
            candidate.pools,
        )
        orders.setdefault(rest, set()).add(tuple(use.scheduling for use in candidate.servers))
    return any(len(found) > 1 for found in orders.values())
