"""The models that a node can reach, where its calls cannot be seen.

They are looked for in its closure and its defaults, in the globals that it mentions, in the object that it is a method
of, and in functions of its module that it calls. Nothing is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from harness.imports.reading.objects import class_names, kind_of, stored, told_by

__all__ = ["models_of"]

MAX_DEPTH, MAX_VALUES = 8, 2000  # of what is looked at, for one node
MAX_ITEMS = 50  # of a list or a dict


def models_of(node: Any) -> list[dict[str, Any]]:
    """Return the settings of the models that a node can reach, each once."""
    found: list[dict[str, Any]] = []
    for client, bound in _Search().clients(node):
        told = told_by(client, bound)
        if told not in found:
            found.append(told)
    return found


class _Search:
    """One walk over what a node can reach."""

    def __init__(self) -> None:
        self._seen: dict[object, Any] = {}  # by identity; kept, so that no other object gets it

    def clients(self, value: Any, bound: dict[str, Any] | None = None, depth: int = 0) -> Iterator[tuple[Any, Any]]:
        """Yield each client with the arguments that are bound to it."""
        bound = bound or {}
        if isinstance(value, type):
            return
        kind = kind_of(value)
        if kind == "model":
            yield value, bound
            return
        key = (id(value.__func__), id(value.__self__)) if isinstance(value, MethodType) else id(value)
        if key in self._seen or depth > MAX_DEPTH or len(self._seen) >= MAX_VALUES or kind == "graph":
            return
        self._seen[key] = value
        if kind == "binding":
            yield from self.clients(stored(value, "bound"), {**bound, **(stored(value, "kwargs") or {})}, depth + 1)
            return
        for part in _parts(value, kind):
            yield from self.clients(part, bound, depth + 1)


def _parts(value: Any, kind: str) -> list[Any]:
    """Return what a value can reach."""
    if isinstance(value, FunctionType):
        return _reached(value)
    if isinstance(value, MethodType):
        return _of_method(value.__func__, value.__self__)
    if kind == "partial":
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, list | tuple | dict):
        return list(value.values() if isinstance(value, dict) else value)[:MAX_ITEMS]
    if "Runnable" in class_names(value):
        fields = ("func", "afunc", "first", "middle", "last", "steps", "steps__", "runnable", "bound")
        return [part for name in fields if (part := stored(value, name)) is not None]
    return _of_method(vars(type(value)).get("__call__"), value)


def _of_method(function: Any, owner: Any) -> list[Any]:
    """Return what a method can reach: as any function, and what it mentions of its object."""
    if not isinstance(function, FunctionType):
        return []
    mentioned = dict.fromkeys(_mentioned(function.__code__))
    methods = (vars(type(owner)).get(name) for name in mentioned)
    mine = [stored(owner, name) for name in mentioned]
    return [function, *mine, *(MethodType(one, owner) for one in methods if isinstance(one, FunctionType))]


def _reached(function: FunctionType) -> list[Any]:
    """Return what a function can reach: of other functions among its globals, those of its own module alone."""
    found: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue  # not filled yet
    for name in dict.fromkeys(_mentioned(function.__code__)):
        value = function.__globals__.get(name)
        if not isinstance(value, FunctionType) or value.__module__ == function.__module__:
            found.append(value)
    return found


def _mentioned(code: CodeType) -> Iterator[str]:
    """Yield the names that code uses, functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _mentioned(constant)
