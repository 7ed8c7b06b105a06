"""A chart that cannot be drawn costs that chart: the report and the answer are there, and say why it is missing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.report.drawing import drawings_of, drawn
from harness.report.files import write_report
from harness.runs.model import Run


def _run() -> Run:
    return scenario({"serial": steady(16), "batched": steady(13)}, {"serial": steady(3), "batched": steady(2)})


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the modules that draw imported again, as in a new process."""
    for name in [name for name in sys.modules if name.startswith("harness.report.") and "chart" in name]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_a_missing_library(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _run()
    _forget(monkeypatch)
    monkeypatch.setitem(sys.modules, library, None)  # importing it raises ImportError
    write_report(tmp_path, analyse(run), run)
    page, text = ((tmp_path / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for report in (page, text):
        assert report.count("Charts are missing: ") == 1
        assert library.replace("_", "-") in report
    assert not (tmp_path / "charts").exists() and (tmp_path / "summary.json").exists()


def test_a_failure_costs_its_own_charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("an axis\nwithout values")

    run = _run()
    monkeypatch.setattr(importlib.import_module("harness.report.detail_charts"), "detail_charts", broken)
    write_report(tmp_path, analyse(run), run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Charts are missing: ZeroDivisionError: an axis without values." in page
    assert (tmp_path / "charts" / "time-split.svg").exists()  # the others are drawn


def test_one_that_cannot_be_rendered_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    chart_style = importlib.import_module("harness.report.chart_style")

    def to_svg(chart: str) -> str:
        if chart == "bad":
            raise ValueError("no font")
        return chart

    monkeypatch.setattr(chart_style, "to_svg", to_svg)
    found = drawn([lambda _: {"a": "good", "b": "bad"}, lambda _: {"c": "good"}])
    assert {*found.made} == {"a", "c"} and found.lacking == "ValueError: no font"


def test_all_is_drawn_where_nothing_is_missing() -> None:
    from harness.analysis.details import details

    run = _run()
    analysis = analyse(run)
    found = drawings_of(analysis, details(run, analysis))
    assert found.lacking == "" and {"time-split", "node-split"} <= {*found.made}


def test_a_probe_shows_its_answer_before_it_draws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fake_ollama import FakeOllama

    from harness.cli.app import _main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    _forget(monkeypatch)
    with FakeOllama(duration=lambda user: 0.002).listening() as url:
        monkeypatch.setattr(
            "sys.argv", ["slotwise", "probe", url, "--tokens", "4", "--levels", "1,2", "--chart", "c.svg"]
        )
        assert _main() == 0
    out, err = capsys.readouterr()
    assert out and "c.svg is not written: " in err and not Path("c.svg").exists()
