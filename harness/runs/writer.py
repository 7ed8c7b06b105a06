"""Who is writing a run right now? One that goes on is not offered to be gone on with.

A lock on the folder tells it, and ends with its process however that ends. Some file systems have no locks, and a
shared disk may be written by another machine, whose locks do not always reach here. So a file says who began: with the
process and when it started (a killed one does not come back, but its number does), and on which machine. Of another
machine nothing can be known for sure: then that is what is said.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["WRITER_NAME", "Writer", "forget_writer", "note_writer", "writer_of"]

WRITER_NAME = ".writer.json"
_LARGEST_BYTES = 4096


class Writer(NamedTuple):
    """Who writes a run."""

    host: str
    pid: int | None  # None: not known
    sure: bool  # False: another machine began it and has not said that it ended


def note_writer(folder: Path) -> None:
    """Write down that this process writes the run; where that fails the lock alone tells it."""
    me = {"host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid())}
    with suppress(OSError):
        (folder / WRITER_NAME).write_text(json.dumps(me), encoding="utf-8")


def forget_writer(folder: Path) -> None:
    """Take that back: writing has ended."""
    with suppress(OSError):
        (folder / WRITER_NAME).unlink()


def writer_of(folder: Path) -> Writer | None:
    """Return who writes the run in a folder; None where nobody does, also where the one who did was killed."""
    host, pid, started = _noted(folder)
    locked = _is_locked(folder)
    if locked:
        return Writer(host or platform.node(), pid, sure=True)
    if not host:
        return None
    if host != platform.node():
        return Writer(host, pid, sure=False)
    if locked is None and pid is not None and started and started == _started(pid):
        return Writer(host, pid, sure=True)
    return None


def _noted(folder: Path) -> tuple[str, int | None, str]:
    try:
        with (folder / WRITER_NAME).open("rb") as file:
            found = json.loads(file.read(_LARGEST_BYTES))
        host, pid, started = found["host"], found["pid"], found["started"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", None, ""
    return str(host)[:255], pid if isinstance(pid, int) and 0 < pid < 1 << 31 else None, str(started)


def _is_locked(folder: Path) -> bool | None:
    """Whether some process holds the lock; None where the file system has none."""
    try:
        at = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(at, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(at)
    return False


def _started(pid: int) -> str:
    """Return when a process started, in a form that no other process of this machine has; "" where there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return f"{boot}/{stat.rpartition(')')[2].split()[19]}"
