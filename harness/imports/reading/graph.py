"""A LangGraph as plain data: its nodes with what they do, its edges, its routers with their ways."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

from harness.imports.reading.code import CodeWorkReader, FunctionRead, read_function
from harness.imports.reading.objects import function_of, is_graph, kind_of, stored
from harness.imports.reading.reach import models_of
from harness.imports.reading.routes import END, START, RouteTarget, RouteWay, ways_of
from harness.imports.reading.work import NOTHING, Work, parts_of, some

__all__ = ["read_graph"]

MAX_DEPTH = 12  # of graphs in graphs
_AGENTS = {"langchain.agents.factory", "langgraph.prebuilt.chat_agent_executor"}
_AGENT_CALLS = {"model_node", "amodel_node", "call_model", "acall_model"}
_AGENT_CALLS |= {"generate_structured_response", "agenerate_structured_response"}


def read_graph(graph: Any, above: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return a compiled graph, or its builder, as plain data.

    `nodes` by name: `work` (work.py), `stub`, `retry`, `defer`, `timeout_s`, `person` (before, after), `notes`.
    `edges`: pairs. `joins`: pairs of nodes that are waited for together, and a node. `routes`: `from`, `ways` (lists of
    [node, sent, count] with a label), `open` (the code does not tell all ways), `several`, `work` of the router.
    `messages`: messages add up in the state.
    """
    builder = graph.builder if is_graph(graph) else graph
    if not hasattr(builder, "branches"):
        return _functional(graph, above)
    above = (*above, id(builder))
    before, after = _waits(graph, "interrupt_before_nodes"), _waits(graph, "interrupt_after_nodes")
    nodes: dict[str, Any] = {}
    routes: list[dict[str, Any]] = []
    every = [name for name in builder.nodes if name not in (START, END)]
    for name in every:
        spec = builder.nodes[name]
        node, read = _node(name, spec, graph, above)
        node["person"] = [
            when for when, where in (("before", before), ("after", after)) if where is None or name in where
        ]
        nodes[name] = node
        route = _command(name, spec, read, every)
        routes += [route] if route else []
    for source, specs in builder.branches.items():
        routes += [_route(source, spec, every, above) for spec in specs.values()]
    place = {name: i for i, name in enumerate([START, *every, END])}
    return {
        "name": str(getattr(graph, "name", "") or ""),
        "nodes": nodes,
        "edges": sorted(map(list, builder.edges), key=lambda edge: [place.get(one, 0) for one in edge]),
        "joins": [
            [sorted(many, key=lambda one: place.get(one, 0)), to]
            for many, to in sorted(builder.waiting_edges, key=lambda edge: (place.get(edge[1], 0), sorted(edge[0])))
        ],
        "routes": routes,
        "messages": _adds_messages(builder),
    }


def _functional(graph: Any, above: tuple[int, ...]) -> dict[str, Any]:
    """Return a graph of LangGraph's functional interface: one node, whose code says the rest."""
    nodes: dict[str, Any] = {}
    for name, spec in (stored(graph, "nodes") or {}).items():
        if name in (START, END):
            continue
        runnable = stored(spec, "bound") or spec
        read = _read(function_of(runnable))
        work = read.work if read else _unseen(runnable)
        nodes[str(name)] = _plain_node(_with_graphs(work, (*above, id(graph))), read)
    first = next(iter(nodes), None)
    edges = [] if first is None else [[START, first], [first, END]]
    return {
        "name": str(getattr(graph, "name", "") or ""),
        "nodes": nodes,
        "edges": edges,
        "joins": [],
        "routes": [],
        "messages": False,
    }


def _plain_node(work: Work, read: FunctionRead | None) -> dict[str, Any]:
    return {
        "work": work,
        "stub": read.stub if read else False,
        "retry": None,
        "defer": False,
        "timeout_s": None,
        "person": [],
        "notes": list(read.notes) if read else [],
        "agent": False,
    }


