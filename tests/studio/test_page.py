"""The page in a real browser: what is typed is checked and simulated, and all of it goes by keyboard."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import processes
import pytest
from report.chromium import CHROMIUM, Page, chromium

from harness.content import shipped

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")

ROOT = str(Path(__file__).parents[2])
FINAL = "document.querySelector('#stage .badge')?.textContent === 'final' && !document.querySelector('#table.stale')"


@contextmanager
def workbench(file: Path) -> Iterator[str]:
    """Yield the address of a workbench on a file."""
    code = f"import sys; sys.path.insert(0, {ROOT!r})\nfrom harness.cli.studio import studio\n"
    code += f"from pathlib import Path\nstudio(Path({str(file)!r}), profile=['epyc-2core'], no_browser=True)"
    command = [sys.executable, "-u", "-c", code]
    with processes.started(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.stdout.read().endswith("ended\n")
            assert process.wait() == 0


def until(page: Page, condition: str) -> None:
    """Wait until a condition of the page holds."""
    patient = f"(async () => {{ for (let n = 0; n < 2000 && !({condition}); n += 1) "
    patient += f"await new Promise((next) => setTimeout(next, 50)); return Boolean({condition}); }})()"
    assert page.run(patient), condition


def type_text(page: Page, text: str) -> None:
    """Write at the cursor of what has the focus, as a person does."""
    page.ask("Input.insertText", text=text)
    page.frames()


def test_a_design_is_written_looked_at_and_simulated(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text((shipped() / "workloads/chat-only.yaml").read_text())
    with workbench(file) as url, chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, FINAL)
        shown = page.run("document.querySelector('#table').textContent")
        assert "share" in shown and "recommended" in shown
        assert page.run("document.querySelector('#mistakes-said').textContent") == "No mistakes."

        page.run("document.querySelector('.node').focus()")
        page.key("Enter")
        text = "document.querySelector('#text')"
        selected = page.run(f"{text}.value.slice({text}.selectionStart, {text}.selectionEnd)")
        assert selected.lstrip().startswith("reply:"), selected

        page.run(f"{text}.setSelectionRange({text}.value.length, {text}.value.length)")
        type_text(page, "\nmeasured: {}\n")
        until(page, "document.querySelector('#mistakes li')")
        assert "did you mean" in page.run("document.querySelector('#mistakes').textContent")
        assert page.run("document.querySelectorAll('#gutter .bad').length") == 1
        assert page.run("document.querySelector('#stage').textContent").startswith("Not simulated: ")

        page.run(f"{text}.value = {text}.value.replace('measured: {{}}\\n', '')")
        page.run(f"{text}.setSelectionRange({text}.value.length, {text}.value.length)")
        type_text(page, "con")
        page.ask("Input.dispatchKeyEvent", type="keyDown", key=" ", modifiers=2, windowsVirtualKeyCode=32)
        until(page, "!document.querySelector('#completions').hidden")
        assert page.run("document.querySelector('#completions [aria-selected=true] .what').textContent") == "control"
        page.key("Enter")
        assert page.run(f"{text}.value").endswith("\ncontrol: ")
        type_text(page, "draws")
        until(page, FINAL)

        before = page.run("document.querySelector('#table').textContent")
        page.run("document.querySelector('#answers').focus()")
        page.key("ArrowRight")
        until(page, f"{FINAL} && document.querySelector('#table').textContent !== {before!r}")
        assert page.run("document.querySelectorAll('#table .change.worse').length") > 0
        page.size(400, 800)
        assert page.run("document.documentElement.scrollWidth") == 400
        wrong = [event for event in page.events if event[0] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        assert wrong == []
