"""What an expression of a program may be: names, texts, lists and their lengths, calls."""

from __future__ import annotations

import ast
import builtins
from typing import Any

from harness.imports.reading.calls import CallReader
from harness.imports.reading.objects import attribute
from harness.imports.reading.values import (
    UNKNOWN,
    ChainValue,
    CodeValue,
    EitherValue,
    ItemsValue,
    KnownValue,
    ManyValue,
    MapValue,
    Value,
    either,
    how_many,
    one_of_them,
)
from harness.imports.reading.work import alt, fan, seq

__all__ = ["MAX_STEPS", "ExpressionReader", "added"]

MAX_STEPS = 20_000  # expressions and statements of one node


class ExpressionReader(CallReader):
    """Reads expressions; statements and functions are read by those that come from it."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self._given: list[Value] = []  # by the `yield` of the function that is read

    def _assign(self, target: ast.expr, found: Value) -> None:
        match target:
            case ast.Name(id=name):
                self._names[name] = found
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                whole = isinstance(found, ItemsValue) and len(found.parts) == len(parts)
                for i, part in enumerate(parts):
                    self._assign(
                        part, found.parts[i] if isinstance(found, ItemsValue) and whole else one_of_them(found)
                    )
            case ast.Starred(value=inner):
                self._assign(inner, UNKNOWN)
            case ast.Subscript(value=value):
                self.value(value)

    def value(self, node: ast.expr) -> Value:
        """Return what an expression may be; what it calls is noted on the way."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            return UNKNOWN
        match node:
            case ast.Constant(value=value):
                return KnownValue(value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=inner, attr=name):
                return self._attribute(self.value(inner), name)
            case ast.Call():
                return self.call(node)
            case ast.Await(value=inner):
                return self.awaited_value(self.value(inner))
            case ast.IfExp(test=test, body=yes, orelse=no):
                self.value(test)
                return self._either_of([yes, no])
            case ast.BoolOp(op=op, values=values):
                first = self.value(values[0])
                return either([first, self._either_of(values[1:])])
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self.value(left), self.value(right)
                if isinstance(op, ast.BitOr):
                    return ChainValue((a, b))
                return added(a, b) if isinstance(op, ast.Add) else UNKNOWN
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return self._items(parts)
            case ast.Dict(keys=keys, values=values):
                return self._dict(keys, values)
            case ast.ListComp(elt=item, generators=over) | ast.GeneratorExp(elt=item, generators=over):
                return self._comprehension(item, over)
            case ast.SetComp(elt=item, generators=over) | ast.DictComp(value=item, generators=over):
                return self._comprehension(item, over)
            case ast.Subscript(value=inner, slice=key):
                return self._item(self.value(inner), self.value(key))
            case ast.Lambda():
                return CodeValue(node, self._names)
            case ast.NamedExpr(target=target, value=inner):
                found = self.value(inner)
                self._assign(target, found)
                return found
            case ast.Starred(value=inner):
                return self.value(inner)
            case ast.Yield(value=inner) if inner is not None:
                self._given.append(self.value(inner))
                return UNKNOWN
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.expr):
                self.value(part)
        return UNKNOWN

    def _either_of(self, nodes: list[ast.expr]) -> Value:
        found, ways = [], []
        for node in nodes:
            kept, self.now = self.now, []
            found.append(self.value(node))
            ways.append(seq(self.now))
            self.now = kept
        self.now.append(alt([*ways, seq([])] if len(ways) == 1 else ways))
        return either(found)

    def _items(self, parts: list[ast.expr]) -> Value:
        found: list[Value] = []
        for part in parts:
            value = self.value(part)
            if isinstance(part, ast.Starred):
                if isinstance(value, ItemsValue):
                    found += value.parts
                    continue
                if len(parts) == 1:
                    return value
                return ManyValue(either([*found, one_of_them(value)]), None)
            found.append(value)
        return ItemsValue(tuple(found))

    def _dict(self, keys: list[ast.expr | None], values: list[ast.expr]) -> Value:
        parts: dict[Any, Value] = {}
        for i, (key, node) in enumerate(zip(keys, values, strict=False)):
            name = self.value(key) if key is not None else UNKNOWN
            plain = isinstance(name, KnownValue) and isinstance(name.value, str | int | float | bool | type(None))
            parts[name.value if plain and isinstance(name, KnownValue) else f"\0{i}"] = self.value(node)
        return MapValue(parts)

    def _comprehension(self, item: ast.expr, over: list[ast.comprehension]) -> Value:
        count: int | None = 1
        names, self._names = self._names, dict(self._names)
        kept, self.now = self.now, []
        for part in over:
            many = self.value(part.iter)
            size = how_many(many)
            count = None if count is None or size is None or part.ifs else count * size
            self._assign(part.target, one_of_them(many))
            for test in part.ifs:
                self.value(test)
        before, self.now = self.now, []
        found = self.value(item)
        work = seq(self.now)
        self._names, self.now = names, kept
        self.now += before
        self.now.append(fan(work, count, in_turn=True))
        return ManyValue(found, count)

    def _name(self, name: str) -> Value:
        if name in self._names:
            return self._names[name]
        function = self._function
        if function is not None:
            for free, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
                if free == name:
                    try:
                        return KnownValue(cell.cell_contents)
                    except ValueError:
                        return UNKNOWN
            if name in function.__globals__:
                return KnownValue(function.__globals__[name])
        return KnownValue(getattr(builtins, name)) if hasattr(builtins, name) else UNKNOWN

    def _attribute(self, inner: Value, name: str) -> Value:
        if isinstance(inner, EitherValue):
            return either(self._attribute(way, name) for way in inner.ways)
        if not isinstance(inner, KnownValue):
            return UNKNOWN
        there, found = attribute(inner.value, name)
        return KnownValue(found) if there else UNKNOWN

    def _item(self, inner: Value, key: Value) -> Value:
        if isinstance(inner, EitherValue):
            return either(self._item(way, key) for way in inner.ways)
        if isinstance(inner, MapValue):
            if isinstance(key, KnownValue) and isinstance(key.value, str | int) and key.value in inner.parts:
                return inner.parts[key.value]
            return either(inner.parts.values())
        if isinstance(inner, KnownValue) and isinstance(inner.value, dict):
            if isinstance(key, KnownValue) and isinstance(key.value, str | int) and key.value in inner.value:
                return KnownValue(inner.value[key.value])
            return either(KnownValue(one) for one in list(inner.value.values())[:40])
        place = key.value if isinstance(key, KnownValue) and isinstance(key.value, int) else None
        if place is not None and isinstance(inner, ItemsValue) and -len(inner.parts) <= place < len(inner.parts):
            return inner.parts[place]
        if isinstance(inner, KnownValue) and not isinstance(inner.value, str | list | tuple):
            return UNKNOWN
        return one_of_them(inner)


def added(a: Value, b: Value) -> Value:
    if isinstance(a, ItemsValue) and isinstance(b, ItemsValue):
        return ItemsValue((*a.parts, *b.parts))
    if isinstance(a, ItemsValue | ManyValue) and isinstance(b, ItemsValue | ManyValue):
        if isinstance(a, ItemsValue) and not a.parts:
            return b
        m, n = how_many(a), how_many(b)
        return ManyValue(either([one_of_them(a), one_of_them(b)]), None if m is None or n is None else m + n)
    if (
        isinstance(a, KnownValue)
        and isinstance(b, KnownValue)
        and isinstance(a.value, str)
        and isinstance(b.value, str)
    ):
        return KnownValue(a.value + b.value)
    return UNKNOWN
