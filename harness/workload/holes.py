"""A file without what is wrong in it, so that the rest can be looked at: what is taken out, and what follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from harness.workload.source import Loc

__all__ = ["NOTHING", "entries", "follows", "repaired"]

NOTHING: Any = object()

_SECTIONS = ("pipelines", "subpipelines", "agents", "servers", "inputs", "compare")


def follows(loc: Loc, holes: Collection[Loc]) -> bool:
    """Whether what is wrong at a place only follows from what was taken out there, or below it."""
    return any(hole[: len(loc)] == loc for hole in holes)


def repaired(data: Any, places: Mapping[Loc, Any], tried: Collection[Loc] = ()) -> tuple[Any, set[Loc]]:
    """Return data with a stand-in at each of these places, and where something is another.

    Where there is none (NOTHING), or something was `tried` there already, the place is taken out: at a key of a
    mapping. Of a place that is not there it is the nearest one above that is. So it always comes to an end.
    """
    holes: set[Loc] = set()
    for place, value in places.items():
        holes.add(place)
        if not place:
            return None, holes
        if value is not NOTHING and place not in tried and isinstance(_value(data, place[:-1]), dict | list):
            data = _with(data, place, value)
            continue
        loc = place
        while loc and (isinstance(loc[-1], int) or _value(data, loc) is NOTHING):
            loc = loc[:-1]
        if not loc:
            return None, holes
        data = _with(data, loc, NOTHING)
        holes.add(loc)
    return data, holes


def _value(data: Any, loc: Loc) -> Any:
    for step in loc:
        if not (step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))):
            return NOTHING
        data = data[step]
    return data


def _with(data: Any, loc: Loc, value: Any) -> Any:
    """Return data with a value at a place, or without the place."""
    if not loc:
        return value
    if isinstance(data, list):
        return [_with(item, loc[1:], value) if i == loc[0] else item for i, item in enumerate(data)]
    changed = {**data, loc[0]: _with(data.get(loc[0]), loc[1:], value)}
    return {key: item for key, item in changed.items() if item is not NOTHING}


def entries(data: Any) -> frozenset[str]:
    """Return the names of everything that a workload may refer to: pipelines, nodes, agents, servers, inputs, ..."""
    names: set[str] = set()
    for section in _SECTIONS:
        named = data.get(section) if isinstance(data, dict) else None
        for name, item in named.items() if isinstance(named, dict) else ():
            names.add(str(name))
            nodes = item.get("nodes") if isinstance(item, dict) else None
            names |= {str(node) for node in nodes} if isinstance(nodes, dict) else set()
    return frozenset(names)
