"""`slotwise models`: what is said, and what is not imported for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import processes
import pytest
from typer.testing import CliRunner

from harness.cli.models import app
from harness.errors import UserError
from harness.servers import models

ROOT = str(Path(models.__file__).parents[2])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache."""
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    return tmp_path


def put(cache: Path, name: str) -> Path:
    """Put a file of the right size where a fetched model lies."""
    model = models.BUILTIN[name]
    path = cache / "models" / model.file_name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(model.file_bytes)
    return path


def test_list(cache: Path) -> None:
    path = put(cache, "smollm2-135m")
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "smollm2-135m  98.4 MB, Apache-2.0\n" in result.output
    assert str(path) in result.output
    assert "not fetched: slotwise models pull gemma3-270m" in result.output


def test_list_json(cache: Path) -> None:
    path = put(cache, "smollm2-135m")
    rows = json.loads(CliRunner().invoke(app, ["--json"]).output)
    assert [row["name"] for row in rows] == list(models.BUILTIN)
    assert [row["path"] for row in rows] == [str(path), None]


def test_a_second_pull_says_that_it_is_there(cache: Path) -> None:
    path = put(cache, "smollm2-135m")
    result = CliRunner().invoke(app, ["pull", "smollm2-135m"])
    assert (result.exit_code, result.output) == (0, f"smollm2-135m is there: {path}\n")


def test_an_unknown_name(cache: Path) -> None:
    result = CliRunner().invoke(app, ["pull", "smolm2-135m"])
    assert isinstance(result.exception, UserError)
    assert 'did you mean "smollm2-135m"?' in str(result.exception)


def test_nothing_heavy_is_imported(cache: Path) -> None:
    put(cache, "smollm2-135m")
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from harness.cli.models import app\n"
        "try: app(['pull', 'smollm2-135m'])\n"
        "except SystemExit: pass\n"
        "heavy = {'langchain_core', 'langchain_ollama', 'scipy', 'numpy', 'starlette', 'networkx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
