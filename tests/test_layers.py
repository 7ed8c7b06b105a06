"""Who may import whom (docs/design.md), read from the source with `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "harness"

# What a folder of harness/ may import from harness besides itself; "errors" and "units" are leaves.
MAY_IMPORT = {
    "core": {"errors", "units"},
    "workload": {"core", "content", "errors", "units"},
    "servers": {"core", "workload", "profiles", "content", "errors", "units"},
    "drivers": {"core", "errors", "units"},
    "profiles": {"core", "workload", "content", "errors", "units"},
    "runs": {"core", "workload", "errors", "units"},
    "analysis": {"core", "runs", "workload", "errors", "units"},
    "measure": {"core", "workload", "servers", "drivers", "profiles", "runs", "analysis", "errors", "units"},
    "predict": {"core", "workload", "drivers", "profiles", "runs", "analysis", "content", "errors", "units"},
    "imports": {"workload", "errors", "units"},
    "recommend": {
        *("core", "workload", "servers", "drivers", "profiles", "runs", "analysis", "measure", "predict"),
        *("errors", "own_policies", "units"),
    },
    "report": {"core", "workload", "runs", "profiles", "analysis", "predict", "recommend", "errors", "units"},
}
MAY_IMPORT["cli"] = {*MAY_IMPORT, "content", "errors", "own_policies", "units"}
WAITS = {"asyncio", "time", "random", "httpx", "socket", "langchain_core", "langchain_ollama", "threading", "os", "io"}
HEAVY = {"langchain_core", "langchain_ollama", "scipy", "numpy", "altair", "starlette", "httpx", "xllamacpp"}


def _imports(path: Path) -> set[str]:
    names = set()
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            names |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom) and item.module:
            assert item.level == 0, f"{path}: relative import"
            names.add(item.module)
    return names


def _own(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("harness.")}


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_point_one_way(folder: str) -> None:
    for path in (HARNESS / folder).rglob("*.py"):
        assert _own(_imports(path)) <= MAY_IMPORT[folder] | {folder}, path.relative_to(ROOT)


def test_every_folder_has_a_rule() -> None:
    assert {p.name for p in HARNESS.iterdir() if (p / "__init__.py").is_file()} == set(MAY_IMPORT)


def test_the_core_never_waits() -> None:
    for path in (HARNESS / "core").rglob("*.py"):
        found = {name.split(".")[0] for name in _imports(path)}
        assert not found & WAITS, path.relative_to(ROOT)
        assert not any(
            isinstance(item, ast.AsyncFunctionDef | ast.Await) for item in ast.walk(ast.parse(path.read_text()))
        )


def test_the_live_and_the_virtual_driver_do_not_know_each_other() -> None:
    assert "harness.drivers.virtual" not in _imports(HARNESS / "drivers/live.py")
    assert "harness.drivers.live" not in _imports(HARNESS / "drivers/virtual.py")


def test_langchain_is_imported_by_the_drivers_only() -> None:
    for path in HARNESS.rglob("*.py"):
        if any(name.startswith("langchain") for name in _imports(path)):
            assert path.relative_to(HARNESS).parts[0] == "drivers"


@pytest.mark.parametrize("arguments", [["--help"], ["check", "workloads/research-digest.yaml"]], ids=" ".join)
def test_quick_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom harness.cli.app import _main\nsys.argv = ['slotwise', *sys.argv[1:]]\n"
        "try:\n    code = _main()\nexcept SystemExit as exit:\n    code = exit.code\nassert not code, code\n"
        f"found = {HEAVY} & set(sys.modules)\nassert not found, found\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
