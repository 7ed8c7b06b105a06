"""The file of a design: written whole, never over what somebody else wrote, and nowhere else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.app.design_file import design_path, file_state, save_design
from harness.app.design_token import kept_token
from harness.errors import UserError


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_new_file_is_written_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    assert file_state(path, "x") == ("", "", (), False)
    first = save_design(path, "one: 1\n", "")
    assert (first.saved, first.digest, path.read_text()) == (True, digest(path), "one: 1\n")
    assert save_design(path, "one: 2\n", first.digest).saved
    assert [one.name for one in tmp_path.iterdir()] == ["new.yaml"]


def test_what_somebody_else_wrote_stays_and_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("a: 1\nb: 2\n")
    known = digest(path)
    path.write_text("a: 1\nb: 3\n")
    found = save_design(path, "a: 1\nb: 4\n", known)
    assert (found.saved, found.digest, found.text) == (False, digest(path), "a: 1\nb: 3\n")
    assert found.difference[-2:] == ("-b: 3", "+b: 4")
    assert path.read_text() == "a: 1\nb: 3\n"
    assert not save_design(path, "x", "").saved, "a new file does not take the place of one"
    assert save_design(path, "a: 1\nb: 4\n", found.digest).saved
    path.unlink()
    gone = save_design(path, "x", found.digest)
    assert (gone.saved, gone.digest) == (False, "")
    assert not path.exists()


def test_line_ends_rights_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "w.yaml", tmp_path / "link.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    path.chmod(0o640)
    link.symlink_to(path)
    assert file_state(link).text == "a: 1\nb: 2\n"
    assert file_state(link, "a: 1\nb: 2\n").difference == ()
    assert save_design(link, "a: 1\nb: 3\n", digest(path)).saved
    assert path.read_bytes() == b"\xef\xbb\xbfa: 1\r\nb: 3\r\n"
    assert (path.stat().st_mode & 0o777, link.is_symlink()) == (0o640, True)


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("a: 1\n")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="cannot be written: no space left on device; it is as it was"):
        save_design(path, "a: 2\n", digest(path))
    assert path.read_text() == "a: 1\n"
    assert [one.name for one in tmp_path.iterdir()] == ["w.yaml"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../w.yaml", "below the folder"),
        ("a/../../w.yaml", "below the folder"),
        ("/tmp/w.yaml", "below the folder"),
        ("out/w.yaml", "below the folder"),
        ("w.txt", "ends in .yaml"),
        (".w.yaml", "begin with a dot"),
        ("none/w.yaml", "there is no folder none"),
        ("", "the name of a file"),
        ("a\0.yaml", "the name of a file"),
    ],
)
def test_names_stay_below_the_folder(tmp_path: Path, name: str, says: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(UserError, match=says):
        design_path(root, name)
    (root / "in").mkdir()
    assert design_path(root, "in/w.yaml") == Path("in/w.yaml")


def test_a_port_keeps_its_token_where_nobody_else_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    first = kept_token(8000)
    assert len(first) == 32
    assert kept_token(8000) == first
    assert kept_token(8001) != first
    file = tmp_path / "studio/port-8000"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    second = kept_token(8000)
    assert second != first, "others could have read it"
    assert (kept_token(8000), file.stat().st_mode & 0o777) == (second, 0o600)
    file.unlink()
    file.symlink_to(tmp_path / "studio/port-8001")
    assert kept_token(8000) != kept_token(8001)
