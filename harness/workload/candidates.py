"""What is compared: every candidate as a plan, and the servers that the plans need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import networkx as nx

from harness.core.graph import Pipeline
from harness.core.plan import Lane, Plan
from harness.workload.mistakes import Mistakes, unknown
from harness.workload.schema import (
    CapName,
    EngineServer,
    LlamaCppServer,
    OllamaServer,
    Routing,
    ServerBase,
    ServerSpec,
    Workload,
)
from harness.workload.source import Loc

__all__ = ["Plans", "check_compare", "check_models", "placed", "plans", "standard_set"]

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


def plans(
    workload: Workload, default: ServerSpec | None = None, nodes: Mapping[str, Mapping[str, bool]] | None = None
) -> Plans:
    """Resolve `compare`, or the standard set where it is left out, into plans; the workload has been checked.

    `default` is the server of a file that names none: four slots of the embedded engine. `nodes` are the names in the
    compiled graph of every pipeline, in its order, and whether each calls a model; None: those of the file.
    """
    nodes = nodes or {
        name: {node: of.tool is None for node, of in spec.nodes.items()} for name, spec in workload.pipelines.items()
    }
    default = default or LlamaCppServer(kind="llamacpp", slots=STANDARD_SLOTS)
    known: dict[str, ServerSpec] = dict(workload.servers) or {"four-slot": default}
    if workload.compare:
        routings = {
            name: Routing(cap=candidate) if isinstance(candidate, str) else candidate
            for name, candidate in workload.compare.items()
        }
    else:
        routings = standard_set(workload, known)
    resolved = tuple(_plan(name, routing, nodes, known) for name, routing in routings.items())
    used = {lane.server for plan in resolved for lane in plan.lanes}
    servers = {name: spec for name, spec in known.items() if name in used}
    return Plans(servers, resolved, tuple(name for name in servers if name not in workload.servers))


def standard_set(workload: Workload, known: dict[str, ServerSpec]) -> dict[str, Routing]:
    """Return the candidates that answer the usual question; servers that they lack are added to `known`.

    `serial` on one slot; `window`, `waves` and `unbounded` on N (the most slots in the file, else four);
    `split` (interactive on one slot, batch on N) where there are both paths. Each server of the split has half of the
    cores: two engines that both spread over all of them wait for each other in every step. A running server named by
    `url` has no twin: there `serial` is one call in flight on it, and `split` needs a one-slot server in the file.
    """
    many = most_slots(known)
    running = _is_running(known[many])
    if known[many].slots == 1 and not running:
        many = _twin(many, STANDARD_SLOTS, known)
    one = _twin(many, 1, known)
    result = {
        "serial": Routing(place=one or many, cap="serial"),
        "window": Routing(place=many, cap="window"),
        "waves": Routing(place=many, cap="waves"),
        "unbounded": Routing(place=many, cap="unbounded"),
    }
    paths = {spec.path for spec in workload.pipelines.values()}
    if one and paths == {"batch", "interactive"}:
        one, many = _half(one, known), _half(many, known)
        place = {name: one if spec.path == "interactive" else many for name, spec in workload.pipelines.items()}
        result["split"] = Routing(place=place, cap={one: "serial", many: "window"})
    return result


def most_slots(servers: Mapping[str, ServerSpec]) -> str:
    """Return the server with most slots, the first of equals."""
    return max(servers, key=lambda name: servers[name].slots)


def _is_running(spec: ServerSpec) -> bool:
    return isinstance(spec, OllamaServer) and spec.url is not None


def _twin(name: str, slots: int, known: dict[str, ServerSpec]) -> str:
    """Return the like of `name` with `slots` slots, added to `known` where missing; "" where none can be."""
    like = known[name]
    for other, spec in known.items():
        if spec.slots == slots and other != name and (spec.kind, spec.model) == (like.kind, like.model):
            return other
    if _is_running(like):
        return ""
    return _add(f"{_NUMBERS.get(slots, str(slots))}-slot", like.model_copy(update={"slots": slots}), known)


def _half(name: str, known: dict[str, ServerSpec]) -> str:
    """Return the like of `name` on half of the cores, added to `known`; itself where its threads are its own affair."""
    like = known[name]
    if not isinstance(like, EngineServer) or _is_running(like) or like.threads is not None:
        return name
    return _add(f"{name}-half", like.model_copy(update={"threads": "half"}), known)


def _add(base: str, spec: ServerSpec, known: dict[str, ServerSpec]) -> str:
    """Add a server under `base`, or the first of base-2, base-3, ... that is free; return its name."""
    name, n = base, 2
    while name in known:
        name, n = f"{base}-{n}", n + 1
    known[name] = spec
    return name


def _plan(
    name: str, routing: Routing, nodes: Mapping[str, Mapping[str, bool]], known: Mapping[str, ServerSpec]
) -> Plan:
    default = most_slots(known)
    where = {
        (pipeline, node): placed(routing, pipeline, node, default)
        for pipeline, names in nodes.items()
        for node, calls in names.items()
        if calls
    }
    used = [server for server in known if server in where.values()]
    lanes = tuple(
        Lane(
            server=server,
            slots=known[server].slots,
            cap=routing.cap if isinstance(routing.cap, str) else routing.cap.get(server, "window"),
            order=routing.order if isinstance(routing.order, str) else routing.order.get(server, "fifo"),
            max_in_flight=routing.max_in_flight,
            max_wait_s=routing.max_wait_s,
            ageing_s=routing.ageing_s,
        )
        for server in used
    )
    # What calls no model is on no server; the walk still wants a lane for it.
    lane = {server: i for i, server in enumerate(used)}
    return Plan(
        name, lanes, tuple(tuple(lane[where.get((p, node), used[0])] for node in names) for p, names in nodes.items())
    )


def placed(routing: Routing, pipeline: str, node: str, default: str) -> str:
    """Return the server of a node: its own, its sub-pipeline's, its pipeline's, or `default`."""
    if isinstance(routing.place, str):
        return routing.place
    place = routing.place or {}
    while node:
        if f"{pipeline}.{node}" in place:
            return place[f"{pipeline}.{node}"]
        node = node.rpartition("/")[0]
    return place.get(pipeline, default)


def check_models(
    chosen: Plans, pipelines: Sequence[Pipeline], written: Mapping[str, Mapping[str, Loc]], mistakes: Mistakes
) -> None:
    """Note every agent with a model of its own that some candidate sends to a server with only another one.

    An Ollama server loads any model that it has; the embedded engine has the one that it was started with. Simulated
    servers have the timings of one model, whatever it is called.
    """
    for i, pipeline in enumerate(pipelines):
        for n, node in enumerate(pipeline.graph.nodes):
            for plan in chosen.plans if node.kind == "agent" and node.model else ():
                server = plan.lanes[plan.place[i][n]].server
                spec = chosen.servers[server]
                if isinstance(spec, LlamaCppServer) and spec.model != node.model:
                    message = (
                        f'node "{node.name}" wants the model "{node.model}", but candidate "{plan.name}" places it on '
                        f'"{server}", which has "{spec.model}"; place {pipeline.name}.{node.name} on another server'
                    )
                    mistakes.add((*written[pipeline.name][node.name], "agent"), message)
                    break


def check_compare(workload: Workload, graphs: Mapping[str, nx.DiGraph], mistakes: Mistakes) -> None:
    """Note every name in `compare` that is not there, and every setting that would have no effect.

    `graphs` are the pipelines', written out; none where they have mistakes.
    """
    servers: Mapping[str, ServerBase] = workload.servers
    default = most_slots(workload.servers) if workload.servers else "four-slot"
    for name, candidate in workload.compare.items():
        if isinstance(candidate, str):
            continue
        at: Loc = ("compare", name)
        place = candidate.place
        written = {"": place} if isinstance(place, str) else dict(place or {})
        for what, server in written.items():
            loc: Loc = (*at, "place", what) if what else (*at, "place")
            pipeline, _, node = what.partition(".")
            hint = ""
            if what and pipeline not in workload.pipelines:
                hint = unknown("pipeline", pipeline, workload.pipelines)
            elif node and pipeline in graphs:
                hint = _wrong_node(node, graphs[pipeline])
            if hint:
                mistakes.add(loc, f'candidate "{name}" places "{what}": {hint}', key=True)
            if server not in servers and server != default:
                mistakes.add(loc, f'candidate "{name}" is placed: {unknown("server", server, servers)}')
        used = {
            placed(candidate, pipeline, node, default)
            for pipeline in workload.pipelines
            for node in (_agents(graphs[pipeline]) if pipeline in graphs else [""])
        } | (set() if graphs else set(written.values()))
        for key in ("cap", "order"):
            choice = getattr(candidate, key)
            for server in () if isinstance(choice, str) else choice:
                if server not in servers and server != default:
                    message = f'candidate "{name}" has a {key}: {unknown("server", server, servers)}'
                    mistakes.add((*at, key, server), message, key=True)
                elif server not in used:
                    message = f'candidate "{name}" has {_a(key)} for "{server}", but places nothing there'
                    mistakes.add((*at, key, server), message, key=True)
        caps = {candidate.cap} if isinstance(candidate.cap, str) else _caps(candidate.cap, used)
        orders = {candidate.order} if isinstance(candidate.order, str) else set(candidate.order.values())
        for key, needs, present in (
            ("max_in_flight", "cap: window", "window" in caps),
            ("max_wait_s", "cap: waves", "waves" in caps),
            ("ageing_s", "order: interactive-first", "interactive-first" in orders),
        ):
            if key in candidate.model_fields_set and not present:
                mistakes.add((*at, key), f'candidate "{name}": `{key}` goes with {needs}; remove it', key=True)


def _caps(caps: Mapping[str, CapName], used: set[str]) -> set[str]:
    return {caps.get(server, "window") for server in used}


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


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
