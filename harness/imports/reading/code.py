"""What a function does, read from its source: which models, graphs and tools it calls, and what it returns.

Nothing is executed. A name is what it is in the function, in its closure or among its globals; what a program decides
when it runs stays open. Functions of the user that are called are read too, a few levels down.
"""

from __future__ import annotations

import ast
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from harness.imports.reading.expressions import MAX_STEPS, ExpressionReader, added
from harness.imports.reading.objects import attribute, function_of, kind_of
from harness.imports.reading.source import FunctionTree, tree_of
from harness.imports.reading.values import (
    UNKNOWN,
    CodeValue,
    ItemsValue,
    KnownValue,
    ManyValue,
    TaskGroupValue,
    Value,
    either,
    how_many,
    later_work,
    one_of_them,
)
from harness.imports.reading.work import Work, alt, fan, par, seq, some

__all__ = ["CodeWorkReader", "FunctionRead", "read_function"]

MAX_DEPTH = 6  # of functions that call functions


class FunctionRead(NamedTuple):
    """What a function does and gives. `stub`: it does nothing that could be read, as the place of code to come."""

    work: Work
    returns: tuple[Value, ...]
    stub: bool = False
    notes: tuple[str, ...] = ()


def read_function(function: Any) -> FunctionRead | None:
    """Return what a function, a method or a partial does; None where its source cannot be found."""
    reader = CodeWorkReader()
    try:
        returns = reader.run_object(function, None)
    except RecursionError:
        return None
    if returns is None:
        return None
    work = seq(reader.now + [later_work(one) for key, one in reader.tasks.items() if key not in reader.awaited])
    return FunctionRead(work, tuple(returns), reader.is_stub(function), tuple(dict.fromkeys(reader.notes)))


