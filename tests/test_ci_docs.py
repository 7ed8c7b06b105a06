"""docs/how-to/ci.md is executed, and its tables have every figure."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from harness.analysis.demands import FIGURES, OF_CANDIDATES
from harness.cli.app import _main
from harness.content import shipped

PAGE = (Path(__file__).parent.parent / "docs/how-to/ci.md").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[0])
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    lines = [line for block in BLOCK.findall(PAGE) for line in block.splitlines()]
    steps = [step["run"] for step in WORKFLOW["jobs"]["measure"]["steps"] if "run" in step]
    # A model is neither fetched nor measured here: the profile stands for the machine.
    wanted = [step for step in steps if step.startswith("slotwise ") and not step.startswith("slotwise models")]
    assert (len(lines), len(wanted)) == (5, 2)
    lines += [re.sub(r"^slotwise run (\S+)", r"slotwise simulate \1 --profile epyc-2core", step) for step in wanted]
    for line in lines:
        words, _, target = line.removeprefix("$ ").partition(" > ")
        monkeypatch.setattr("sys.argv", shlex.split(words))
        code = _main()
        out, err = capsys.readouterr()
        told = "--json" in line and "--fail-on" in line  # then the line of each demand is beside the JSON
        assert code == 0, (line, err)
        assert bool(err) == told and err.strip().count("\n") == 0, line  # --quiet: the answer alone
        if target:
            Path(target).write_text(out, encoding="utf-8")
    for name in ("compare.xml", "chat.xml", "run.xml"):
        assert ElementTree.parse(name).getroot().get("failures") == "0"


def test_too_few_jobs_for_a_p95_are_refused_and_in_the_xml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    for command in (["run"], ["simulate", "--profile", "epyc-2core"]):
        words = [*command, "workloads/chat-only.yaml", "--repeats", "5", "--junit", "x.xml"]
        monkeypatch.setattr("sys.argv", ["slotwise", *words, "--fail-on", "chat.p95_s<2"])
        assert _main() == 2
        assert "needs 100 jobs, this run has 45: use --repeats 12" in capsys.readouterr().err
        assert ElementTree.parse("x.xml").getroot().get("errors") == "1"
        Path("x.xml").unlink()


def test_a_demand_that_does_not_hold_is_exit_1_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped() / "workloads", tmp_path / "workloads")
    common = ["slotwise", "simulate", "workloads/chat-only.yaml", "--profile", "epyc-2core", "--repeats", "5"]
    monkeypatch.setattr("sys.argv", [*common, "--fail-on", "chat.p50_s<0.001", "--junit", "x.xml"])
    assert _main() == 1
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert re.search(r"\n\nDemand chat\.p50_s < 0\.001 s: [\d.]+ s under \S+, does not hold\n$", out)
    assert re.fullmatch(r"slotwise: chat\.p50_s is [\d.]+ s under \S+; it must be below 0\.001 s", line)
    (failure,) = ElementTree.parse("x.xml").getroot().iter("failure")
    assert f"slotwise: {failure.get('message')}" == line


def test_every_figure_is_on_the_page() -> None:
    for name in (*FIGURES, *OF_CANDIDATES):
        assert f"{name}`" in PAGE
