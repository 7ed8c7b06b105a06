"""Processes of ours end with us, however we end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import processes
import pytest

import harness
from harness.servers.process import guarded, last_lines, log_text, start, stop

ROOT = str(Path(harness.__file__).parents[1])

# a command with a child of its own; both ignore polite requests, and the child says both numbers
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
same = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
same += "print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", same], stdout=subprocess.PIPE)
child.stdout.readline()
print(os.getpid(), child.pid, flush=True)
child.wait()
"""

PARENT_OF_GUARD = f"""
import sys, time
sys.path.insert(0, {ROOT!r})
from harness.servers.process import guarded, start
started = start(guarded([sys.executable, "-c", {STUBBORN!r}]))
print(started.process.pid, started.process.stdout.readline().decode(), flush=True)
time.sleep(600)
"""

PARENT_OF_FRONT = f"""
import asyncio, sys
sys.path.insert(0, {ROOT!r})
from harness.servers.fronts import child
async def main():
    async with child("x", "canned", {{}}) as ready:
        print(ready["pid"], flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("parent", [PARENT_OF_GUARD, PARENT_OF_FRONT], ids=["guard", "front"])
def test_kill_9_of_the_parent_leaves_nothing(parent: str, ends: Callable[[int], bool]) -> None:
    with processes.started([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert pids
        try:
            for pid in pids:
                os.kill(pid, 0)  # they do run
            process.kill()
            process.wait()
            assert all(ends(pid) for pid in pids)
        finally:
            for pid in pids:
                if not ends(pid):
                    os.kill(pid, signal.SIGKILL)


def test_stop_ends_the_whole_group(ends: Callable[[int], bool]) -> None:
    started = start(guarded([sys.executable, "-c", STUBBORN]))
    assert started.process.stdout is not None
    pids = [int(word) for word in started.process.stdout.readline().split()]
    stop(started)
    assert len(pids) == 2
    assert all(ends(pid) for pid in pids)


def test_guard_passes_on_the_exit_code_and_the_words() -> None:
    started = start(guarded([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(7)"]))
    try:
        assert started.process.wait(60) == 7
        assert log_text(started) == "why\n"
    finally:
        stop(started)


def test_guard_says_what_it_cannot_run() -> None:
    started = start(guarded(["/nonexistent/ollama", "serve"]))
    try:
        assert started.process.wait(60) == 127
        assert log_text(started) == "/nonexistent/ollama: No such file or directory\n"
    finally:
        stop(started)


def test_guard_ends_when_told_to(ends: Callable[[int], bool]) -> None:
    started = start(guarded([sys.executable, "-c", STUBBORN]))
    try:
        assert started.process.stdout is not None
        pids = [int(word) for word in started.process.stdout.readline().split()]
        started.process.terminate()
        assert all(ends(pid) for pid in pids)
    finally:
        stop(started)


def test_last_lines_say_something_and_no_secrets() -> None:
    text = "start\n\n-----\nloading http://me:pw@host/x\n  failed: no memory  \n...\n"
    assert last_lines(text, 2) == "  loading http://host/x\n  failed: no memory"
