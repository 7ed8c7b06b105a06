"""What is compared: every candidate as a plan, and the servers that the plans need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from harness.core.graph import Pipeline
from harness.core.plan import Plan, Pool, ServerQueue
from harness.core.policies import STANDARD, Policies
from harness.workload.embeddings import embedding_nodes
from harness.workload.mistakes import Mistakes, unknown
from harness.workload.networks import nx
from harness.workload.placement import Goes, Lacking, Models, goes, models_by_server, node_servers
from harness.workload.schema import (
    LlamaCppServer,
    Routing,
    ServerBase,
    ServerSpec,
    Workload,
    same_model,
)
from harness.workload.source import Loc

__all__ = ["Plans", "check_compare", "check_models", "plans", "standard_set"]

STANDARD_SLOTS = 4
_NUMBERS = {
    1: "one",
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    16: "sixteen",
}


class Plans(NamedTuple):
    """`servers` are those that some plan uses; `derived` names the ones that the file does not."""

    servers: dict[str, ServerSpec]
    plans: tuple[Plan, ...]
    derived: tuple[str, ...]
    models: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - nobody changes it; asked for on each server, by any plan
    lacking: tuple[Lacking, ...] = ()  # nodes that find their model nowhere
    skipped: Mapping[str, str] = {}  # candidates left out, with the reason


def plans(
    workload: Workload,
    pipelines: Sequence[Pipeline],
    default: ServerSpec | None = None,
    only: Collection[str] = (),
    policies: Policies = STANDARD,
) -> Plans:
    """Resolve `compare`, or the standard set where it is left out, into plans; the workload has been checked.

    Args:
        workload: with the command line's changes in it.
        pipelines: compiled; the order of their nodes is that of the plans.
        default: the server of a file that names none; None = four slots of the embedded engine.
        only: the candidates that are wanted, by name; none = all. Names that are no candidate's are not looked at.
        policies: those that candidates may name.

    Returns:
        The plans; of nodes that find their model nowhere (`check_models` notes them) `lacking` tells.
    """
    default = default or LlamaCppServer(kind="llamacpp", slots=STANDARD_SLOTS)
    known: dict[str, ServerSpec] = dict(workload.servers) or {"four-slot": default}
    models: Models = {
        pipeline.name: {node.name: node.model for node in pipeline.graph.nodes if node.kind == "agent"}
        for pipeline in pipelines
    }
    embedding = embedding_nodes(pipelines)
    if workload.compare:
        routings = {name: _routing(candidate, policies) for name, candidate in workload.compare.items()}
        twin = None
    else:
        answering = {
            name: {node: model for node, model in nodes.items() if (name, node) not in embedding}
            for name, nodes in models.items()
        }
        routings = standard_set(workload, known, answering)
        twin = _twins(known)
    wanted = set(only) if only and set(only) <= set(routings) else set(routings)
    resolved: list[Plan] = []
    placed: list[dict[tuple[str, str], Goes]] = []
    lacking: list[Lacking] = []
    for name, routing in routings.items():
        if name not in wanted:
            continue
        found = node_servers(models, routing.placement, most_slots(known), known, twin, name, embedding)
        placed.append(found.servers)
        lacking += found.lacking
        resolved.append(_plan(name, routing, pipelines, found.servers, known, policies))
    asked = models_by_server(models, placed, known)
    servers = {name: spec for name, spec in known.items() if name in asked}
    derived = tuple(name for name in servers if name not in workload.servers)
    return Plans(servers, tuple(resolved), derived, asked, tuple(lacking))


def standard_set(workload: Workload, known: dict[str, ServerSpec], models: Models) -> dict[str, Routing]:
    """Return the candidates that answer the usual question; servers that they lack are added to `known`.

    `serial` on one slot; `window`, `waves` and `unbounded` on N (the most slots in the file, else four). Where there
    are both paths, `interactive-first` too (a window on N in which interactive calls overtake waiting batch calls) and
    `split` (interactive on one slot, batch on N). Each server of the split has half of the cores: two engines that
    both spread over all of them wait for each other in every step. A running server named by `url` has no twin: there
    `serial` is one call in flight on it, and `split` needs a one-slot server in the file.
    Where nodes ask for several models and a server has one, each candidate has a server for each, on half of the cores.
    """
    many = most_slots(known)
    if known[many].slots == 1 and known[many].resizable:
        many = _twin(many, STANDARD_SLOTS, known)
    one = _twin(many, 1, known)
    asked = {model for nodes in models.values() for model in nodes.values()}
    if any(not known[many].serves(model) and not _apart(model, known[many], known) for model in asked):
        many, one = _half(many, known), one and _half(one, known)
    both = {spec.path for spec in workload.pipelines.values()} == {"batch", "interactive"}
    result = {
        "serial": Routing(placement=one or many, concurrency="serial"),
        "window": Routing(placement=many, concurrency="window"),
    }
    if both:
        result["interactive-first"] = Routing(placement=many, concurrency="window", scheduling="interactive-first")
    result |= {
        "waves": Routing(placement=many, concurrency="waves"),
        "unbounded": Routing(placement=many, concurrency="unbounded"),
    }
    if one and both:
        one, many = _half(one, known), _half(many, known)  # those that are halves already stay
        place = {name: one if spec.path == "interactive" else many for name, spec in workload.pipelines.items()}
        result["split"] = Routing(placement=place, concurrency={one: "serial", many: "window"})
    return result


def most_slots(servers: Mapping[str, ServerSpec]) -> str:
    """Return the server with the most slots, the first among equals."""
    return max(servers, key=lambda name: servers[name].slots)


def _twin(name: str, slots: int, known: dict[str, ServerSpec]) -> str:
    """Return a copy of `name` with `slots` slots, added to `known` where missing; "" where none can be."""
    like = known[name]
    for other, spec in known.items():
        same = (spec.kind, spec.model, spec.machine, spec.levers) == (like.kind, like.model, like.machine, like.levers)
        if spec.slots == slots and other != name and same:
            return other
    if not like.resizable:
        return ""
    return _add(f"{_NUMBERS.get(slots, str(slots))}-slot", like.with_slots(slots), known)


def _apart(model: str, spec: ServerSpec, known: Mapping[str, ServerSpec]) -> bool:
    """Whether every server with a model stands on another machine than this one, so that neither needs half of it."""
    others = [other for other in known.values() if same_model(other.model, model)]
    return bool(others) and all(other.machine != spec.machine for other in others)


def _half(name: str, known: dict[str, ServerSpec]) -> str:
    """Return a copy of `name` on half of the cores, added to `known`; itself where its threads are its own affair."""
    like = known[name]
    if like.own_threads:
        return name
    return _add(f"{name}-half", like.halved(), known)


def _twins(known: dict[str, ServerSpec]) -> Callable[[str, str], str]:
    """Return what finds (or adds to `known`) a copy of one server with the slots and threads of another."""

    def twin(found: str, placed: str) -> str:
        like, model = known[placed], known[found]
        if not model.resizable:
            return found
        update: dict[str, Any] = {"slots": like.slots}
        words = [found, *([f"{_NUMBERS.get(like.slots, str(like.slots))}-slot"] if like.slots != model.slots else [])]
        beside = model.machine == like.machine
        if beside and not model.own_threads and not like.simulated:  # those of a simulated one choose from its profile
            update["threads"] = like.engine_threads
            words += ["half"] if like.engine_threads == "half" else []
        spec = model.model_copy(update=update)
        return next((name for name, other in known.items() if other == spec), "") or _add("-".join(words), spec, known)

    return twin


def _add(base: str, spec: ServerSpec, known: dict[str, ServerSpec]) -> str:
    """Add a server under `base`, or the first of base-2, base-3, ... that is free; return its name."""
    name, n = base, 2
    while name in known:
        name, n = f"{base}-{n}", n + 1
    known[name] = spec
    return name


def _plan(
    name: str,
    routing: Routing,
    pipelines: Sequence[Pipeline],
    where: Mapping[tuple[str, str], Goes],
    known: Mapping[str, ServerSpec],
    policies: Policies,
) -> Plan:
    named = {server for goes_to in where.values() for server in goes_to.servers}
    used = [server for server in known if server in named]
    queues = tuple(
        ServerQueue(
            server=server,
            slots=known[server].slots,
            concurrency=policies.concurrency[routing.concurrency_on(server)],
            scheduling=policies.scheduling[routing.scheduling_on(server)],
            limit=routing.limit,
            max_wait_s=routing.max_wait_s,
            ageing_s=routing.ageing_s,
            reserve=routing.reserve,
        )
        for server in used
    )
    # The queue of a node that makes no call is read by nobody.
    placement = tuple(
        tuple(
            _queue(where[pipeline.name, node.name], used, policies) if node.kind == "agent" else 0
            for node in pipeline.graph.nodes
        )
        for pipeline in pipelines
    )
    return Plan(name, queues, placement)


def _queue(where: Goes, used: Sequence[str], policies: Policies) -> int | Pool:
    queues = tuple(used.index(server) for server in where.servers)
    return Pool(policies.placement[where.policy], queues) if where.policy else queues[0]


def _routing(candidate: str | Routing, policies: Policies) -> Routing:
    if isinstance(candidate, Routing):
        return candidate
    return Routing.model_validate({"concurrency": candidate}, context={"policies": policies})


def check_models(
    chosen: Plans, stands: Mapping[tuple[str, str], Loc], embedding: Collection[str], mistakes: Mistakes
) -> None:
    """Note every node whose model is on no server that it could go to, once, and servers that are asked for too many.

    `stands` tells where each (pipeline, node) is written; the models in `embedding` embed, and are no second model.
    """
    said: set[Loc] = set()
    for lacking in chosen.lacking:
        at = (*stands[lacking.pipeline, lacking.node], *(("embed", "model") if lacking.embeds else ("agent",)))
        if at not in said:
            said.add(at)
            mistakes.add(at, lacking.sentence())
    for name, asked in chosen.models.items():
        spec, models = chosen.servers.get(name), [model for model in asked if model not in embedding]
        if spec and not spec.loads_by_name and sum(map(spec.serves, models)) > 1:
            why = "is simulated, which has the timings of one model" if spec.simulated else "has one model"
            mistakes.add(
                ("servers", name),
                f'server "{name}" {why}, and nodes ask it for {", ".join(models)}; place them on a server each',
                key=True,
            )


def check_compare(
    workload: Workload, graphs: Mapping[str, nx.DiGraph], mistakes: Mistakes, policies: Policies = STANDARD
) -> None:
    """Note every name in `compare` that is not there, and every setting that would have no effect.

    `graphs` are the pipelines', written out; none where they have mistakes.
    """
    servers: Mapping[str, ServerBase] = workload.servers
    default = most_slots(workload.servers) if workload.servers else "four-slot"
    known: Mapping[str, ServerSpec] = workload.servers or {default: LlamaCppServer(kind="llamacpp")}
    models: Models = {
        name: {node: graph.nodes[node]["model"] for node in _agents(graph)} for name, graph in graphs.items()
    }
    embedding = {(name, node) for name, graph in graphs.items() for node in graph if graph.nodes[node]["batch"]}
    for name, written_as in workload.compare.items():
        candidate = _routing(written_as, policies)
        at: Loc = ("compare", name)
        for what, where in candidate.places():
            loc: Loc = (*at, "placement", what) if what else (*at, "placement")
            pipeline, _, node = what.partition(".")
            hint = ""
            if what and pipeline not in workload.pipelines:
                hint = unknown("pipeline", pipeline, workload.pipelines)
                if what in policies.placement:
                    hint = f"{what} goes with several servers: [{goes(where).servers[0]}, ...]"
            elif node and pipeline in graphs:
                hint = _wrong_node(node, graphs[pipeline])
            if hint:
                mistakes.add(loc, f'candidate "{name}" places "{what}": {hint}', key=True)
            found = goes(where)
            for i, server in enumerate(found.servers):
                if server not in servers and server != default:
                    at_server: Loc = (*loc, found.policy, i) if found.policy else loc
                    mistakes.add(at_server, f'candidate "{name}" is placed: {unknown("server", server, servers)}')
        used = _used(candidate, graphs, models, default, known, embedding)
        for key in ("concurrency", "scheduling"):
            choice = getattr(candidate, key)
            for server in () if isinstance(choice, str) else choice:
                if server not in servers and server != default:
                    message = f'candidate "{name}" has {key}: {unknown("server", server, servers)}'
                    mistakes.add((*at, key, server), message, key=True)
                elif server not in used and mistakes.whole(at):
                    message = f'candidate "{name}" has {key} for "{server}", but places nothing there'
                    mistakes.add((*at, key, server), message, key=True)
        if not mistakes.whole(at):
            continue  # what it is to be is not known
        _check_settings(name, candidate, used, policies, mistakes)
        _check_reserve(name, candidate, {server: servers[server] for server in used & servers.keys()}, mistakes)


def _used(
    candidate: Routing,
    graphs: Mapping[str, nx.DiGraph],
    models: Models,
    default: str,
    known: Mapping[str, ServerSpec],
    embedding: Collection[tuple[str, str]],
) -> set[str]:
    """Return the servers that a candidate sends calls to."""
    placed = node_servers(models, candidate.placement, default, known, embedding=embedding)
    used = {server for where in placed.servers.values() for server in where.servers}
    if not graphs:
        used |= {default, *(server for _, where in candidate.places() for server in goes(where).servers)}
    return used


def _check_settings(name: str, candidate: Routing, used: set[str], policies: Policies, mistakes: Mistakes) -> None:
    """Note every setting that no policy of the candidate reads, with the policies that read it."""
    read = {
        setting
        for server in used
        for setting in (
            *policies.concurrency[candidate.concurrency_on(server)].settings,
            *policies.scheduling[candidate.scheduling_on(server)].settings,
        )
    }
    for kind in ("concurrency", "scheduling"):
        table: Mapping[str, Any] = getattr(policies, kind)
        for key in dict.fromkeys(setting for policy in table.values() for setting in policy.settings):
            if key in candidate.model_fields_set and key not in read:
                names = [policy.name for policy in table.values() if key in policy.settings]
                needs = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
                message = f'candidate "{name}": `{key}` goes with {kind}: {needs}; remove it'
                mistakes.add(("compare", name, key), message, key=True)


def _check_reserve(name: str, candidate: Routing, used: Mapping[str, ServerBase], mistakes: Mistakes) -> None:
    """Note where nothing would be left for batch calls."""
    at: Loc = ("compare", name)
    for server in sorted(used):
        most = candidate.limit or used[server].slots
        if candidate.concurrency_on(server) == "reserve" and most <= candidate.reserve:
            calls = "call" if most == 1 else "calls"
            message = f'candidate "{name}" lets at most {most} {calls} go to "{server}" and reserves '
            message += f"{candidate.reserve} of them; batch calls need at least one"
            mistakes.add((*at, "reserve") if "reserve" in candidate.model_fields_set else at, message, key=True)


def _agents(graph: nx.DiGraph) -> list[str]:
    return [name for name, node in graph.nodes(data=True) if node["kind"] == "agent"]


def _wrong_node(node: str, graph: nx.DiGraph) -> str:
    """Say what is wrong with a node (or a sub-pipeline) that a candidate places; "" where nothing is."""
    agents = _agents(graph)
    if node in agents or any(name.startswith(f"{node}/") for name in agents):
        return ""
    if node in graph:
        return "that node calls no model and needs no server"
    hint = unknown("node", node, agents)
    return f'pipeline "{graph.name}" has {hint}'
