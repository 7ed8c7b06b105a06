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
