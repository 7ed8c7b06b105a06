"""An option that several commands have is declared once, in `harness/cli/options.py`."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import typer.main

from harness.app.options import Changes
from harness.app.workload import load
from harness.cli.app import command_line
from harness.cli.options import server_urls
from harness.errors import UserError

CLI = Path(__file__).parents[2] / "harness" / "cli"
SHARED = set(re.findall(r'"(--[a-z-]+)"', (CLI / "options.py").read_text(encoding="utf-8").split("# --- values")[0]))


def _flags(option: ast.Call, parameter: str) -> set[str]:
    """Return the flags that a `typer.Option(...)` declares for a parameter."""
    named = {arg.value for arg in option.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
    return named or {f"--{parameter.strip('_').replace('_', '-')}"}


def declared(path: Path) -> set[str]:
    """Return the flags that a command's own file declares."""
    found: set[str] = set()
    for function in (item for item in ast.walk(ast.parse(path.read_text())) if isinstance(item, ast.FunctionDef)):
        for parameter in function.args.args:
            calls = (item for item in ast.walk(parameter) if isinstance(item, ast.Call))
            for call in (call for call in calls if ast.unparse(call.func) == "typer.Option"):
                found |= _flags(call, parameter.arg)
    return found


def test_what_is_shared_is_declared_nowhere_else() -> None:
    assert {"--policies", "--scale", "--seed", "--only", "--assume", "--profile", "--json"} <= SHARED
    own = {path.name: declared(path) for path in CLI.glob("*.py") if path.name != "options.py"}
    assert "--warmup" in own["run.py"] and "--from" in own["init.py"]
    # `runs --model` looks for a model's name: it has nothing to do with the models of the other commands.
    assert {name: flags & SHARED for name, flags in own.items() if flags & SHARED} == {"runs.py": {"--model"}}


def test_every_command_that_has_policies_takes_own_ones() -> None:
    group: Any = typer.main.get_command(command_line())
    takers = defaultdict[str, set[str]](set)
    for name, command in group.commands.items():
        for parameter in command.params:
            takers[name] |= set(parameter.opts)
    assert {name for name, flags in takers.items() if "--policies" in flags} == {
        *("run", "simulate", "recommend", "score", "check", "export", "serve")  # serve: the gateway
    }


def test_options_that_change_nothing_leave_the_workload_as_it_is() -> None:
    """Also what stands in it: a value that was left out is not written into it."""
    path = Path(__file__).parents[2] / "workloads" / "research-digest.yaml"
    plain = load(path).workload.to_plain()
    assert plain == load(path, Changes(scale=1)).workload.to_plain()
    assert plain != load(path, Changes(scale=2)).workload.to_plain()


def test_a_server_has_a_name_or_stands_for_all() -> None:
    assert server_urls(["http://h:1/v1?a=b"]) == {"": "http://h:1/v1?a=b"}
    assert server_urls(["a=http://h:1", "b=http://h:2"]) == {"a": "http://h:1", "b": "http://h:2"}
    for wrong in ("h:1", "=http://h:1", "a="):
        with pytest.raises(UserError, match=f'found "{wrong}"$'):
            server_urls([wrong])
    for several in (["http://h:1", "http://h:2"], ["http://h:1", "a=http://h:2"]):
        with pytest.raises(UserError, match="give it alone, or a name to each URL"):
            server_urls(several)
