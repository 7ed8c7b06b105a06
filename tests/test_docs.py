"""The docs cannot rot: what they name exists, what exists is named, and their commands parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from harness.cli.app import command_line
from harness.core.policies import KINDS, STANDARD, PolicyKind
from harness.report.answer import answer_lines
from harness.report.summary import read_analysis
from harness.wording.run_answer import run_answer
from harness.workload.load import load_workload

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMAND = re.compile(r"(?:^|`)(?:\.venv/bin/)?(slotwise [^`#\n]*)", re.MULTILINE)


def commands() -> dict[str, Any]:
    return dict(typer.main.get_command(command_line()).commands)  # type: ignore[attr-defined]  # it is a group


def _spoken() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for match in COMMAND.finditer(page.read_text(encoding="utf-8")):
            yield page.name, match[1].strip()


@pytest.mark.parametrize("name", commands())
def test_every_command_is_on_its_page_and_has_help(name: str) -> None:
    assert f"`slotwise {name}" in (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert commands()[name].help


def test_every_option_has_help() -> None:
    for name, command in commands().items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize(("page", "line"), sorted(set(_spoken())))
def test_every_command_line_in_the_docs_parses(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    if not words or words[0].startswith("-") or words[0] == "COMMAND":
        return
    known = commands()
    assert words[0] in known, f"{page}: {line}"
    command = known[words[0]]
    several = [command, *getattr(command, "commands", {}).values()]
    options = {
        flag for one in several for parameter in one.params for flag in parameter.opts + parameter.secondary_opts
    }
    for word in words[1:]:
        if word == "--":  # what follows is another program's
            break
        if word.startswith("--"):
            assert word.partition("=")[0] in options | {"--help"}, f"{page}: {line}"


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_policy_says_what_it_does_and_is_in_the_docs(kind: PolicyKind) -> None:
    text = (ROOT / "docs/reference/workload.md").read_text(encoding="utf-8")
    text += (ROOT / "docs/reference/language/routing.md").read_text(encoding="utf-8")
    for name, policy in getattr(STANDARD, kind.name).items():
        assert f"`{name}`" in text
        assert policy.about and policy.name == name


@pytest.mark.parametrize("path", sorted(ROOT.glob("workloads/*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_workload_is_in_the_readme_and_loads(path: Path) -> None:
    load_workload(path)
    assert f"workloads/{path.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_answer_of_the_gallerys_run() -> None:
    path = ROOT / "reports/gallery/research-digest/summary.json"
    answer = run_answer(read_analysis(path.read_bytes(), str(path)), "slotwise report DIR")
    shown = "\n".join(line.plain for line in answer_lines(answer))
    assert f"```\n{shown}\n```" in (ROOT / "README.md").read_text(encoding="utf-8"), shown
