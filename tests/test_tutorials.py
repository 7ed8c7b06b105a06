"""The tutorials are followed, command by command, in an empty folder; what they show as printed is what is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from harness.cli.app import _main

FOLDER = Path(__file__).parent.parent / "docs" / "tutorial"
BLOCK = re.compile(r"^```(?P<kind>yaml|console)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.M | re.S)
STEP = re.compile(r"^\$ (?P<words>(?:.*\\\n)*.*)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.M)


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)
def test_the_page_prints_what_it_shows(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block["kind"] == "yaml":
            Path(block["file"]).write_text(block["text"], encoding="utf-8")
            continue
        now = ""
        for step in STEP.finditer(block["text"]):
            monkeypatch.setattr("sys.argv", shlex.split(step["words"].replace("\\\n", "")))
            code = _main()
            out, err = capsys.readouterr()
            assert code == 0, (step["words"], err)
            now += f"$ {step['words']}\n{out}"
        if request.config.getoption("accept"):
            text = text.replace(block[0], f"```console\n{now}```")
        else:
            assert block["text"] == now, f"to accept it: pytest --accept {__file__}"
    if request.config.getoption("accept"):
        page.write_text(text, encoding="utf-8")
