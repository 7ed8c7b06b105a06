"""Processes that tests start: each ends in its time, and hears signals that a shell in the background ignores."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["LIMIT_S", "hear_signals", "run", "started"]

LIMIT_S = 280.0


def hear_signals() -> None:
    """Listen to Ctrl-C, and take a polite kill or a closed terminal as usual, whatever started the tests.

    A shell that starts the tests in the background has them ignore Ctrl-C, and nohup closed terminals; every process
    inherits that. Tests that interrupt a command need it to listen.
    """
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    for number, handler in usual.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def run(command: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Do what `subprocess.run` does, with a time limit: TimeoutExpired after `timeout` (LIMIT_S) seconds."""
    return subprocess.run(command, **{"timeout": LIMIT_S, "check": False, **options})


@contextmanager
def started(
    command: Sequence[str | os.PathLike[str]], *, limit_s: float = LIMIT_S, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a process, which is killed after `limit_s`, or where the test fails; else its end is waited for."""
    with subprocess.Popen(command, **options) as process:
        timer = threading.Timer(limit_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield process
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
            process.wait()
        finally:
            timer.cancel()
            process.kill()  # nothing where it has ended
