"""What an expression of a program may be, as far as its source tells. Nothing is computed by running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from harness.imports.reading.work import NOTHING, Work, alt, fan, par, seq

__all__ = [
    "UNKNOWN",
    "ChainValue",
    "CodeValue",
    "EitherValue",
    "GotoValue",
    "ItemsValue",
    "KnownValue",
    "LaterValue",
    "ManyValue",
    "MapValue",
    "ModelValue",
    "SentValue",
    "TaskGroupValue",
    "ToolValue",
    "UnknownValue",
    "Value",
    "either",
    "how_many",
    "later_work",
    "one_of_them",
    "tasks_in",
]


class UnknownValue(NamedTuple):
    """Anything: of the state, or of code that is not read."""

    mark: str = "?"


class KnownValue(NamedTuple):
    """An object that exists: a constant, a global, what a closure holds."""

    value: Any


class ItemsValue(NamedTuple):
    """A list that is written out."""

    parts: tuple[Value, ...]


class ManyValue(NamedTuple):
    """A list of like items; `size` is None where nobody can say."""

    item: Value
    size: int | None


class MapValue(NamedTuple):
    """A dict that is written out: its values, by keys that are constants."""

    parts: Mapping[Any, Value]


class EitherValue(NamedTuple):
    """One of several."""

    ways: tuple[Value, ...]


class SentValue(NamedTuple):
    """A `Send` to a node."""

    target: Value


class GotoValue(NamedTuple):
    """A `Command`; `goto` is None where it leads nowhere. `up`: it is for the graph around."""

    goto: Value | None
    up: bool


class LaterValue(NamedTuple):
    """Work that was begun or made ready, and is waited for somewhere else; `gives` is its result."""

    work: Work
    gives: Value
    key: int = 0  # of a task that runs by itself


class ModelValue(NamedTuple):
    """A client that the code makes: its class and the settings that it gives."""

    told: Mapping[str, Any]
    retries: int = 0


class ToolValue(NamedTuple):
    """A tool or a retriever that the code makes."""

    name: str


class ChainValue(NamedTuple):
    """Runnables one after the other, `prompt | model`."""

    parts: tuple[Value, ...]


class CodeValue(NamedTuple):
    """A function that is defined within the code, with the names that it sees."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    names: dict[str, Any]


class TaskGroupValue(NamedTuple):
    """An `asyncio.TaskGroup` or an executor: what was begun in it."""

    begun: list[Work]


Value = (
    UnknownValue
    | KnownValue
    | ItemsValue
    | ManyValue
    | MapValue
    | EitherValue
    | SentValue
    | GotoValue
    | LaterValue
    | ModelValue
    | ChainValue
    | CodeValue
    | TaskGroupValue
    | ToolValue
)
UNKNOWN = UnknownValue()
MOST_WAYS = 40


def either(values: Iterable[Value]) -> Value:
    """Return one of several; equal ones are one."""
    ways: list[Value] = []
    for value in values:
        for way in value.ways if isinstance(value, EitherValue) else (value,):
            if not any(_same(way, other) for other in ways):
                ways.append(way)
    if not ways:
        return UNKNOWN
    return ways[0] if len(ways) == 1 else EitherValue(tuple(ways[:MOST_WAYS]))


def _same(a: Value, b: Value) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, KnownValue) and isinstance(b, KnownValue):
        plain = (str, int, float, bool, type(None))
        return a.value is b.value or (
            type(a.value) is type(b.value) and isinstance(a.value, plain) and a.value == b.value
        )
    if isinstance(a, LaterValue | TaskGroupValue | CodeValue):
        return a is b
    if isinstance(a, MapValue):
        return False
    return len(a) == len(b) and all(
        _same(x, y) if _is_value(x) and _is_value(y) else _parts_same(x, y) for x, y in zip(a, b, strict=False)
    )


def _is_value(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")


def _parts_same(x: Any, y: Any) -> bool:
    if isinstance(x, tuple) and isinstance(y, tuple):
        return len(x) == len(y) and all(_same(p, q) for p, q in zip(x, y, strict=False))
    return bool(x == y)


def how_many(value: Value) -> int | None:
    """Return how many items a value has; None where nobody can say."""
    if isinstance(value, ItemsValue | MapValue):
        return len(value.parts)
    if isinstance(value, ManyValue):
        return value.size
    if isinstance(value, KnownValue) and isinstance(value.value, str | list | tuple | range | dict | set | frozenset):
        return len(value.value)
    return None


def one_of_them(value: Value) -> Value:
    """Return an item of a list."""
    if isinstance(value, ItemsValue):
        return either(value.parts)
    if isinstance(value, ManyValue):
        return value.item
    if isinstance(value, EitherValue):
        return either(one_of_them(way) for way in value.ways)
    if isinstance(value, KnownValue) and isinstance(value.value, str | list | tuple | range | set | frozenset | dict):
        return either(KnownValue(item) for item in list(value.value)[:MOST_WAYS])
    return UNKNOWN


def later_work(value: Value) -> Work:
    """Return what is done when this is waited for."""
    if isinstance(value, LaterValue):
        return value.work
    if isinstance(value, ItemsValue):
        return par(later_work(part) for part in value.parts)
    if isinstance(value, ManyValue):
        return fan(later_work(value.item), value.size)
    if isinstance(value, MapValue):
        return par(later_work(part) for part in value.parts.values())
    if isinstance(value, EitherValue):
        return alt(later_work(way) for way in value.ways)
    return seq([NOTHING])


def tasks_in(value: Value) -> set[int]:
    """Return the keys of the tasks that a value holds."""
    if isinstance(value, LaterValue):
        return {value.key} if value.key else set()
    parts: Iterable[Value] = ()
    if isinstance(value, ItemsValue):
        parts = value.parts
    elif isinstance(value, ManyValue):
        parts = (value.item,)
    elif isinstance(value, MapValue):
        parts = value.parts.values()
    elif isinstance(value, EitherValue):
        parts = value.ways
    return {key for part in parts for key in tasks_in(part)}
