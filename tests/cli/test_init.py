"""`slotwise init`: what it copies, and that it never overwrites."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import processes
import pytest

from harness.cli.init import init
from harness.content import shipped
from harness.errors import UserError
from harness.profiles.load import load_profile
from harness.workload.load import load_workload

NAMES = sorted(path.stem for path in (shipped() / "workloads").glob("*.yaml"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_stands_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path / "new", name)
    monkeypatch.setattr("harness.content.shipped", lambda: tmp_path / "nothing")
    loaded = load_workload(tmp_path / "new" / "workloads" / f"{name}.yaml")
    assert loaded.workload.name == name
    first = loaded.path.read_text().split("\n")[0]
    assert (loaded.path.parent / first.split("$schema=")[1]).is_file()
    assert f"slotwise check {loaded.path}" in capsys.readouterr().out


def test_default_is_the_research_digest(tmp_path: Path) -> None:
    init(tmp_path)
    assert sorted(tree(tmp_path))[:4] == [
        "agents/chat.md",
        "agents/editor.md",
        "agents/summarizer.md",
        "workloads/data/research/1-mulch.md",
    ]


def test_a_machine_gets_an_estimated_profile_beside_the_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path, "review-panel", device="RTX 4090", model="qwen3:8b")
    out = capsys.readouterr().out
    path = tmp_path / "workloads" / "review-panel.yaml"
    assert f"slotwise simulate {path} --model qwen3:8b --profile rtx-4090" in out
    profile = load_profile("rtx-4090", path.parent)
    assert (profile.origin, profile.model_id) == ("estimated", "qwen3:8b")
    before = tree(tmp_path)
    init(tmp_path, "review-panel", device="RTX 4090", model="qwen3:8b")
    assert tree(tmp_path) == before
    with pytest.raises(UserError, match="--model goes with --device"):
        init(tmp_path / "other", model="qwen3:8b")
    with pytest.raises(UserError, match='did you mean "RTX 4090"'):
        init(tmp_path / "other", device="4090x")
    assert not (tmp_path / "other").exists()


def test_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(tmp_path)
    before = tree(tmp_path)
    capsys.readouterr()
    init(tmp_path)
    assert tree(tmp_path) == before
    assert "nothing was written" in capsys.readouterr().out


def test_never_overwrites(tmp_path: Path) -> None:
    mine = tmp_path / "agents" / "chat.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError) as caught:
        init(tmp_path, "chat-only")
    assert str(caught.value) == f"{mine} exists already and differs; name another folder: slotwise init DIR"
    assert tree(tmp_path) == {"agents/chat.md": b"mine"}


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "chat-only.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="exists already"):
        init(tmp_path, "chat-only")
    assert not (tmp_path / "elsewhere").exists()


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        init(tmp_path, "chat-onyl")
    assert (
        str(caught.value) == f'no shipped workload "chat-onyl"; did you mean "chat-only"? there is: {", ".join(NAMES)}'
    )


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: not a directory"):
        init(tmp_path / "file")


def test_the_list_names_every_starting_point_and_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    init(list_=True)
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines() if line[:3].strip()] == NAMES
    assert max(map(len, shown.splitlines())) <= 79
    assert shown.count("?") >= len(NAMES)  # each asks something


@pytest.mark.parametrize("answer", ["chat-only", str(NAMES.index("chat-only") + 1), ""])
def test_a_person_chooses_by_number_or_name(answer: str, tmp_path: Path) -> None:
    """On a real terminal: a pseudo-terminal, and what is typed into it."""
    child, fd = pty.fork()
    if child == 0:  # pragma: no cover  in the child
        signal.alarm(60)  # a question that nobody answers ends the test, and not the day
        os.execv(sys.executable, [sys.executable, "-m", "harness", "init", str(tmp_path)])
    machine = b"rtx 4090\nqwen3:8b\n" if answer else b"\n"
    os.write(fd, answer.encode() + b"\n" + machine)
    shown = b""
    with suppress(OSError):  # Linux says EIO at the end
        while chunk := os.read(fd, 4096):
            shown += chunk
    os.close(fd)
    assert os.waitpid(child, 0)[1] == 0, shown
    chosen = "chat-only" if answer else "research-digest"
    assert (tmp_path / "workloads" / f"{chosen}.yaml").is_file(), shown
    assert (tmp_path / "profiles" / "rtx-4090.yaml").is_file() == bool(answer), shown


def test_a_bad_answer_is_asked_for_again(tmp_path: Path) -> None:
    child, fd = pty.fork()
    if child == 0:  # pragma: no cover  in the child
        signal.alarm(60)
        os.execv(sys.executable, [sys.executable, "-m", "harness", "init", str(tmp_path)])
    os.write(fd, b"99\nchat-onyl\nchat-only\n4090x\nRTX 4090\nqwen3\nqwen3:8b\n")
    shown = b""
    with suppress(OSError):
        while chunk := os.read(fd, 4096):
            shown += chunk
    os.close(fd)
    assert os.waitpid(child, 0)[1] == 0, shown
    for said in (
        b'No "99" in the list: expected 1 to', b'did you mean "chat-only"?', b'did you mean "RTX 4090"',
        b"it could be qwen3:8b, qwen3:14b, qwen3:30b-a3b",
    ):  # fmt: skip
        assert said in shown, shown
    assert load_profile("rtx-4090", tmp_path / "workloads").model_id == "qwen3:8b"
    assert (tmp_path / "workloads" / "chat-only.yaml").is_file()


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    done = processes.run(
        [sys.executable, "-m", "harness", "init", str(tmp_path)], stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0
    assert (tmp_path / "workloads" / "research-digest.yaml").is_file()