class CodeWorkReader(ExpressionReader):
    """Reads one function, and those that it calls."""

    def __init__(self) -> None:
        super().__init__()
        self._returns: list[Value] = []
        self._stack: list[object] = []

    # Functions

    def run_object(self, function: Any, given: tuple[list[Value], dict[str, Value]] | None) -> list[Value] | None:
        """Read a function as if it were called here; return what it may give, None where it cannot be read."""
        first: list[Value] = []
        while True:
            function = getattr(function, "__wrapped__", None) or function
            if isinstance(function, MethodType):
                first.insert(0, KnownValue(function.__self__))
                function = function.__func__
            elif kind_of(function) == "partial":
                known = [KnownValue(one) for one in function.args]
                more = {name: KnownValue(one) for name, one in function.keywords.items()}
                positional, named = given or ([], {})
                given = ([*known, *positional], {**more, **named})
                function = function.func
            elif not isinstance(function, FunctionType):
                inner = function_of(function)
                if inner is None or inner is function:
                    return None
                function = inner
            else:
                break
        tree = tree_of(function)
        if tree is None or function in self._stack or len(self._stack) > MAX_DEPTH:
            return None
        positional, named = given or ([], {})
        names = _arguments(tree, function, [*first, *positional], named)
        return self._run(tree, function, names, function)

    def run_code(self, code: CodeValue, given: tuple[list[Value], dict[str, Value]]) -> list[Value] | None:
        """Read a function that is defined in the code, as if it were called here."""
        if code.node in self._stack or len(self._stack) > MAX_DEPTH:
            return None
        names = {**code.names, **_arguments(code.node, None, *given)}
        return self._run(code.node, self._function, names, code.node)

    def _run(
        self, tree: FunctionTree, function: FunctionType | None, names: dict[str, Value], key: object
    ) -> list[Value]:
        before = (self._names, self._function, self._returns, self._given)
        self._names, self._function, self._returns, self._given = names, function, [], []
        self._stack.append(key)
        try:
            if isinstance(tree, ast.Lambda):
                self._returns.append(self.value(tree.body))
            elif not self._block(tree.body):
                self._returns.append(KnownValue(None))
            return self._given or self._returns
        finally:
            self._stack.pop()
            self._names, self._function, self._returns, self._given = before

    def is_stub(self, function: Any) -> bool:
        """Tell whether a function only gives constants: it stands for code to come, or for none."""
        while isinstance(function, MethodType) or kind_of(function) in ("partial", "callable", "task"):
            function = getattr(function, "__func__", None) or getattr(function, "func", None) or function_of(function)
        tree = tree_of(function) if isinstance(function, FunctionType) else None
        if tree is None:
            return False
        made = {"Command", "Send", "dict", "list"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name not in made:
                    return False
            elif isinstance(node, ast.Subscript | ast.Attribute | ast.BinOp | ast.Await) and not _in_annotation(
                tree, node
            ):
                return False
        return True

    # Statements: a block is read in order; what stands behind a way that has ended belongs to the other way

    def _block(self, body: list[ast.stmt]) -> bool:
        """Read statements; return whether they end the function or the pass of a loop in every case."""
        for i, statement in enumerate(body):
            if isinstance(statement, ast.If | ast.Match):
                ended = self._choice(statement, body[i + 1 :])
                if ended is not None:
                    return ended
            elif self._statement(statement):
                return True
        return False

    def _choice(self, statement: ast.If | ast.Match, rest: list[ast.stmt]) -> bool | None:
        if isinstance(statement, ast.If):
            self.value(statement.test)
            bodies = [statement.body, statement.orelse]
        else:
            self.value(statement.subject)
            bodies = [case.body for case in statement.cases]
            if not any(
                isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in statement.cases
            ):
                bodies.append([])
        ways, ends, names = [], [], []
        for body in bodies:
            work, ended, after = self._apart(body)
            ways.append(work)
            ends.append(ended)
            names.append(after)
        if not any(ends):
            self.now.append(alt(ways))
            self._names = _merged(names)
            return None
        left = [i for i, ended in enumerate(ends) if not ended]
        if not left:
            self.now.append(alt(ways))
            return True
        self._names = _merged([names[i] for i in left])
        kept, self.now = self.now, []
        ended = self._block(rest)
        behind, self.now = seq(self.now), kept
        self.now.append(alt([seq([way, behind]) if i in left else way for i, way in enumerate(ways)]))
        return ended

    def _apart(self, body: list[ast.stmt]) -> tuple[Work, bool, dict[str, Value]]:
        """Read a block as one way of several: its work, whether it ends, and its names after it."""
        kept, self.now = self.now, []
        names, self._names = self._names, dict(self._names)
        ended = self._block(body)
        work, self.now = seq(self.now), kept
        after, self._names = self._names, names
        return work, ended, after

    def _statement(self, statement: ast.stmt) -> bool:
        self._steps += 1
        if self._steps > MAX_STEPS:
            return False
        match statement:
            case ast.Return(value=value):
                self._returns.append(KnownValue(None) if value is None else self.value(value))
                return True
            case ast.Raise(exc=error):
                if error is not None:
                    self.value(error)
                return True
            case ast.Break() | ast.Continue():
                return True
            case ast.Expr(value=value):
                self.value(value)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value)
                for target in targets:
                    self._assign(target, found)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                self._names[name] = added(self._names.get(name, UNKNOWN), self.value(value))
            case ast.AugAssign(value=value) | ast.Assert(test=value):
                self.value(value)
            case ast.For() | ast.AsyncFor():
                self._loop(statement)
            case ast.While(test=test, body=body, orelse=orelse):
                self.value(test)
                work, ended, after = self._apart(body)
                self._names = _merged([self._names, after])
                if some(work):  # one that returns in every pass is a loop of attempts
                    self.now.append(work if ended else {"do": "loop", "body": work})
                return self._block(orelse)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                return self._with(items, body)
            case ast.Try():
                return self._try(statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._names[name] = CodeValue(statement, self._names)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                self._import(statement, names)
        return False

    def _loop(self, statement: ast.For | ast.AsyncFor) -> None:
        many = self.value(statement.iter)
        count = how_many(many)
        self._assign(statement.target, one_of_them(many))
        before = dict(self._names)
        inside = {
            name: value for name, value in self._names.items() if isinstance(value, ItemsValue) and not value.parts
        }
        work, ended, after = self._apart(statement.body)
        for name, value in after.items():
            if name in inside and isinstance(value, ItemsValue) and value.parts:  # a list that the loop fills
                each = either(value.parts) if len(value.parts) > 1 else value.parts[0]
                ends = any(isinstance(node, ast.Break | ast.Continue | ast.If) for node in ast.walk(statement))
                after[name] = ManyValue(each, None if count is None or ends else count * len(value.parts))
        self._names = {**_merged([before, after]), **{name: after[name] for name in inside if name in after}}
        if some(work):
            self.now.append(work if ended else fan(work, count, in_turn=True))
        self._block(statement.orelse)

    def _with(self, items: list[ast.withitem], body: list[ast.stmt]) -> bool:
        groups = []
        for item in items:
            found = self.value(item.context_expr)
            if isinstance(found, TaskGroupValue):
                groups.append(found)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, found)
        ended = self._block(body)
        for group in groups:
            self.now.append(par(group.begun))
        return ended

    def _try(self, statement: ast.Try) -> bool:
        ended = self._block(statement.body)
        for handler in statement.handlers:
            returns = len(self._returns)
            work, _, _ = self._apart(handler.body)
            del self._returns[returns + 1 :]
            if some(work):
                self.notes.append("calls after an exception")
        if not ended:
            ended = self._block(statement.orelse)
        return self._block(statement.finalbody) or ended

    def _import(self, statement: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> None:
        import sys

        for alias in names:
            if isinstance(statement, ast.Import):
                module, name = sys.modules.get(alias.name.split(".")[0]), alias.asname or alias.name.split(".")[0]
                self._names[name] = UNKNOWN if module is None else KnownValue(module)
            else:
                above = self._function.__globals__.get("__package__") if statement.level and self._function else ""
                full = ".".join(filter(None, [above, statement.module]))
                there, found = attribute(sys.modules.get(full), alias.name) if full in sys.modules else (False, None)
                self._names[alias.asname or alias.name] = KnownValue(found) if there else UNKNOWN


def _arguments(
    tree: FunctionTree, function: FunctionType | None, positional: list[Value], named: dict[str, Value]
) -> dict[str, Value]:
    args = [one.arg for one in (*tree.args.posonlyargs, *tree.args.args)]
    only = [one.arg for one in tree.args.kwonlyargs]
    names: dict[str, Value] = dict.fromkeys((*args, *only), UNKNOWN)
    if function is not None:
        names |= {n: KnownValue(v) for n, v in zip(reversed(args), reversed(function.__defaults__ or ()), strict=False)}
        names |= {n: KnownValue(v) for n, v in (function.__kwdefaults__ or {}).items()}
    names |= dict(zip(args, positional, strict=False))
    names |= {name: value for name, value in named.items() if name in names}
    for extra in (tree.args.vararg, tree.args.kwarg):
        if extra is not None:
            names[extra.arg] = UNKNOWN
    return names


def _merged(ways: list[dict[str, Value]]) -> dict[str, Value]:
    names: dict[str, Value] = {}
    for way in ways:
        for name, value in way.items():
            names[name] = either([names[name], value]) if name in names else value
    return names


def _in_annotation(tree: FunctionTree, node: ast.AST) -> bool:
    if isinstance(tree, ast.Lambda):
        return False
    marks = [
        tree.returns,
        *(one.annotation for one in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)),
    ]
    return any(node is part for mark in marks if mark is not None for part in ast.walk(mark))
