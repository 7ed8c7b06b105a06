"""`slotwise serve` as a process that simulates a machine, faster than it is: `served(...)` yields its URL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import processes

ROOT = Path(__file__).parent.parent
LIMIT_S = 60


@contextmanager
def served(profile: str, slots: int, *, speed_up: int = 20, limit_s: float = processes.LIMIT_S) -> Iterator[str]:
    """Start a simulated server, and end it; what it says after its address is not read."""
    command = [sys.executable, "-u", "-m", "harness", "serve", "--profile", profile, "--slots", str(slots)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with processes.started(
        [*command, "--extrapolate", "--speed-up", str(speed_up), "--port", "0"],
        limit_s=limit_s,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            yield next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LIMIT_S)