def _node(name: str, spec: Any, graph: Any, above: tuple[int, ...]) -> tuple[dict[str, Any], FunctionRead | None]:
    runnable = getattr(spec, "runnable", spec)
    read: FunctionRead | None = None
    kind = kind_of(runnable)
    work: Work | None
    function = function_of(runnable) if kind in ("callable", "function", "partial", "task", "other") else None
    if _is_agent(function):
        work = {"do": "call", "clients": models_of(function), "sure": True}
    elif kind == "tools":
        work = _tools(runnable)
    elif function is not None:
        read = _read(function)
        work = read.work if read else None
    else:
        work = CodeWorkReader().work_of_object(runnable)
    if work is None:
        work = _unseen(runnable)
    elif not any(part["do"] in ("call", "graph", "embed") for part in parts_of(work)) and not (read and read.stub):
        reachable = models_of(runnable) if read else []
        if reachable:  # it names a model, and no call of it was seen
            work = {"do": "seq", "parts": [work, {"do": "call", "clients": reachable, "sure": False}]}
        listed = getattr((stored(graph, "nodes") or {}).get(name), "subgraphs", None) or ()
        if not reachable and listed and kind != "tools":
            work = {"do": "graph", "object": listed[0], "sure": False}
    node = _plain_node(_with_graphs(work, above), read)
    node["agent"] = _is_agent(function)
    node["defer"] = bool(getattr(spec, "defer", False))
    node["retry"] = _retry(getattr(spec, "retry_policy", getattr(spec, "retry", None)))
    limit: Any = getattr(getattr(spec, "timeout", None), "run_timeout", None)
    node["timeout_s"] = limit.total_seconds() if hasattr(limit, "total_seconds") else limit
    return node, read


def _read(function: Any) -> FunctionRead | None:
    return None if function is None else read_function(function)


def _is_agent(function: Any) -> bool:
    inner = inspect.unwrap(function) if isinstance(function, FunctionType) else function
    return getattr(inner, "__module__", "") in _AGENTS and getattr(inner, "__name__", "") in _AGENT_CALLS


def _unseen(runnable: Any) -> Work:
    return {"do": "call", "clients": models_of(runnable), "sure": False}


def _tools(node: Any) -> Work:
    """Return what a ToolNode does: a tool, or what one of its tools does where that calls a model."""
    named = stored(node, "_tools_by_name") or stored(node, "tools_by_name") or {}
    plain: Work = {"do": "tool", "name": ", ".join(map(str, named)) or "tools", "names": list(map(str, named))}
    ways: dict[str, Work] = {}
    for name, tool in named.items():
        read = _read(function_of(stored(tool, "func") or stored(tool, "coroutine") or tool))
        if read and any(part["do"] in ("call", "graph", "embed") for part in parts_of(read.work)):
            ways[str(name)] = read.work
    rest = [str(name) for name in named if str(name) not in ways]
    if not ways:
        return plain
    if rest:
        ways["tools" if len(rest) > 1 else rest[0]] = {"do": "tool", "name": ", ".join(rest), "names": rest}
    return {"do": "alt", "parts": list(ways.values()), "labels": list(ways)}


def _with_graphs(work: Work, above: tuple[int, ...]) -> Work:
    """Put graphs as plain data in the place of the objects."""
    if work["do"] == "graph":
        inner = work["object"]
        key = id(inner.builder if is_graph(inner) else inner)
        if key in above or len(above) > MAX_DEPTH:
            return {"do": "call", "clients": [], "sure": False, "within": str(getattr(inner, "name", "") or "itself")}
        return {**{k: v for k, v in work.items() if k != "object"}, "graph": read_graph(inner, above)}
    result = dict(work)
    if "parts" in work:
        result["parts"] = [_with_graphs(part, above) for part in work["parts"]]
    if "body" in work:
        result["body"] = _with_graphs(work["body"], above)
    return result


def _retry(policy: Any) -> dict[str, Any] | None:
    if policy is None:
        return None
    first = policy[0] if isinstance(policy, list | tuple) and not hasattr(policy, "max_attempts") else policy
    attempts = getattr(first, "max_attempts", None)
    if not isinstance(attempts, int) or attempts < 2:
        return None
    return {"times": attempts - 1, "backoff_s": float(getattr(first, "initial_interval", 0.5) or 0)}


def _waits(graph: Any, name: str) -> Iterable[str] | None:
    """Return the nodes at which a person is waited for; None: at every node."""
    where = getattr(graph, name, None)
    return None if where == "*" else [str(one) for one in where or ()]


