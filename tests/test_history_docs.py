"""docs/how-to/history.md is executed, from its first command to its last."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.between import BetweenRow, compare_runs
from harness.analysis.summaries import read_summary
from harness.cli.app import _main
from harness.content import shipped
from harness.report.between import between_plain
from harness.report.summary import summary as summary_of
from harness.runs.index import RunRow
from harness.runs.rows import COLUMNS

PAGE = Path(__file__).parent.parent / "docs/how-to/history.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    said: dict[str, str] = {}
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            found: dict[str, Any] = {}
            code = text.replace("run.to_frame()", "frame = run.to_frame")
            exec(code, found)
            assert found["run"].calls
            continue
        for line in text.splitlines():
            words, _, target = line.removeprefix("$ ").partition(" > ")
            monkeypatch.setattr("sys.argv", shlex.split(words))
            code_ = _main()
            out, err = capsys.readouterr()
            assert code_ == 0, (line, err)
            said[words] = out
            if target:
                Path(target).write_text(out)
        runs = sorted(path for path in Path("reports").iterdir() if path.is_dir())
        for number, path in enumerate(runs, start=1):
            if path.name != f"bulk-classify-{number}" and not Path(f"reports/bulk-classify-{number}").exists():
                path.rename(f"reports/bulk-classify-{number}")
    listed = said["slotwise runs"]
    assert "bulk-classify-1" in listed and "bulk-classify-2" in listed and "predicted" in listed
    compared, page = (t for words, t in said.items() if words.startswith("slotwise compare reports/bulk-classify-1"))
    assert page == compared
    assert compared.startswith("Equal within 5 %.")
    assert Path("trace.json").stat().st_size and Path("calls.csv").stat().st_size


def test_every_field_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    summary = read_summary(summary_of(analyse(scenario({"serial": steady(16)}))), "x")
    compared = between_plain(compare_runs(summary, summary, ("a", "b")))
    fields = {*COLUMNS, *RunRow._fields, *compared, *BetweenRow._fields}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []
