"""docs/how-to/python.md is executed from top to bottom, in one namespace; what it shows is what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import harness

PAGE = Path(__file__).parent.parent / "docs/how-to/python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.M | re.S)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    namespace: dict[str, Any] = {}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 7
    for code, shown in blocks:
        exec(compile(code, str(PAGE), "exec"), namespace)
        assert capsys.readouterr().out == shown
    assert list(tmp_path.iterdir()) == []  # nothing was written


def test_the_page_names_every_function_and_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    functions = [name for name in harness.__all__ if name.islower()]
    assert [name for name in functions if f"| `{name}` |" not in page] == []
    documented = harness.RunResult.to_frame.__doc__ or ""
    loaded = harness.load(re.findall(r'harness.load\("""\n(.*?)"""\)', page, re.S)[0])
    frame = harness.simulate(loaded, profile="epyc-2core", repeats=1, resamples=0).to_frame()
    assert [name for name in frame.columns if f"`{name}`" not in documented] == []
