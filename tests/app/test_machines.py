"""One workload on several machines, by prediction alone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from harness.app.machines import compare_machines
from harness.app.options import Changes, MachinesOptions, RecommendOptions, SimulateOptions
from harness.app.workload import Written
from harness.cli.app import _main
from harness.errors import UserError

TEXT = """
version: 1
name: ask
pipelines:
  ask:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 1}
    goal: {p50_s: 2}
    nodes:
      reply: {agent: chat}
compare: {plain: window}
"""
WORKLOAD = Written(Path("ask.yaml"), TEXT)
EACH = SimulateOptions(repeats=6)


def test_each_machine_runs_the_model_of_its_profile() -> None:
    found = compare_machines(WORKLOAD, MachinesOptions(profiles=("epyc-2core", "h100-8b"), each=EACH))
    assert [one.name for one in found.machines] == ["epyc-2core", "h100-8b"]
    assert [one.carries for one in found.machines] == ["yes", "yes"]
    epyc, h100 = found.machines
    assert epyc.model != h100.model
    assert epyc.times[0].time is not None
    assert h100.times[0].time is not None
    assert h100.times[0].time.value < epyc.times[0].time.value
    assert h100.there_bytes == 80_000_000_000
    assert h100.needed_bytes is not None
    assert h100.needed_bytes < h100.there_bytes


def test_one_that_cannot_be_predicted_says_why() -> None:
    found = compare_machines(WORKLOAD, MachinesOptions(profiles=("m1-published", "h100-8b"), each=EACH))
    assert found.machines[0].carries == "not predicted"
    assert "prefill_s_per_token" in found.machines[0].why_not
    assert found.best == found.machines[1]


def test_the_search_finds_a_candidate_for_each() -> None:
    each = RecommendOptions(measure=False, seeds=2, workers=1, max_slots=4)
    found = compare_machines(WORKLOAD, MachinesOptions(profiles=("epyc-2core", "h100-8b"), each=each))
    assert all(one.candidate and one.times for one in found.machines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MachinesOptions(profiles=("epyc-2core", "h100-8c"), each=EACH), 'did you mean "h100-8b"'),
        (MachinesOptions(profiles=("h100-8b", "h100-8b"), each=EACH), "expected different machines"),
        (
            MachinesOptions(profiles=("epyc-2core", "h100-8b"), each=EACH, prices={"h100": 1}),
            '--price: no machine "h100"; did you mean "h100-8b"?',
        ),
    ],
    ids=["unknown", "twice", "price"],
)
def test_mistakes(options: MachinesOptions, message: str) -> None:
    with pytest.raises(UserError) as caught:
        compare_machines(WORKLOAD, options)
    assert message in str(caught.value)


def test_a_model_that_is_asked_for_is_that_of_every_machine() -> None:
    each = SimulateOptions(repeats=6, changes=Changes(model="smollm2-135m"))
    found = compare_machines(WORKLOAD, MachinesOptions(profiles=("epyc-2core", "h100-8b"), each=each))
    assert found.machines[0].times
    assert "was measured with model" in found.machines[1].why_not


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ask.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    both = ["--profile", "epyc-2core", "--profile", "h100-8b"]
    prices = ["--price", "h100-8b=25000", "--price", "epyc-2core=900"]
    monkeypatch.setattr(
        "sys.argv", ["slotwise", "simulate", "ask.yaml", *both, *prices, "--repeats", "6", "--out", "r"]
    )
    assert _main() == 0
    said = capsys.readouterr()
    assert "epyc-2core is the cheapest that meets every goal" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    (folder,) = (tmp_path / "r").iterdir()
    assert json.loads((folder / "machines.json").read_text())["best"] == "epyc-2core"
    assert "| h100-8b | NVIDIA H100 80GB, 16 cores |" in (folder / "machines.md").read_text()
    page = (folder / "report.html").read_text()
    assert 'id="chart-machines-0"' in page and "<br>first token</th>" in page
    assert "ask: first token of a reply" in said.out
    (epyc, _) = json.loads((folder / "machines.json").read_text())["machines"]
    assert epyc["times"][0]["first_token"]["value"] > 0 and len(epyc["times"][0]["first_token_interval_s"]) == 2
    monkeypatch.setattr("sys.argv", ["slotwise", "recommend", "ask.yaml", *both])
    assert _main() == 2
    assert "add --no-measure" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--fail-on", "goals"], "--fail-on"),
        (["--fail-on", "goals", "--junit", "j.xml"], "--fail-on and --junit"),
        (["--settings", "serve"], "--settings"),
    ],
)
def test_what_is_about_one_machine_is_refused_in_plain_words(
    options: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ask.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    both = ["--profile", "epyc-2core", "--profile", "h100-8b"]
    monkeypatch.setattr("sys.argv", ["slotwise", "simulate", "ask.yaml", *both, *options])
    assert _main() == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{named}: expected one machine, found 2 to compare (epyc-2core, h100-8b)." in said
    assert f"Name one of them alone (--profile or --device), or leave {named} out to compare them" in said


def test_the_page_shows_what_its_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "choose-a-machine.md").read_text(encoding="utf-8")
    workload = re.search(r"```yaml\n(.*?)```", page, re.S)
    console = re.search(r"```console\n\$ (.*?)\n(.*?)```", page, re.S)
    assert workload
    assert console
    (tmp_path / "ask.yaml").write_text(workload[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(console[1]))
    assert _main() == 0
    assert "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) == console[2].rstrip("\n")
