"""Where a router or a `Command` may lead: ways, each of which goes to one node, to several at once, or sends items."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

from harness.imports.reading.values import (
    EitherValue,
    GotoValue,
    ItemsValue,
    KnownValue,
    ManyValue,
    SentValue,
    Value,
)

__all__ = ["END", "START", "RouteTarget", "RouteWay", "RouteWays", "ways_of"]

START, END = "__start__", "__end__"
MOST_WAYS = 40


class RouteTarget(NamedTuple):
    """A node that a way leads to; `sent`: with `Send`, so many `times` (None: nobody can say)."""

    node: str
    sent: bool = False
    times: int | None = 1


RouteWay = tuple[RouteTarget, ...]  # all at once


class RouteWays(NamedTuple):
    """The ways that the source tells of; `open`: there may be others. `several`: some of a list, at once."""

    ways: tuple[RouteWay, ...] = ()
    open: bool = False
    several: bool = False
    stays: bool = False  # it may also lead nowhere


def ways_of(values: tuple[Value, ...], names: Mapping[Any, str] | None = None) -> RouteWays:
    """Return the ways of what a router may return; `names` is its path map."""
    ways: list[RouteWay] = []
    is_open = several = stays = False
    for value in values:
        if isinstance(value, EitherValue):
            found = ways_of(value.ways, names)
        elif isinstance(value, GotoValue):
            found = RouteWays(stays=True) if value.goto is None or value.up else ways_of((value.goto,), names)
        elif isinstance(value, ItemsValue):
            found = _listed(value, names)
        elif isinstance(value, ManyValue):
            found = _many(value, names)
        elif isinstance(value, SentValue):
            found = _sent(value, 1)
        elif isinstance(value, KnownValue):
            found = _known(value.value, names)
        else:
            found = RouteWays(open=True)
        ways += [way for way in found.ways if way not in ways]
        is_open, several, stays = is_open or found.open, several or found.several, stays or found.stays
    return RouteWays(tuple(ways[:MOST_WAYS]), is_open, several, stays)


def _known(value: Any, names: Mapping[Any, str] | None) -> RouteWays:
    if isinstance(value, list | tuple):
        return _listed(ItemsValue(tuple(KnownValue(one) for one in value)), names)
    try:
        named = names.get(value) if names else None
    except TypeError:
        named = None
    if named is not None:
        return RouteWays(((RouteTarget(named),),))
    if isinstance(value, str):
        return RouteWays(((RouteTarget(str(getattr(value, "value", value))),),))
    if type(value).__name__ == "Send":
        return _sent(SentValue(KnownValue(value.node)), 1)
    return RouteWays(stays=True)


def _listed(value: ItemsValue, names: Mapping[Any, str] | None) -> RouteWays:
    if not value.parts:
        return RouteWays(stays=True)
    parts = [ways_of((part,), names) for part in value.parts]
    some = [part.ways or ((),) for part in parts]
    together: dict[RouteWay, None] = {}
    for chosen in list(product(*some))[:MOST_WAYS]:
        counts: dict[tuple[str, bool], int | None] = {}
        for target in (one for way in chosen for one in way):
            key = target[:2]
            before = counts.get(key, 0)
            counts[key] = None if before is None or target.times is None else before + target.times
            if not target.sent:
                counts[key] = 1
        together[tuple(RouteTarget(*key, count) for key, count in counts.items())] = None
    return RouteWays(
        tuple(way for way in together if way), any(part.open for part in parts), any(part.several for part in parts)
    )


def _many(value: ManyValue, names: Mapping[Any, str] | None) -> RouteWays:
    if isinstance(value.item, SentValue):
        return _sent(value.item, value.size)
    found = ways_of((value.item,), names)
    if any(target.sent for way in found.ways for target in way):
        return found._replace(
            ways=tuple(tuple(one._replace(times=None) if one.sent else one for one in way) for way in found.ways),
            several=len(found.ways) > 1,
        )
    return found._replace(several=True)


def _sent(value: SentValue, count: int | None) -> RouteWays:
    found = ways_of((value.target,))
    ways = tuple(tuple(RouteTarget(one.node, True, count) for one in way) for way in found.ways)
    if len(ways) > 1 and count != 1:  # each item goes to one of several nodes: to all of them, over the list
        return RouteWays((tuple(one._replace(times=None) for way in ways for one in way),), found.open)
    return RouteWays(ways, found.open)
