"""What a person names on the command line, as a graph: a module or a file, a notebook, langgraph.json, a factory.

Importing executes the code that is named; what it prints goes to stderr.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.imports.reading.notebook import notebook_module
from harness.imports.reading.objects import class_names, is_graph

__all__ = ["TargetError", "load_target", "targets_in"]

_PACKAGES = {"langgraph", "langchain", "langchain_core", "langchain_ollama", "langchain_openai", "langchain_anthropic"}
_loaded: dict[tuple[str, int], ModuleType] = {}  # files that were executed, by path and time of change


class TargetError(Exception):
    """Something cannot be imported; the text says where, what was expected, what was found, what to do."""


def targets_in(target: str) -> list[tuple[str, str]]:
    """Return the graphs that a target names, as (name, target): all of a langgraph.json, or the one that is named."""
    where, _, name = target.rpartition(":")
    if Path(target).suffix == ".json" or (Path(target).is_dir() and (Path(target) / "langgraph.json").is_file()):
        where, name = target, ""
    if Path(where).is_dir() and (Path(where) / "langgraph.json").is_file():
        where = str(Path(where) / "langgraph.json")
    if Path(where).suffix != ".json":
        return [(name, target)]
    try:
        graphs = json.loads(Path(where).read_text(encoding="utf-8")).get("graphs", {})
    except (OSError, ValueError, AttributeError) as error:
        raise TargetError(f"{where} cannot be read as a langgraph.json: {error}") from None
    found = {key: one.get("path") if isinstance(one, dict) else one for key, one in graphs.items()}
    named = {str(key): one for key, one in found.items() if isinstance(one, str)}
    if not named or (name and name not in named):
        those = ", ".join(named) or "none"
        raise TargetError(f'{where}: expected "graphs" with {name or "a graph"}, found {those}')
    folder = Path(where).parent
    result = []
    for key, one in named.items():
        file, _, attribute = one.rpartition(":")
        path = folder / file
        if not name or key == name:
            result.append((key, f"{path if path.exists() or file.endswith('.py') else file}:{attribute}"))
    return result


def load_target(target: str) -> Any:
    """Import what a target names and return the graph, compiled or its builder; TargetError where that fails."""
    where, _, attribute = target.rpartition(":")
    if not where or not attribute:
        raise TargetError(f'{target}: expected MODULE:GRAPH, such as my_app.agent:graph, found no ":"')
    folder = Path(where).resolve().parent if Path(where).suffix in (".py", ".ipynb") else Path.cwd()
    with contextlib.redirect_stdout(sys.stderr), _on_path(*_roots(folder)):
        try:
            module = _module(where)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the module is the user's: it may raise anything
            raise TargetError(_could_not_import(where, error)) from None
        found: Any = module
        for part in attribute.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise TargetError(f'{target}: {where} has no "{part}"{_instead(part, found)}') from None
            except Exception as error:  # noqa: BLE001 - a property of the user's
                raise TargetError(_could_not_import(where, error)) from None
        if not _is_readable(found) and _is_factory(found):
            try:
                found = _made_by(found)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the function is the user's
                raise TargetError(_could_not_import(f"{target}: what it returns", error)) from None
    if not _is_readable(found):
        kind = type(found).__name__
        todo = "expected a graph: what `.compile()` returned, a builder, or a function that returns one of these"
        raise TargetError(f"{target}: {todo}; found {'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}")
    return found


def _is_readable(found: Any) -> bool:
    if isinstance(found, type):
        return False
    builder = hasattr(found, "add_node") and hasattr(found, "branches") and hasattr(found, "nodes")
    return builder or is_graph(found) or ("Pregel" in class_names(found) and hasattr(found, "nodes"))


def _is_factory(found: Any) -> bool:
    return callable(found) and not isinstance(found, type) and not callable(getattr(found, "get_graph", None))


def _made_by(factory: Any) -> Any:
    """Call a function that makes a graph, with an empty config where it takes one, as LangGraph's own server does."""
    wanted = [
        one
        for one in inspect.signature(factory).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    found = factory(*({"configurable": {}} for _ in wanted[:1]))

    async def awaited(value: Any) -> Any:
        if inspect.isawaitable(value):
            value = await value
        if hasattr(value, "__aenter__"):
            async with value as inner:
                return inner
        return value

    if inspect.isawaitable(found) or hasattr(found, "__aenter__"):
        found = asyncio.run(awaited(found))
    if hasattr(found, "__enter__") and not _is_readable(found):
        with found as inner:
            return inner
    return found


def _instead(part: str, owner: Any) -> str:
    known = [name for name in dir(owner) if not name.startswith("_")]
    near = get_close_matches(part, known, 1)
    if near:
        return f'; did you mean "{near[0]}"?'
    graphs = [name for name in known if _is_readable(getattr(owner, name, None))]
    return f"; its graphs: {', '.join(graphs)}" if graphs else "; it has no graph"


def _could_not_import(where: str, error: BaseException) -> str:
    at, frame = "", error.__traceback__
    own = str(Path(__file__).parent)
    while frame:
        name = frame.tb_frame.f_code.co_filename
        if "importlib" not in name and not name.startswith(("<", own)):
            at = f" ({name}:{frame.tb_lineno})"
        frame = frame.tb_next
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    text = f"{where} could not be imported, so nothing was written: {said}{at}"
    missing = error.name.split(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if missing and missing in _PACKAGES and importlib.util.find_spec(missing) is None:
        package = missing.replace("_", "-")
        text += (
            f". This environment ({sys.prefix}) has no {package}. Let the one of your program read it: "
            f"`--python PATH/TO/bin/python`; or install it here: `{sys.executable} -m pip install {package}`"
        )
    return text


def _module(where: str) -> ModuleType:
    path = Path(where)
    if path.suffix not in (".py", ".ipynb"):
        return importlib.import_module(where)
    if not path.is_file():
        raise FileNotFoundError(f"no file {where}")
    path = path.resolve()
    key = (str(path), path.stat().st_mtime_ns)
    if key not in _loaded:
        _loaded[key] = notebook_module(path) if path.suffix == ".ipynb" else _file_module(path)
    return _loaded[key]


def _file_module(path: Path) -> ModuleType:
    package = _package(path)
    if package:
        return importlib.import_module(package)
    spec = importlib.util.spec_from_file_location(_free_name(path), path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(module.__name__, None)  # never half-imported
        raise
    return module


def _free_name(path: Path) -> str:
    name, n = path.stem, 2
    while name in sys.modules or name in sys.stdlib_module_names:
        name, n = f"{path.stem}_{n}", n + 1
    return name


def _package(path: Path) -> str:
    """Return the name of a file in its package where it imports its neighbours by dots; else nothing."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ""
    if not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)):
        return ""
    top = _top(path.parent)
    return ".".join([*path.parent.relative_to(top).parts, path.stem]) if path.parent != top else ""


def _top(folder: Path) -> Path:
    """Return the folder that a package stands in: its own parent at least, where it has no `__init__.py`."""
    top = folder.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    return top


def _roots(folder: Path) -> list[Path]:
    """Return the folders that imports of a file may start from: its own, those around its package, and this one."""
    around = [
        one
        for one in (folder, *folder.parents[:4])
        if (one / "pyproject.toml").is_file() or (one / "setup.py").is_file()
    ]
    source = [one / "src" for one in around if (one / "src").is_dir()]
    own = [folder] if folder == Path.cwd() else [folder, _top(folder)]
    if (folder / "__init__.py").is_file():  # a module of a package is not to hide the package
        own.reverse()
    return [*dict.fromkeys([*own, *source, *around, Path.cwd()])]


@contextlib.contextmanager
def _on_path(*folders: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before
