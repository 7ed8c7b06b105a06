"""Start and stop a process of ours so that it never outlives us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import harness
from harness import units

__all__ = [
    "Started",
    "guarded",
    "last_lines",
    "log_bytes",
    "log_text",
    "our_python",
    "start",
    "stop",
]

LOG_BYTES_READ = 4 << 20
STOP_S = 8.0


class Started(NamedTuple):
    """A running process; `log` is its stderr, an unnamed file that leaves nothing behind."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]


def our_python(module: str) -> list[str]:
    """Return the command that runs a module of ours; -P keeps a stranger's `harness` folder out."""
    return [sys.executable, "-P", "-m", module]


def guarded(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` under the guard, which ends it when we are gone."""
    guard = Path(__file__).with_name("guard.py")
    return [sys.executable, "-I", "-S", str(guard), "--", *command]


def start(command: Sequence[str], env: Mapping[str, str] | None = None, first_line: bytes = b"") -> Started:
    """Start a command that ends when its stdin closes, in a session of its own (no Ctrl-C reaches it)."""
    environment = dict(os.environ if env is None else env)
    root = str(Path(harness.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (root, environment.get("PYTHONPATH")) if p)
    log = tempfile.TemporaryFile(prefix="slotwise-")  # noqa: SIM115 - closed by stop
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    except BaseException:
        log.close()
        raise
    started = Started(process, log)
    if first_line:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once: the reader of its answer will see that
            process.stdin.write(first_line + b"\n")
            process.stdin.flush()
    return started


def stop(started: Started) -> None:
    """End the process and wait for it. Blocks (for milliseconds, mostly): an await could be cancelled."""
    process, log = started
    try:
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
        log.close()


def log_text(started: Started) -> str:
    """Return what the process wrote to stderr so far (the last megabytes of it)."""
    size = os.fstat(started.log.fileno()).st_size
    return log_bytes(started, max(0, size - LOG_BYTES_READ)).decode("utf-8", "replace")


def log_bytes(started: Started, at: int) -> bytes:
    """Return what the process wrote to stderr from a position on (some megabytes of it)."""
    return os.pread(started.log.fileno(), LOG_BYTES_READ, at)  # the file offset is shared with the process that writes


def last_lines(text: str, count: int = 4) -> str:
    """Return the last lines that say something, for an error message; secrets in URLs are masked."""
    lines = [line.strip() for line in text.splitlines() if re.search(r"[A-Za-z]{3}", line)]
    return units.safe_url("\n".join("  " + line[:300] for line in lines[-count:]))
