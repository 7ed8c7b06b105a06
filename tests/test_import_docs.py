"""docs/how-to/import.md as it stands: its module is saved, its commands are typed, and the files say what it shows."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main
from harness.content import shipped

PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "import.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)(?: (\S+))?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("langgraph.graph", reason="LangGraph is not installed (pip install --group dev)")
    monkeypatch.chdir(tmp_path)

    def typed(line: str) -> None:
        monkeypatch.setattr("sys.argv", shlex.split(line))
        assert _main() == 0, (line, capsys.readouterr().err)

    workload = shipped() / "workloads" / "review-panel.yaml"
    (tmp_path / "workload.yaml").write_bytes(workload.read_bytes())
    typed("slotwise simulate workload.yaml --profile epyc-2core --repeats 1 --out runs")
    (run,) = (tmp_path / "runs").iterdir()
    typed(f"slotwise export {run} -o spans.jsonl")  # of some application
    ollama = FakeOllama(models=["qwen3:0.6b"], duration=lambda user: 0.4 if "number" in user else 0.0)
    monkeypatch.setattr("harness.imports.recorded_jobs.PAUSE_S", 0.8)  # shorter ones are this machine's
    with ollama.listening() as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        _as_it_stands(tmp_path, typed, run)


def _as_it_stands(tmp_path: Path, typed: Callable[[str], None], run: Path) -> None:
    written = ""
    for kind, file, text in BLOCKS:
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
        elif kind == "python":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
        elif kind == "yaml":
            assert text in written, text
        else:
            for line in text.splitlines():
                if "RUN -o" in line:
                    (tmp_path / "spans.jsonl").unlink()
                typed(line.replace("RUN", str(run)).replace("-- python", f"-- {sys.executable}"))
        imported = (tmp_path / f"{name}.yaml" for name in ("writer", "asking", "digest", "news", "notes_app"))
        written = "".join(path.read_text() for path in imported if path.exists())
