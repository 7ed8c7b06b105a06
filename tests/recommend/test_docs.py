"""docs/how-to/recommend.md: its example is typed, and prints what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness.cli.app import _main

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "recommend.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = re.search(r"^    (slotwise recommend workloads/.*)$", PAGE, re.MULTILINE)
    shown = re.search(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert command
    assert shown
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    monkeypatch.setattr("sys.argv", [*shlex.split(command[1]), "--workers", "1"])
    assert _main() == 0
    printed = " ".join(capsys.readouterr().out.split())
    for part in shown[1].split("...\n"):
        assert " ".join(part.split()) in printed
