"""One concept, one room: short modules, no import circle, no class name twice, and a map that is complete."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "harness").rglob("*.py"))
MOST_LINES = 400


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_is_longer_than_its_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_module_imports_itself_by_a_detour() -> None:
    """Imports inside functions are late on purpose (start-up); those for types alone count: they are knowledge too."""
    names = {name_of(path) for path in MODULES}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for path in MODULES:
        if name_of(path) == "harness":  # offers what others make, and loads it when it is asked for
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        late = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in late:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    graph.add_edge(name_of(path), inner if inner in names else node.module)
    circles = [sorted(knot) for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    assert circles == []


def test_every_public_class_has_a_name_of_its_own() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(name_of(path))
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("folder", ["harness", "tests", "benchmarks"])
def test_of_is_no_name_for_a_variable(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
            if named == "of":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")  # type: ignore[attr-defined]  # both have one
    assert found == []


def test_the_map_in_contributing_is_complete() -> None:
    """Every folder has its line in the tree, and every line its folder."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    match = re.search(r"^## Where things are\n.*?^```\n(.*?)^```", page, re.M | re.S)
    assert match
    shown: set[str] = set()
    above: list[str] = []
    for line in match[1].splitlines():
        entry = re.match(r"( *)(\w+)/ +\S", line)
        assert entry, f"expected a folder and what it is for, found {line!r}"
        above[len(entry[1]) // 2 :] = [entry[2]]
        shown.add("/".join(above))
    ours = ("*.py", "*.md", "*.yaml", "*/README.md")  # what a user's own folder of runs has none of
    top = {
        p.name
        for p in ROOT.iterdir()
        if p.is_dir() and not p.name.startswith((".", "_", "build")) and any(any(p.glob(kind)) for kind in ours)
    }
    inner = {
        f"harness/{p.relative_to(ROOT / 'harness').as_posix()}" for p in (ROOT / "harness").rglob("*") if p.is_dir()
    }
    inner = {name for name in inner if "__pycache__" not in name and any((ROOT / name).glob("*.*"))}
    assert shown == top | inner
