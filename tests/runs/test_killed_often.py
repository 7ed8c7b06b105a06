"""A hundred real kills at random moments: nothing that was on disk is lost, and each run ends as if undisturbed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import processes
import pytest
from runs.killed_often import PHASES

KILLS = int(os.environ.get("SLOTWISE_KILLS", "100"))
TESTS = Path(__file__).parent.parent


def killed(program: str, folder: Path) -> dict[str, int]:
    """Execute a program that kills; a process of its own, as only one without threads can be forked."""
    command = [sys.executable, str(TESTS / "runs" / program), str(folder), str(KILLS)]
    env = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    done = processes.run(command, env=env, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(tmp_path: Path) -> None:
    hit = killed("killed_often.py", tmp_path)
    assert sum(hit.values()) >= KILLS and set(hit) <= set(PHASES)


@pytest.mark.slow
def test_killed_a_hundred_times_in_real_time(tmp_path: Path) -> None:
    assert killed("killed_in_real_time.py", tmp_path)["kills"] >= KILLS
