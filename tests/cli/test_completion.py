"""`slotwise completion`: the scripts, run by the shells that they are for."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import processes
import pytest
import typer.main

from harness.cli.app import _main, command_line
from harness.cli.shells import SCRIPTS, places

FOUND = places(typer.main.get_command(command_line()))

# How each shell is asked what it would offer for the words so far, the last one under the cursor: a line for each.
ASK = {
    "bash": (
        'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _slotwise\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    ),
    "zsh": (
        "compadd() {{ shift; print -l -- ${{(M)@:#$words[CURRENT]*}} }}; _files() {{ print FILES }}\n"
        "_describe() {{ print -l -- ${{(M)${{shown%%:*}}:#$words[CURRENT]*}} }}\n"
        "words=({words}); CURRENT=$#words; _slotwise"
    ),
    "fish": "complete -C {line} | string replace -r '\\t.*' ''",
}
SOURCE = {
    "bash": "source {script}\n",
    "zsh": "compdef() {{ : }}; source {script}\n",
    "fish": "source {script}\n",
}
START = {
    "bash": ("bash", "--norc", "--noprofile"),
    "zsh": ("zsh", "-f"),
    "fish": ("fish", "--no-config"),
}
CASES = {
    ("r",): {"run", "recommend", "report", "runs"},
    ("run", "--fu"): {"--full"},
    ("runs", "--origin", ""): {"measured", "emulated", "predicted", "estimated"},
    ("runs", "--origin", "em"): {"emulated"},
    ("import", "t"): {"traces"},
    ("import", "traces", "--ti"): {"--times"},
    ("models", "p"): {"pull"},
    ("completion", ""): {"bash", "zsh", "fish"},
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes_what_is_there(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell](FOUND), encoding="utf-8")
    text = SOURCE[shell].format(script=script)
    for words in CASES:
        typed = ("slotwise", *words)
        listed = " ".join(map(shlex.quote, typed))
        text += ASK[shell].format(words=listed, line=shlex.quote(" ".join(typed))) + "\necho ::\n"
    done = processes.run(START[shell], input=text, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert not done.stderr
    *found, rest = done.stdout.split("::\n")
    assert not rest.strip()
    assert dict(zip(CASES, (set(one.split()) for one in found), strict=True)) == CASES


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_has_every_command_and_option(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["slotwise", "completion", shell])
    assert _main() == 0
    script = capsys.readouterr().out
    assert script == SCRIPTS[shell](FOUND)
    for place in FOUND.values():
        for name in (*place.commands, *(name.lstrip("-") for flag in place.flags for name in flag.names)):
            assert name in script


def test_another_shell_is_a_mistake_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["slotwise", "completion", "tcsh"])
    assert _main() == 2
    assert '"tcsh" is not one of "bash", "zsh", "fish"' in capsys.readouterr().err
