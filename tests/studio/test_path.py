"""A designer's path in a real browser: from an empty page to a saved design with figures, and what can go wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import processes
import pytest
from report.chromium import CHROMIUM, Page, chromium
from studio.test_page import FINAL, ROOT, type_text, until
from typer.testing import CliRunner

from harness.app.init import starting_text
from harness.cli.app import command_line

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")

TEXT = "document.querySelector('#text')"
SAID = "document.querySelector('#kept-said').textContent"
MISTAKES = {  # by kind: what is typed in place of what, and what is said of it, at that line
    "no YAML": ("p50_s: 2}", "p50_s: 2}}", "not readable as YAML"),
    "a tab": ("    jobs: 9", "\tjobs: 9", "indent with spaces"),
    "an unknown key": ("    jobs: 9", "    jobs: 9\n    job: 9", "did you mean"),
    "a key twice": ("    jobs: 9", "    jobs: 9\n    jobs: 9", "is there twice"),
    "another type": ("jobs: 9", "jobs: many", "expected"),
    "out of range": ("slots: 4", "slots: 0", "expected"),
    "an unknown agent": ("agent: chat", "agent: chta", "chta"),
    "an unknown server": ("{placement: four-slot", "{placement: four-slto", "four-slto"),
    "an unknown policy": ("concurrency: window", "concurrency: windwo", "window"),
    "a circle": ("{agent: chat}", "{agent: chat, after: [reply]}", "reply"),
    "a prompt's name": ("{agent: chat}", "{agent: {prompt: 'a {b}', output_tokens: 5}}", "{b}"),
}


@contextmanager
def started_in(folder: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the address of a workbench that is started in a folder, and its process."""
    command = [sys.executable, "-u", "-m", "harness", "studio", *words, "--profile", "epyc-2core", "--no-browser"]
    env = {**os.environ, "PYTHONPATH": ROOT, "SLOTWISE_CACHE": str(folder / ".cache")}
    with processes.started(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield found[0], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(30)


def replace(page: Page, old: str, new: str) -> None:
    """Select the first `old` in the text and type `new` over it."""
    at = f"{TEXT}.value.indexOf({json.dumps(old)})"
    assert page.run(at) >= 0, old
    page.run(f"{TEXT}.focus(); {TEXT}.setSelectionRange({at}, {at} + {len(old)})")
    type_text(page, new)


def ctrl_s(page: Page) -> None:
    """Press Ctrl and S."""
    for kind in ("keyDown", "keyUp"):
        page.ask("Input.dispatchKeyEvent", type=kind, key="s", modifiers=2, windowsVirtualKeyCode=83)
    page.frames()


def choose(page: Page, selector: str, value: str) -> None:
    """Choose in a list."""
    page.run(
        f"(() => {{ const list = document.querySelector({json.dumps(selector)}); list.value = {json.dumps(value)}; "
        "list.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def chosen(page: Page, node: str) -> None:
    """Choose a node of the graph by keyboard."""
    until(page, f"document.querySelector('[data-node={node}]')")
    page.run(f"document.querySelector('[data-node={node}]').focus()")
    page.key("Enter")
    until(page, f"document.querySelector('#edits h4')?.textContent.startsWith('Node {node} ')")


def figures(page: Page) -> dict[str, Any]:
    """Return the final figures that the page has."""
    found: dict[str, Any] = json.loads(
        page.run("import('/page/figures.js').then((figures) => JSON.stringify(figures.finalFigures()))")
    )
    return found


def test_from_an_empty_page_to_a_saved_design(tmp_path: Path) -> None:
    with started_in(tmp_path) as (url, _), chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, FINAL)
        assert page.run("document.querySelector('#file').textContent") == "not in a file yet"
        choose(page, "#start", "supersteps")
        until(page, "document.querySelector('[data-node=outline]')")
        choose(page, "#start", "chat-only")
        until(page, "document.querySelector('[data-node=reply]') && !document.querySelector('[data-node=outline]')")

        chosen(page, "reply")
        assert "agents/chat.md" in page.run("document.querySelector('#edits').textContent")
        page.run("document.querySelector('#edit-name').value = 'check'")
        page.click("#edit-after-do")
        until(page, "document.querySelector('[data-node=check].chosen') && document.querySelector('#edit-least')")
        assert page.run(f"{TEXT}.value.includes('check: {{agent: {{prompt: ')")
        page.run("document.querySelector('#edit-least').value = 12")
        page.run("document.querySelector('#edit-most').value = 24")
        page.click("#edit-tokens-do")
        until(page, f"{TEXT}.value.includes('output_tokens: [12, 24]')")
        until(page, FINAL)
        assert page.run("document.querySelector('#unsaved').textContent") == "unsaved changes"
        leaving = "(() => { const leave = new Event('beforeunload', {cancelable: true}); "
        leaving += "window.dispatchEvent(leave); return leave.defaultPrevented; })()"
        assert page.run(leaving) is True

        ctrl_s(page)
        until(page, "document.activeElement.id === 'name'")
        page.run("document.activeElement.select()")
        type_text(page, "../out.yaml")
        page.key("Enter")
        until(page, f"{SAID}.startsWith('Not saved: expected a name below the folder')")
        page.run("document.querySelector('#name').focus(); document.activeElement.select()")
        type_text(page, "mine.yaml")
        page.key("Enter")
        until(page, f"{SAID} === 'Saved.'")
        file = tmp_path / "mine.yaml"
        assert file.read_text() == page.run(f"{TEXT}.value")
        assert page.run("document.querySelector('#unsaved').textContent") == ""
        assert page.run(leaving) is False

        until(page, FINAL)
        summary = figures(page)["summary"]
        command = ["simulate", str(file), "--profile", "epyc-2core", "--json"]
        printed = json.loads(CliRunner().invoke(command_line(), command).stdout)
        assert summary["candidates"] == printed["candidates"]

        page.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "down"))
        page.click("#report")
        until(
            page, "document.querySelector('#shared-said').textContent.startsWith('The report is chat-only-report.html')"
        )
        page.click("#show-settings")
        until(page, "document.querySelector('#settings-text')")
        assert "OLLAMA_NUM_PARALLEL" in page.run("document.querySelector('#settings-text').textContent")
        choose(page, "#settings-kind", "compose")
        assert "services:" in page.run("document.querySelector('#settings-text').textContent")
        page.click("#copy-settings")
        until(page, "/Copied|selected/.test(document.querySelector('#settings [role=status]').textContent)")

        file.write_text(file.read_text() + "# theirs\n")
        until(page, "document.querySelector('#overwrite')")
        page.click("#show-difference")
        assert "-# theirs" in page.run("document.querySelector('#conflict pre').textContent")
        replace(page, "jobs: 9", "jobs: 7")
        page.click("#overwrite")
        until(page, f"{SAID} === 'Saved.'")
        assert file.read_text() == page.run(f"{TEXT}.value")
        file.write_text(file.read_text() + "# theirs again\n")
        until(page, "document.querySelector('#reload')")
        page.click("#reload")
        until(page, f"{TEXT}.value.endsWith('# theirs again\\n')")
        chosen(page, "check")
        page.click("#edit-delete")
        until(page, "!document.querySelector('[data-node=check]')")
        assert "check:" not in page.run(f"{TEXT}.value")
        until(page, "document.querySelector('#edits').hidden")
        for width in (400, 1600):
            page.size(width, 900)
            assert page.run("document.documentElement.scrollWidth") == width
        wrong = [event for event in page.events if event[0] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        assert wrong == []


def test_each_slider_changes_the_figures(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(starting_text("chat-only"))
    with started_in(tmp_path, "w.yaml") as (url, _), chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, FINAL)
        page.click("#extrapolate")
        until(page, FINAL)
        sliders = page.run("[...document.querySelectorAll('#dials input[type=range]')].map((one) => one.id)")
        assert sliders == ["slots-one-slot", "slots-four-slot", "users-chat", "answers"]
        found = figures(page)
        for slider in sliders:
            before = found
            page.run(f"document.querySelector('#{slider}').focus()")
            for _ in range(2):  # two slots for three people
                page.key("ArrowLeft" if slider == "slots-four-slot" else "ArrowRight")
            assert page.run(f"document.querySelector('#{slider}').closest('.turned') !== null"), slider
            until(page, FINAL)
            found = figures(page)
            assert found["version"] > before["version"], slider
            # one call at a time is not faster with more slots
            assert (found["candidates"] == before["candidates"]) is (slider == "slots-one-slot"), slider
        assert page.run(f"{TEXT}.value") == (tmp_path / "w.yaml").read_text()


def test_each_kind_of_mistake_is_said_at_its_line(tmp_path: Path) -> None:
    text = starting_text("chat-only")
    (tmp_path / "w.yaml").write_text(text)
    with started_in(tmp_path, "w.yaml") as (url, _), chromium(tmp_path / "browser") as page:
        page.size(1400, 1000)
        page.ask("Page.navigate", url=url)
        until(page, "document.querySelector('#mistakes-said')?.textContent === 'No mistakes.'")
        for kind, (old, new, says) in MISTAKES.items():
            replace(page, old, new)
            until(page, "document.querySelector('#mistakes li')")
            said = page.run("document.querySelector('#mistakes').textContent")
            assert says in said, (kind, said)
            lines = page.run("[...document.querySelectorAll('#gutter .bad')].map((one) => Number(one.textContent))")
            changed = text[: text.index(old)].count("\n") + 1 + new.count("\n")
            assert changed in lines, (kind, lines, said)
            replace(page, new, old)
            until(page, "document.querySelector('#mistakes-said').textContent === 'No mistakes.'")
        assert page.run(f"{TEXT}.value") == text


def test_a_stopped_server_is_noticed_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(starting_text("chat-only"))
    with chromium(tmp_path / "browser") as page:
        with started_in(tmp_path, "w.yaml", "--port", "0") as (url, _):
            port = re.search(r":(\d+)/", url)
            assert port
        with started_in(tmp_path, "w.yaml", "--port", port[1]) as (url, process):
            page.ask("Page.navigate", url=url)
            until(page, FINAL)
            replace(page, "jobs: 9", "jobs: 8")
            process.send_signal(signal.SIGINT)
            process.wait(30)
            until(
                page, "document.querySelector('#connection').textContent.startsWith('The workbench does not answer.')"
            )
            replace(page, "jobs: 8", "jobs: 7")
        with started_in(tmp_path, "w.yaml", "--port", port[1]) as (again, _):
            assert again == url, "the port has kept its token"
            until(page, f"document.querySelector('#connection').textContent === '' && {FINAL}")
            assert "jobs: 7" in page.run(f"{TEXT}.value")
            ctrl_s(page)
            until(page, f"{SAID} === 'Saved.'")
            assert "jobs: 7" in (tmp_path / "w.yaml").read_text()
