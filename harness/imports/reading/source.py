"""The syntax tree of a function that exists, found by its place in its file."""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from types import CodeType, FunctionType

__all__ = ["FunctionTree", "names_mentioned", "tree_of"]

FunctionTree = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
MOST_CHARACTERS = 2_000_000  # of a file that is read


def tree_of(function: FunctionType) -> FunctionTree | None:
    """Return the tree of a function; None where its source cannot be found."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    found = _functions("".join(lines)).get(code.co_firstlineno, ())
    same = [one for one in found if _name(one) == code.co_name and _arguments(one) == _own_arguments(code)]
    if len(same) < 2:
        return same[0] if same else None
    places = {place[0:3:2] for place in code.co_positions()} if hasattr(code, "co_positions") else set()
    for one in same:  # several lambdas on a line: the one within whose body the code stands
        body = one.body if isinstance(one, ast.Lambda) else one
        if isinstance(body, ast.AST) and (body.lineno, body.col_offset) in places:
            return one
    return same[0]


@lru_cache(maxsize=64)
def _functions(text: str) -> dict[int, list[FunctionTree]]:
    """Return the functions of a file by their first lines, decorators included."""
    found: dict[int, list[FunctionTree]] = {}
    if len(text) > MOST_CHARACTERS:
        return found
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found.setdefault(first, []).append(node)
        elif isinstance(node, ast.Lambda):
            found.setdefault(node.lineno, []).append(node)
    return found


def _name(tree: FunctionTree) -> str:
    return "<lambda>" if isinstance(tree, ast.Lambda) else tree.name


def _arguments(tree: FunctionTree) -> tuple[str, ...]:
    args = tree.args
    return tuple(one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs))


def _own_arguments(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def names_mentioned(code: CodeType) -> set[str]:
    """Return the names and texts that code mentions, functions within it too: where there is no source."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, str):
            found.add(constant)
        elif isinstance(constant, tuple):
            found |= {part for part in constant if isinstance(part, str)}
        elif isinstance(constant, CodeType):
            found |= names_mentioned(constant)
    return found
