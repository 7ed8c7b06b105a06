"""A real `slotwise run` on simulated servers, killed with SIGKILL in the middle, and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import processes
from test_emulated_run import PROFILE, TINY

from harness.runs.folder import read_run
from harness.runs.model import Run

PATIENCE_S = 120


def test_killed_for_real_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/toy.yaml").write_text(PROFILE.format(name="toy"), encoding="utf-8")
    text = TINY.replace("repeats: 2", "repeats: 3").replace("speed_up: 4", "speed_up: 2")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "run"]
    with processes.started([*command, "tiny.yaml"], cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        path = kill_in_the_middle(process, tmp_path / "reports")
    before = read_run(path)
    assert before.partial and 0 < len(before.trials) < 9

    done = processes.run(
        [*command, "--resume", str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    after = read_run(path)
    assert not after.partial
    assert sorted((trial.candidate, trial.repeat) for trial in after.trials) == [
        (candidate, repeat) for candidate in ("batched", "serial", "split") for repeat in range(3)
    ]
    whole = {(trial.candidate, trial.repeat) for trial in before.trials}
    assert {call for call in before.calls if (call.candidate, call.repeat) in whole} <= set(after.calls)
    # Each candidate had the same digest to do in each repeat; how often one chats meanwhile goes by the clock.
    assert {key: len(nodes) for key, nodes in digests(after).items()} == {
        (trial.candidate, trial.repeat): 4 for trial in after.trials
    }
    assert any(note.kind == "resumed" for note in after.notes)


def kill_in_the_middle(process: subprocess.Popen[bytes], reports: Path) -> Path:
    """Wait for the second trial to be under way, and kill."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        for path in reports.glob("*"):
            trials, calls = path / "trials.jsonl", path / "calls.jsonl"
            if trials.exists() and trials.stat().st_size and calls.read_bytes().count(b"\n") > 5:
                os.kill(process.pid, signal.SIGKILL)
                return path
        time.sleep(0.002)
    raise AssertionError("it ended, or never began, before it could be killed")


def digests(run: Run) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    for call in run.calls:
        if call.pipeline == "digest":
            found.setdefault((call.candidate, call.repeat), []).append(call.node)
    return found
