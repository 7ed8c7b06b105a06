"""docs/how-to/ci.md is executed, and its tables have every figure."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.analysis.demands import FIGURES, OF_CANDIDATES
from harness.cli.app import _main
from harness.content import shipped

PAGE = (Path(__file__).parent.parent / "docs/how-to/ci.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    lines = [line for block in BLOCK.findall(PAGE) for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        words, _, target = line.removeprefix("$ ").partition(" > ")
        monkeypatch.setattr("sys.argv", shlex.split(words))
        code = _main()
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), line  # --quiet: the answer alone
        if target:
            Path(target).write_text(out, encoding="utf-8")
    for name in ("compare.xml", "chat.xml"):
        assert ElementTree.parse(name).getroot().get("failures") == "0"


def test_a_demand_that_does_not_hold_is_exit_1_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    common = ["slotwise", "simulate", "workloads/chat-only.yaml", "--profile", "epyc-2core", "--repeats", "5"]
    monkeypatch.setattr("sys.argv", [*common, "--fail-on", "chat.p50_s<0.001", "--junit", "x.xml"])
    assert _main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"slotwise: chat\.p50_s is [\d.]+ s under \S+; it must be below 0\.001 s", line)
    (failure,) = ElementTree.parse("x.xml").getroot().iter("failure")
    assert f"slotwise: {failure.get('message')}" == line


def test_every_figure_is_on_the_page() -> None:
    for name in (*FIGURES, *OF_CANDIDATES):
        assert f"{name}`" in PAGE
