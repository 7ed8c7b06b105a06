"""What is done when an object of the user's program is run: a model, a chain, a graph, a tool, a function."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

from harness.imports.reading.objects import class_names, kind_of, stored, told_by
from harness.imports.reading.values import (
    ChainValue,
    CodeValue,
    EitherValue,
    KnownValue,
    LaterValue,
    MapValue,
    ModelValue,
    ToolValue,
    UnknownValue,
    Value,
    later_work,
)
from harness.imports.reading.work import NOTHING, Work, alt, fan, par, seq

__all__ = ["RunnableReader"]

_RUNNABLE = {"model", "graph", "pregel", "tool", "tools", "retriever", "binding", "sequence", "parallel", "callable"}
_RUNNABLE |= {"retry", "each", "fallbacks", "assign", "branch", "plain"}


class RunnableReader:
    """Knows what objects do; what functions do is read by those that come from it."""

    def __init__(self) -> None:
        self.now: list[Work] = []  # done so far, in order
        self.tasks: dict[int, LaterValue] = {}  # that run by themselves
        self.awaited: set[int] = set()
        self.notes: list[str] = []
        self._names: dict[str, Value] = {}
        self._function: FunctionType | None = None

    def value(self, node: ast.expr) -> Value:
        """Return what an expression may be."""
        raise NotImplementedError

    def run_object(self, function: Any, given: tuple[list[Value], dict[str, Value]] | None) -> list[Value] | None:
        """Read a function as if it were called here."""
        raise NotImplementedError

    def run_code(self, code: CodeValue, given: tuple[list[Value], dict[str, Value]]) -> list[Value] | None:
        """Read a function that the code defines as if it were called here."""
        raise NotImplementedError

    def _attribute(self, inner: Value, name: str) -> Value:
        raise NotImplementedError

    def _item(self, inner: Value, key: Value) -> Value:
        raise NotImplementedError

    def _apart_run(
        self, what: Any, positional: list[Value], named: dict[str, Value]
    ) -> tuple[Work, list[Value] | None]:
        kept, self.now = self.now, []
        if isinstance(what, CodeValue):
            returns = self.run_code(what, (positional, named))
        else:
            returns = self.run_object(what, (positional, named))
        work, self.now = seq(self.now), kept
        return work, returns

    def is_model(self, value: Value) -> bool:
        """Tell whether a value is a model, or a chain with one."""
        if isinstance(value, ModelValue):
            return True
        return isinstance(value, KnownValue) and kind_of(value.value) == "model"

    def is_runnable(self, value: Value) -> bool:
        """Tell whether a value is something that LangChain runs."""
        if isinstance(value, KnownValue):
            return kind_of(value.value) in _RUNNABLE
        if isinstance(value, EitherValue):
            return any(self.is_runnable(way) for way in value.ways)
        return isinstance(value, ModelValue | ChainValue)

    def work_of(self, value: Value) -> Work | None:
        """Return what is done when a value is run; None where nobody can say."""
        if isinstance(value, ModelValue):
            return _call([dict(value.told)], value.retries)
        if isinstance(value, ToolValue):
            return {"do": "tool", "name": value.name, "names": [value.name]}
        if isinstance(value, KnownValue):
            return self.work_of_object(value.value)
        if isinstance(value, EitherValue):
            return self._one_of([self.work_of(way) for way in value.ways])
        if isinstance(value, ChainValue):
            return self._chain(value)
        if isinstance(value, MapValue):
            return par(self.work_of(part) or NOTHING for part in value.parts.values())
        if isinstance(value, CodeValue):
            work, returns = self._apart_run(value, [], {})
            return seq([work, *(later_work(one) for one in returns or () if isinstance(one, LaterValue))])
        return None

    def _one_of(self, ways: list[Work | None]) -> Work | None:
        found = [way for way in ways if way is not None]
        if found and all(way["do"] == "call" for way in found):  # one call, of one of several clients
            clients: list[dict[str, Any]] = []
            for way in found:
                clients += [one for one in way["clients"] if one not in clients]
            return {**found[0], "clients": clients}
        return alt(found) if found else None

    def _chain(self, chain: ChainValue) -> Work | None:
        parts: list[Value] = []
        for part in chain.parts:
            parts += part.parts if isinstance(part, ChainValue) else [part]
        works = [self.work_of(part) for part in parts]
        if any(work is not None and work["do"] != "seq" for work in works):
            return seq(work for work in works if work is not None)
        if any(isinstance(part, UnknownValue) for part in parts):
            return {"do": "call", "clients": [], "sure": False}
        return seq(work for work in works if work is not None)

    def work_of_object(self, value: Any, bound: dict[str, Any] | None = None, retries: int = 0) -> Work | None:
        """Return what is done when an object is run; `bound` are arguments that go with it."""
        bound, kind = bound or {}, kind_of(value)
        if kind == "model":
            return _call([told_by(value, bound)], retries)
        if kind in ("graph", "pregel"):
            return {"do": "graph", "object": value}
        if kind == "tools":
            named = stored(value, "_tools_by_name") or stored(value, "tools_by_name") or {}
            return {"do": "tool", "name": ", ".join(map(str, named)) or "tools", "names": [str(one) for one in named]}
        if kind in ("tool", "retriever"):
            name = str(stored(value, "name") or type(value).__name__)
            return {"do": "tool", "name": name, "names": [name]}
        if kind in ("binding", "each", "retry"):
            inner = stored(value, "bound")
            times = stored(value, "max_attempt_number") if kind == "retry" else None
            more = {**(stored(value, "kwargs") or {}), **bound}
            work = self.work_of_object(inner, more, times - 1 if isinstance(times, int) else retries)
            return fan(work, None) if kind == "each" and work is not None else work
        if kind == "sequence":
            steps = stored(value, "steps")
            if not isinstance(steps, list):
                steps = [stored(value, "first"), *(stored(value, "middle") or ()), stored(value, "last")]
            works = [self.work_of_object(step, bound) for step in steps if step is not None]
            return seq(work for work in works if work is not None)
        if kind == "parallel":
            return par(self.work_of_object(step) or NOTHING for step in (stored(value, "steps__") or {}).values())
        if kind == "assign":
            return self.work_of_object(stored(value, "mapper"))
        if kind == "fallbacks":
            return self.work_of_object(stored(value, "runnable"), bound)
        if kind == "branch":
            ways = [way for _, way in stored(value, "branches") or ()]
            return alt(self.work_of_object(way) or NOTHING for way in [*ways, stored(value, "default")])
        if kind == "plain":
            return NOTHING
        if kind in ("callable", "function", "partial", "task"):
            return self._work_of_function(value)
        return None

    def _work_of_function(self, value: Any) -> Work | None:
        kept, self.now = self.now, []
        returns = self.run_object(value, None)
        work, self.now = seq(self.now), kept
        return None if returns is None else seq([work, *(self._returned(one) for one in returns)])

    def _returned(self, value: Value) -> Work:
        """A function of a chain may give a runnable, which is run then."""
        if isinstance(value, KnownValue) and "Runnable" in class_names(value.value):
            return self.work_of(value) or NOTHING
        return later_work(value) if isinstance(value, LaterValue) else NOTHING


def _call(clients: list[dict[str, Any]], retries: int = 0) -> Work:
    return {"do": "call", "clients": clients, "sure": True, **({"retries": retries} if retries else {})}
