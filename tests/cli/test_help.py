"""What a newcomer sees: every command in one whole line, every option in a section, every mistake in one line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import processes
import pytest
from typer.main import get_command

from harness.cli import app as cli
from harness.cli.help import ABOUT, COMMANDS, EXAMPLES, OPTIONS, _upper
from harness.cli.runs import runs

GROUP = get_command(cli.command_line())
NAMES = sorted(GROUP.commands)  # type: ignore[attr-defined]


def slotwise(*arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"COLUMNS": "80", "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )


def test_every_command_has_its_place_and_its_line() -> None:
    placed = [name for names in COMMANDS.values() for name in names]
    assert sorted(placed) == NAMES
    assert set(NAMES) <= set(ABOUT)
    assert all(len(line) <= 64 and not line.endswith(".") for line in ABOUT.values())
    for group, command in GROUP.commands.items():  # type: ignore[attr-defined]
        for name in getattr(command, "commands", ()):
            assert ABOUT.get(f"{group} {name}") or name in ABOUT, (group, name)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"import", "models"}))
def test_sections_name_options_that_some_command_has(name: str) -> None:
    """And every example is a command line of that command, with options that it has."""
    command = GROUP.commands[name]  # type: ignore[attr-defined]
    assert all(callable(getattr(command, part)) for part in ("format_options", "format_epilog"))
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for line in EXAMPLES.get(name, ()):
        assert len(line) <= 76, line
        words = shlex.split(line, comments=True)
        assert words[:2] == ["slotwise", name]
        given = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert given <= known, line


def test_no_section_is_of_an_option_that_no_longer_exists() -> None:
    for name, sections in OPTIONS.items():
        if name not in ("run", "recommend", "simulate", "score"):
            has = {param.name for param in GROUP.commands[name].params}  # type: ignore[attr-defined]
            assert {option for names in sections.values() for option in names} <= has, name
    shared = {option for names in OPTIONS["run"].values() for option in names}
    of_all = {param.name for command in GROUP.commands.values() for param in command.params}  # type: ignore[attr-defined]
    assert shared <= of_all


@pytest.mark.parametrize("arguments", [(), ("--help",), ("run", "--help"), ("serve", "--help"), ("import", "--help")])
def test_help_fits_and_speaks_words(arguments: tuple[str, ...]) -> None:
    done = slotwise(*arguments)
    text = done.stdout + done.stderr
    assert text.startswith("Usage: slotwise")
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"<(int|str|path|float|list)|INTEGER|x>=|[a-z]\.\.\.$", text, re.MULTILINE)
    assert done.returncode == (0 if arguments else 2)


def test_newcomers_are_told_where_to_begin() -> None:
    text = slotwise().stderr
    for line in ("Decide how to run a pipeline:", "Getting started:", "  slotwise doctor  ", "  run  "):
        assert line in text, line


CHOICES = get_args(get_args(get_args(get_type_hints(runs, include_extras=True)["origin"])[0])[0])
ORIGINS = ", ".join(f'"{choice}"' for choice in CHOICES)
MISTAKES = {
    (
        "run",
        "x.yaml",
        "--repeats",
        "0",
    ): 'slotwise: --repeats: expected at least 1, found "0" (see slotwise run --help)',
    ("run", "--frob"): "slotwise: no such option: --frob (see slotwise run --help)",
    ("simulate",): 'slotwise: missing argument "file" (see slotwise simulate --help)',
    ("rum",): 'slotwise: no such command "rum"; did you mean "run"? (see slotwise --help)',
    ("runs", "--origin", "real"): f'slotwise: --origin: "real" is not one of {ORIGINS} (see slotwise runs --help)',
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["slotwise", *arguments])
    run: Callable[[], int] = cli._main
    assert run() == 2
    assert capsys.readouterr().err == f"{MISTAKES[arguments]}\n"


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name, command in GROUP.commands.items():  # type: ignore[attr-defined]
        found += [(name,), *((name, sub) for sub in getattr(command, "commands", ()))]
    return found


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_usage_line_is_free_of_artefacts(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for path in every_command():
        monkeypatch.setattr(sys, "argv", ["slotwise", *path, "-h"])
        assert cli._main() == 0
        text = capsys.readouterr().out
        usage = " ".join(text.partition("\n\n")[0].split())
        assert usage.startswith(" ".join(("Usage: slotwise", *path))), path
        assert not re.search(r"\.{4}|\.\.\.\]\.|[{}<>|]", usage), usage
        assert usage.count("[") == usage.count("]"), usage
        assert max(map(len, (line for line in text.splitlines() if "slotwise " not in line))) <= width, path


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        ("SERVER...}...", "SERVER..."),
        ("{SERVER...}...", "SERVER..."),
        ("MODULE:GRAPH......", "MODULE:GRAPH..."),
        ("[-- COMMAND [ARGS]...]...", "[-- COMMAND [ARGS]...]"),
        ("[files]...", "[FILES]..."),
        ("RUNS...", "RUNS..."),
    ],
)
def test_dots_stand_once_whatever_the_library_adds(piece: str, shown: str) -> None:
    assert _upper(piece) == shown


def test_every_command_that_shows_progress_can_be_quiet() -> None:
    quiet = {
        path
        for path in every_command()
        if (command := _at(path)) is not None and any(param.name == "quiet" for param in command.params)
    }
    shows = ("run", "simulate", "recommend", "score", "calibrate", "probe", "sweep", "serve", "compare")
    assert quiet == {*((name,) for name in shows), ("models", "pull"), ("import", "langgraph"), ("import", "record")}


def _at(path: tuple[str, ...]) -> Any:
    command: Any = GROUP
    for name in path:
        command = command.commands[name]
    return command
