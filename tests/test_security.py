"""docs/reference/security.md names every module that starts a program, executes code or listens; nothing else does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.runs import head

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference" / "security.md").read_text(encoding="utf-8")

EXECUTES = {"exec", "eval", "exec_module", "create_subprocess_exec", "create_subprocess_shell", "Popen", "run_path"}
OF_MODULES = {("subprocess", "run"), ("subprocess", "call"), ("subprocess", "check_output"), ("os", "system")}
OF_MODULES |= {("os", "popen"), ("pickle", "loads"), ("pickle", "load"), ("marshal", "loads"), ("yaml", "load")}
LISTENS = {"bind", "start_server", "create_server", "start_unix_server"}
SERVES = {("uvicorn", "Config"), ("uvicorn", "run")}
SAFE = "harness/runs/head.py"  # its `yaml.load` is given a subclass of the safe loader, which refuses aliases


def _calls(path: Path) -> Iterator[tuple[str, str]]:
    """Yield every call of a module: what the function is an attribute of, and its name."""
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Call):
            match item.func:
                case ast.Name(id=name):
                    yield "", name
                case ast.Attribute(value=ast.Name(id=owner), attr=name):
                    yield owner, name
                case ast.Attribute(attr=name):
                    yield "?", name


def _that(executes: bool) -> set[str]:
    names, pairs = (EXECUTES, OF_MODULES) if executes else (LISTENS, SERVES)
    return {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "harness").rglob("*.py"))
        if any(name in names or (owner, name) in pairs for owner, name in _calls(path))
    }


def _named(title: str) -> set[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]  # without the head of the table
    return {part for row in rows for part in row.split("|")[2].split("`") if part.startswith("harness/")}


def test_every_module_that_executes_something_is_named() -> None:
    assert _that(executes=True) - {SAFE} == _named("What is executed")


def test_every_module_that_listens_is_named() -> None:
    assert _that(executes=False) == _named("What listens")


def test_yaml_is_read_with_safe_loaders_alone() -> None:
    assert issubclass(head._NoAliases, yaml.SafeLoader)
    assert re.findall(r"yaml\.load\((.*)\)", (ROOT / SAFE).read_text(encoding="utf-8")) == [
        "_read_small(path), Loader=_NoAliases"
    ]
