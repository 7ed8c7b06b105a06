"""`slotwise profile list` and `slotwise profile show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.app import _main
from harness.content import shipped

PUBLISHED = shipped() / "profiles" / "m1-published.yaml"


def slotwise(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["slotwise", *words])
    return _main()


WORKLOAD = """version: 1
name: ask
pipelines:
  ask: {path: interactive, jobs: 3, arrival: {closed: 1, think_s: 1}, goal: {p50_s: 2}, nodes: {reply: {agent: chat}}}
"""


def test_devices_are_compared_without_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    Path("ask.yaml").write_text(WORKLOAD, encoding="utf-8")
    simulate = ("simulate", "ask.yaml", "--repeats", "5", "--resamples", "5")
    both = ("--device", "RTX 4090", "--device", "apple m4 pro", "--model", "llama3.1:8b", "--price", "RTX 4090=1800")
    assert slotwise(monkeypatch, *simulate, *both, "--json") == 0
    machines = {one["name"]: one for one in json.loads(capsys.readouterr().out)["machines"]}
    assert list(machines) == ["rtx-4090", "apple-m4-pro"]
    assert {one["origin"] for one in machines.values()} == {"estimated"}
    assert machines["rtx-4090"]["price"] == 1800
    assert slotwise(monkeypatch, *simulate, "--device", "RTX 4090", "--model", "llama3.1:8b") == 0
    assert "RTX 4090 · estimated" in capsys.readouterr().out
    for wrong, said in (
        (("--device", "RTX 4090"), "--device: an estimate needs the model, too: --model llama3.1:8b"),
        (("--quant", "q8_0"), "--quant goes with --device"),
        (("--device", "4090x", "--model", "llama3.1:8b"), 'did you mean "RTX 4090"'),
        (("--device", "RTX 4090", "--model", "llama3.1:8"), 'did you mean "llama3.1:8b"'),
    ):
        assert slotwise(monkeypatch, *simulate, *wrong) == 2
        assert said in capsys.readouterr().err


def test_own_and_shipped_profiles_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "profiles"
    own.mkdir()
    text = PUBLISHED.read_text().replace("name: m1-published", "name: mine")
    (own / "mine.yaml").write_text(text.replace("origin: published", "origin: estimated"))
    (own / "broken.yaml").write_text("version: 1\n")
    monkeypatch.chdir(tmp_path)
    assert slotwise(monkeypatch, "profile", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["mine"]["origin"] == "estimated"
    assert rows["mine"]["kind"] == "own"
    assert rows["m1-published"]["kind"] == "shipped"
    assert rows["h100-8b"]["held_out"]["median_error"] == 0.0488
    assert "broken.yaml" in rows["broken"]["mistake"]
    assert slotwise(monkeypatch, "profile", "list") == 0
    shown = capsys.readouterr().out
    assert "broken cannot be read: " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_what_a_published_profile_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slotwise(monkeypatch, "profile", "show", "m1-published") == 0
    shown = capsys.readouterr().out
    assert shown.count("uncertainty") >= 6  # of three figures of two slot settings; the words may stand in two lines
    assert "- what reading a prompt costs" in shown
    assert "24.6" in shown  # 1 / 0.040707 s
    assert "slotwise calibrate http://127.0.0.1:11434 --model gemma4" in shown


def test_rates_have_the_interval_of_their_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert slotwise(monkeypatch, "profile", "show", "epyc-2core", "--json") == 0
    one = json.loads(capsys.readouterr().out)["figures"][0]["alone"]
    low, high = one["interval"]
    assert low < one["value"] < high
    assert high / low < 1.1


def test_an_unknown_profile_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert slotwise(monkeypatch, "profile", "show", "h100-8c") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert 'did you mean "h100-8b"' in said[0]
