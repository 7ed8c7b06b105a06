"""An odd environment gives one line and the right exit code: full disks, long names, proxies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import processes
import pytest

ROOT = Path(__file__).parents[2]
CHECK = ("check", "workloads/chat-only.yaml")


def slotwise(*arguments: str, to: str | None = None, **environment: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it said on standard error."""
    command = [sys.executable, "-m", "harness", *arguments]
    with open(os.devnull if to is None else to, "wb") as output:  # noqa: PTH123 - a device
        done = processes.run(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=os.environ | environment,
        )
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [CHECK, ("--help",), ("profile", "list")], ids=" ".join)
def test_output_that_cannot_be_written(arguments: tuple[str, ...]) -> None:
    assert slotwise(*arguments, to="/dev/full") == (2, "slotwise: the output: No space left on device\n")


def test_a_name_that_is_too_long() -> None:
    assert slotwise("check", "x" * 300 + ".yaml") == (2, f"slotwise: {'x' * 80}...: File name too long\n")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(proxy: str) -> None:
    code, said = slotwise("probe", "http://127.0.0.1:9", "--model", "m", ALL_PROXY=proxy, HTTP_PROXY=proxy)
    assert code == 3
    assert said.splitlines()[-1].startswith("slotwise: 127.0.0.1:9: nothing listens at http://127.0.0.1:9")
