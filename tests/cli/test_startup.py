"""What a command imports before it answers: by the names of modules, never by the clock."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import processes
import pytest
from recommend.workloads import both, on_paper

from harness.recommend.evaluate import compiled
from harness.workload.networks import PlainGraph

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from harness.cli.app import _main
sys.argv = ["slotwise", *sys.argv[1:]]
_main()
print("modules:", *sys.modules)
"""
WORK = """
import pickle, sys
from harness.recommend import workers
from harness.recommend.evaluate import Task
workers._begin(pickle.loads(open(sys.argv[1], "rb").read()))
workers._run([Task(0, (0, 1))])
print("modules:", *sys.modules)
"""
MEASURING = {"langchain_core", "langchain_ollama", "httpx", "starlette", "uvicorn", "altair", "asyncio_throttle"}
FIGURES = {"numpy", "scipy"}
COMMANDS = {path.stem for path in (ROOT / "harness/cli").glob("*.py")} - {"__init__", "app", "help"}


def imported(code: str, *arguments: str) -> set[str]:
    found = processes.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    return set(found.stdout.splitlines()[-1].removeprefix("modules: ").split())


def test_help_imports_no_command_and_nothing_that_reads_or_checks() -> None:
    found = imported(RUN, "--help")
    assert "harness.cli.app" in found
    assert not found & (MEASURING | FIGURES | {"pydantic", "networkx", "jinja2", "rich", "yaml", "asyncio"})
    assert not found & {f"harness.cli.{name}" for name in COMMANDS}
    assert not [name for name in found if name.startswith("harness.core")]


def test_check_imports_what_reads_a_workload_and_draws_it() -> None:
    found = imported(RUN, "check", "workloads/review-panel.yaml")
    assert {"pydantic", "networkx", "yaml"} <= found
    assert not found & (MEASURING | FIGURES | {"jinja2", "rich", "asyncio", "multiprocessing"})
    assert {name for name in COMMANDS if f"harness.cli.{name}" in found} == {"check", "options"}
    unused = ("harness.recommend.search", "harness.predict", "harness.runs", "harness.servers", "harness.measure")
    assert not [name for name in found if name.startswith(unused)]


@pytest.mark.parametrize("command", [("simulate", "--repeats", "2"), ("recommend", "--no-measure", "--seeds", "2")])
def test_predictions_import_nothing_that_measures(command: tuple[str, ...]) -> None:
    found = imported(RUN, *command, "workloads/chat-only.yaml", "--profile", "epyc-2core", "--resamples", "0")
    assert {"harness.core.engine", "scipy.special"} <= found
    assert not found & (MEASURING | {"asyncio", "scipy.optimize", "scipy.stats"})


def test_a_worker_of_a_search_gets_graphs_compiled_and_imports_no_networks(tmp_path: Path) -> None:
    _, problem, _ = on_paper(tmp_path, both())
    sent = compiled(problem)
    assert all(isinstance(graph, PlainGraph) for graph in sent.loaded.graphs.values())
    assert compiled(sent) is sent
    (tmp_path / "problem").write_bytes(pickle.dumps(sent))
    found = imported(WORK, str(tmp_path / "problem"))
    assert "harness.core.engine" in found
    assert not found & (MEASURING | FIGURES | {"networkx", "jinja2", "rich", "asyncio", "typer"})
