"""Recommend, measure and compare machines, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.chromium import CHROMIUM, chromium
from studio.test_page import FINAL, until, workbench
from studio.test_tasks import EMULATED

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@pytest.mark.slow
def test_a_design_is_recommended_measured_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where runs are kept
    file = tmp_path / "emulated.yaml"
    file.write_text(EMULATED)
    with workbench(file) as url, chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, FINAL)
        assert page.run("document.querySelector('#measure').disabled")

        page.run("document.querySelector('#recommend').focus()")
        page.key("Enter")
        until(page, "document.querySelector('#advice .answer-headline')")
        assert page.run("document.querySelector('#advice table .badge').textContent") == "recommended"
        assert "Why" in page.run("document.querySelector('#advice').textContent")
        assert page.run("document.querySelector('#advice pre + *') !== null")

        until(page, "!document.querySelector('#measure').disabled")
        page.run("document.querySelector('#budget').value = '60'")
        page.run("document.querySelector('#measure').focus()")
        page.key("Enter")
        until(page, "document.querySelector('#differences')")
        folder = (
            page.run("document.querySelector('#run-folder').textContent").removeprefix("The run is in ").rstrip(".")
        )
        assert (tmp_path / folder / "report.html").exists()

        page.run("document.querySelector('#compare').focus()")
        page.key("Enter")
        until(page, "document.querySelector('#beside-table')")
        assert page.run("document.querySelectorAll('#beside-table thead th').length") == 2
        assert page.run("document.querySelectorAll('#beside-table thead .badge').length") == 2

        text = "document.querySelector('#text')"
        page.run(f"{text}.focus()")
        page.run(f"{text}.setSelectionRange({text}.value.length, {text}.value.length)")
        page.ask("Input.insertText", text="# more\n")
        until(page, "document.querySelector('#recommending .about-earlier').textContent.includes('changed since')")
        page.size(400, 800)
        assert page.run("document.documentElement.scrollWidth") == 400
        wrong = [event for event in page.events if event[0] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        assert wrong == []