def _command(name: str, spec: Any, read: FunctionRead | None, every: list[str]) -> dict[str, Any] | None:
    """Return where the Commands of a node lead; None where it gives none."""
    from harness.imports.reading.values import EitherValue, GotoValue

    ends = getattr(spec, "ends", None) or ()
    declared = [str(one) for one in ends]
    labels = {str(k): str(v) for k, v in ends.items()} if isinstance(ends, Mapping) else {}
    gotos, others = [], False
    for value in read.returns if read else ():
        for one in value.ways if isinstance(value, EitherValue) else (value,):
            if isinstance(one, GotoValue) and not one.up and one.goto is not None:
                gotos.append(one)
            else:
                others = True
    if not gotos and not declared:
        return None
    found = ways_of(tuple(gotos))
    told = {target.node for way in found.ways for target in way}
    ways = [*found.ways, *((RouteTarget(to),) for to in declared if to not in told)]
    is_open = found.open and not declared
    return _made(
        name,
        ways,
        {v: k for k, v in labels.items()},
        is_open,
        found.several,
        every,
        stays=(others and bool(gotos)) or read is None,
    )


def _route(source: str, spec: Any, every: list[str], above: tuple[int, ...]) -> dict[str, Any]:
    ends: Mapping[Any, str] | None = spec.ends
    read = _read(function_of(spec.path))
    found = ways_of(read.returns, ends) if read else ways_of((), ends)._replace(open=True)
    ways = list(found.ways)
    labels: dict[str, str] = {}
    if ends:
        told = {target.node for way in found.ways for target in way}
        ways = [way for way in ways if all(target.node in ends.values() for target in way)]
        ways += [(RouteTarget(to),) for to in dict.fromkeys(ends.values()) if to not in told]
        order = [*dict.fromkeys(ends.values())]
        ways.sort(key=lambda way: (len(way) > 1, order.index(way[0].node)))
        for label, to in ends.items():
            labels[to] = f"{labels[to]}-or-{label}" if to in labels else str(label)
    several = found.several or (bool(ends) and found.open and _gives_list(spec.path))
    route = _made(source, ways, labels, found.open and not ends, several, every, stays=found.stays and not ends)
    work = read.work if read else NOTHING
    if some(work):
        route["work"] = _with_graphs(work, above)
    return route


def _gives_list(path: Any) -> bool:
    function = function_of(path)
    said = str(getattr(function, "__annotations__", {}).get("return", "")).lower()
    return "list[" in said or "sequence[" in said


def _made(
    source: str,
    ways: list[RouteWay],
    labels: Mapping[str, str],
    is_open: bool,
    several: bool,
    every: list[str],
    stays: bool,
) -> dict[str, Any]:
    known = {*every, END}
    unknown = sorted({target.node for way in ways for target in way if target.node not in known})
    ways = [way for way in (tuple(one for one in way if one.node in known) for way in ways) if way]
    same: dict[tuple[str, ...], RouteWay] = {}
    for way in ways:  # to one node by its name and with items: with items
        key = tuple(one.node for one in way)
        if key not in same or any(one.sent for one in way):
            same[key] = way
    ways = list(same.values())
    if is_open:  # as LangGraph has it: any node
        told = {way[0].node for way in ways if len(way) == 1}
        ways += [(RouteTarget(name),) for name in [*every, END] if name not in told]
    elif stays:
        ways.append((RouteTarget(END),)) if (RouteTarget(END),) not in ways else None
    if several and len(ways) > 1:
        targets = [target for way in ways for target in way if target.node != END]
        together = tuple(dict.fromkeys(targets))
        if len(together) > 1 and together not in ways:
            ways.append(together)
    return {
        "from": source,
        "ways": [
            {
                "label": labels.get(way[0].node, way[0].node)
                if len(way) == 1
                else "-and-".join(one.node for one in way),
                "to": [list(one) for one in way],
            }
            for way in ways
        ],
        "open": is_open,
        "several": several,
        "unknown": unknown,
    }


def _adds_messages(builder: Any) -> bool:
    """Tell whether the state has messages that a node's answer is added to, as MessagesState has."""
    channel = (getattr(builder, "channels", None) or {}).get("messages")
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    name = getattr(reducer, "__name__", "") or getattr(getattr(reducer, "func", None), "__name__", "")
    return callable(reducer) and "messages" in name
