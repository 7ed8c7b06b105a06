"""`slotwise report` renders a folder again."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import processes
import pytest
import typer
from analysis.scenarios import scenario, steady
from typer.testing import CliRunner

from harness.cli.report import report
from harness.errors import UserError
from harness.runs.folder import RunFolder

app = typer.Typer()
app.command()(report)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = scenario({"serial": steady(16), "batched": steady(13)})
    with RunFolder.create(tmp_path, "research-digest", datetime(2026, 3, 4, tzinfo=UTC)) as made:
        made.write_header(run)
        made.add_records(run)
    return made.path


def test_a_folder_is_rendered_again(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Run batched: 4 slots, at most 4 calls at once, interactive first.\n")
    assert "Path by path" not in result.output
    whole = CliRunner().invoke(app, [str(folder), "--full"])
    assert whole.output.startswith(result.output) and "Path by path" in whole.output
    assert (folder / "report.md").read_text().startswith("# research-digest: measured\n")
    assert (folder / "charts" / "pipeline-time.svg").exists()


def test_json_is_the_summary(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder), "--json"])
    assert json.loads(result.output) == json.loads((folder / "summary.json").read_text())


def test_html_says_where_the_page_is(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder), "--html"])
    assert result.output == f"{folder / 'report.html'}\n"
    assert "research-digest" in (folder / "report.html").read_text(encoding="utf-8")


def test_settings_are_printed_whole_and_nothing_is_written(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder), "--settings", "serve", "--candidate", "serial"])
    assert result.output == "OLLAMA_NUM_PARALLEL=1 OLLAMA_CONTEXT_LENGTH=2048 ollama serve\n"
    assert not (folder / "report.md").exists()


def test_a_candidate_is_for_settings(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder), "--candidate", "serial"])
    assert isinstance(result.exception, UserError)


def test_what_is_no_run_is_a_users_mistake(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, UserError)


def test_the_module_loads_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "altair", "rich.console", "networkx", "jinja2", "langchain_core")
    code = f"import sys, harness.cli.report; print([name for name in {heavy!r} if name in sys.modules])"
    found = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
