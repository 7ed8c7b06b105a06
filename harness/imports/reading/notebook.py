"""A notebook as a module: the statements of its code cells that make something, and none that run a graph."""

from __future__ import annotations

import ast
import json
import linecache
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["notebook_module"]

_RUNS = {"invoke", "ainvoke", "stream", "astream", "astream_events", "batch", "abatch", "display", "input", "getpass"}
_RUNS |= {
    "draw_mermaid_png",
    "draw_png",
    "draw_ascii",
    "pretty_print",
    "get_state",
    "update_state",
    "get_state_history",
}


def notebook_module(path: Path) -> ModuleType:
    """Execute a notebook's code cells as one module.

    Statements at the top that run or draw something are left out, and so are lines for IPython alone. A statement that
    fails is passed over, as what it lacks may be what was left out; where the module then has no graph, the first
    failure is in `__failed__`.
    """
    cells = json.loads(path.read_text(encoding="utf-8")).get("cells", [])
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    first: BaseException | None = None
    for number, cell in enumerate(cells, start=1):
        if cell.get("cell_type") != "code":
            continue
        text = "".join(cell.get("source", ()))
        name = f"{path}[cell {number}]"
        source = "" if text.lstrip().startswith("%%") else _plain(text)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            statements = ast.parse(source).body
        except SyntaxError as error:
            first = first or error
            continue
        for statement in statements:
            if _runs(statement):
                continue
            try:
                exec(compile(ast.Module([statement], []), name, "exec"), vars(module))  # noqa: S102 - named by a person
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
                first = first or error
    if first is not None and isinstance(first, ModuleNotFoundError) and not any(map(_is_graph, vars(module).values())):
        raise first
    vars(module)["__failed__"] = first
    return module


def _is_graph(value: object) -> bool:
    return hasattr(value, "add_node") or hasattr(value, "builder")


def _plain(text: str) -> str:
    lines = (
        f"{line[: len(line) - len(line.lstrip())]}pass\n" if line.lstrip()[:1] in ("%", "!") else line
        for line in text.splitlines(keepends=True)
    )
    return "".join(lines)


def _runs(statement: ast.stmt) -> bool:
    """Tell whether a statement runs or shows something itself, not in a function that it defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _RUNS:
            return True
        if isinstance(node, ast.Await):
            return True
        todo += ast.iter_child_nodes(node)
    return False
