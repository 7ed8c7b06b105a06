"""What the runners of a workload's servers take: memory, and the seconds of a load.

An Ollama has a runner for each model with each context that calls ask for; those of one model are never in memory
together. So agents with several `num_ctx` need the memory of the largest one, and each change costs a load.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.graph import Pipeline
from harness.core.levers import kv_share
from harness.core.plan import Plan, Pool, queues_of
from harness.predict.profiles import Profiles
from harness.predict.runners import Runner, asked_on
from harness.profiles.model_id import model_id
from harness.profiles.schema import Profile
from harness.recommend.constraints import header_of, memory_of
from harness.recommend.memory import RunnerNeed
from harness.workload.contexts import asks_of_runners
from harness.workload.load import Loaded
from harness.workload.model_calls import model_calls
from harness.workload.schema import ServerSpec

__all__ = ["as_loaded", "runners_needed", "servers_as_loaded"]


def as_loaded(
    pipelines: Sequence[Pipeline], placement: Sequence[Sequence[int | Pool]], servers: Sequence[ServerSpec]
) -> list[ServerSpec]:
    """Return a candidate's servers with the largest context that their model is loaded with: as agents ask for it.

    Args:
        pipelines: of the workload.
        placement: the server of every node, by its number, or the pool.
        servers: one for each queue of the plan, all with the model that is asked for.
    """
    most = [0] * len(servers)
    for pipeline, places in zip(pipelines, placement, strict=True):
        for node, place in zip(pipeline.graph.nodes, places, strict=True):
            for queue in queues_of(place) if node.kind == "agent" and not node.batch else ():
                spec = servers[queue]
                most[queue] = max(most[queue], spec.context_for(node.num_ctx) or spec.context_tokens)
    return [
        spec if tokens in (0, spec.context_tokens) else spec.model_copy(update={"context_tokens": tokens})
        for spec, tokens in zip(servers, most, strict=True)
    ]


def servers_as_loaded(loaded: Loaded, plan: Plan) -> list[ServerSpec]:
    """Return the servers of a plan as `as_loaded` does, in the order of its queues."""
    return as_loaded(loaded.pipelines, plan.placement, [loaded.servers[queue.server] for queue in plan.queues])


def runners_needed(loaded: Loaded, profiles: Profiles | None = None) -> tuple[RunnerNeed, ...]:
    """Return what each runner takes that answers on a server, under any candidate; servers in the file's order.

    Without a profile these are the servers whose agents ask for a context or a keep-alive, and of these only the memory
    of models is known whose files lie here. Simulated servers have no runners.

    Raises:
        UserError: there are several profiles, and none of a model.
    """
    asking = {
        call.server for call in model_calls(loaded, asks_of_runners) if loaded.servers[call.server].loads_as_asked
    }
    found: dict[tuple[str, Runner], None] = {}
    for name, spec in loaded.servers.items():
        if spec.simulated or (profiles is None and name not in asking):
            continue
        for plan in loaded.plans:
            for number, queue in enumerate(plan.queues):
                if queue.server == name:
                    found |= dict.fromkeys((name, runner) for runner in asked_on(loaded, plan, number).answer)
    return tuple(_need(name, loaded.servers[name], runner, profiles) for name, runner in found)


def _need(name: str, spec: ServerSpec, runner: Runner, profiles: Profiles | None) -> RunnerNeed:
    like = spec.model_copy(update={"model": runner.model})
    profile = None if profiles is None else _fitting(profiles, like)
    weights: int | None = None
    per_token: float | None = None
    if profile is not None:
        memory = memory_of(like, profile)
        weights, per_token = memory.weights_bytes, memory.token_bytes
    elif (header := header_of(like)) is not None and header.kv_bytes_per_token:
        weights, per_token = header.weights_bytes, header.kv_bytes_per_token * kv_share(spec.levers)
    cache = None
    if per_token is not None and runner.context_tokens is not None:
        cache = round(per_token * runner.context_tokens * spec.slots)
    load_s = None if profile is None else profile.load_s
    return RunnerNeed(name, runner.model, runner.context_tokens, spec.slots, weights, cache, load_s)


def _fitting(profiles: Profiles, spec: ServerSpec) -> Profile | None:
    """Return the profile of a server's model; None where it is another's."""
    profile = profiles.on(spec.machine).of(spec.model)
    return profile if profile.model_id is None or model_id(profile.model_id) == model_id(spec.model) else None
