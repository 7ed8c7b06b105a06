"""What is compared: every candidate as a plan, and the servers that the plans need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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

__all__ = ["Plans", "check_compare", "plans", "standard_set"]

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
    workload: Workload, default: ServerSpec | None = None, nodes: Mapping[str, Sequence[str]] | None = None
) -> Plans:
    """Resolve `compare`, or the standard set where it is left out, into plans; the workload has been checked.

    `default` is the server of a file that names none: four slots of the embedded engine. `nodes` are the names in the
    compiled graph of every pipeline, in its order; None: those of the file, in its order.
    """
    nodes = nodes or {name: tuple(spec.nodes) for name, spec in workload.pipelines.items()}
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


def _plan(name: str, routing: Routing, nodes: Mapping[str, Sequence[str]], known: Mapping[str, ServerSpec]) -> Plan:
    default = routing.place if isinstance(routing.place, str) else most_slots(known)
    place: Mapping[str, str] = {} if routing.place is None or isinstance(routing.place, str) else routing.place
    where = [
        [place.get(f"{pipeline}.{node}", place.get(pipeline, default)) for node in names]
        for pipeline, names in nodes.items()
    ]
    used = [server for server in known if any(server in servers for servers in where)]
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
    return Plan(name, lanes, tuple(tuple(used.index(server) for server in servers) for servers in where))


def check_compare(workload: Workload, mistakes: Mistakes) -> None:
    """Note every name in `compare` that is not there, and every setting that would have no effect."""
    servers: Mapping[str, ServerBase] = workload.servers
    default = most_slots(workload.servers) if workload.servers else "four-slot"
    for name, candidate in workload.compare.items():
        if isinstance(candidate, str):
            continue
        at: Loc = ("compare", name)
        place = candidate.place
        placed = {"": place} if isinstance(place, str) else dict(place or {})
        for pipeline, server in placed.items():
            loc: Loc = (*at, "place", pipeline) if pipeline else (*at, "place")
            if pipeline and pipeline not in workload.pipelines:
                hint = unknown("pipeline", pipeline, workload.pipelines)
                mistakes.add(loc, f'candidate "{name}" places "{pipeline}": {hint}', key=True)
            if server not in servers and server != default:
                mistakes.add(loc, f'candidate "{name}" is placed: {unknown("server", server, servers)}')
        used = {place} if isinstance(place, str) else {placed.get(p, default) for p in workload.pipelines}
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
