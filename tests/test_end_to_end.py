"""`slotwise run` as a user runs it, on real inference: a tiny workload through the embedded engine to the verdict."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import processes
import pytest
from tiny import PIPELINES

from harness.runs.folder import read_run

TINY = (
    PIPELINES
    + """\
servers:
  one: {kind: llamacpp, slots: 1, context_tokens: 256, threads: 1}
  two: {kind: llamacpp, slots: 2, context_tokens: 256, threads: 1}
compare:
  serial: {placement: one, concurrency: serial}
  batched: {placement: two, concurrency: window, scheduling: interactive-first}
measure: {repeats: 2, warmup: 0}
"""
)


def slotwise(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *arguments]
    return processes.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.mark.engine
def test_from_a_workload_to_a_verdict(workload: Path, tmp_path: Path) -> None:
    done = slotwise("run", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    headline = next(line for line in lines if not line.startswith("!"))  # notices of a busy machine stand above it
    assert headline.startswith(("Run ", "For now, run ")), done.stdout
    assert "measured, 2 repeats" in done.stdout.splitlines()[1]
    assert "\x1b" not in done.stdout + done.stderr  # not a terminal: plain
    (folder,) = (tmp_path / "reports").iterdir()
    for name in ("workload.yaml", "environment.json", "calls.jsonl", "summary.json", "report.md"):
        assert (folder / name).stat().st_size, name
    assert {chart.suffix for chart in (folder / "charts").iterdir()} == {".svg", ".png"}

    run = read_run(folder)
    assert not run.partial
    assert {(server.slots_asked, server.slots_found) for server in run.servers} == {(1, 1), (2, 2)}
    assert sorted((t.candidate, t.repeat, t.complete) for t in run.trials) == [
        (candidate, repeat, True) for candidate in ("batched", "serial") for repeat in (0, 1)
    ]
    assert {call.outcome for call in run.calls} == {"ok"}
    for candidate in run.candidates:
        for repeat in (0, 1):
            mine = [c for c in run.calls if (c.candidate, c.repeat, c.pipeline) == (candidate, repeat, "digest")]
            assert sorted((c.node, c.item) for c in mine) == [("merge", 0)] + [("summarize", i) for i in range(3)]
            assert all(c.reply.output_tokens == 4 for c in mine)  # the pinned length, exactly
            assert all(c.reply.queue_s is not None for c in mine)
    streamed = [call for call in run.calls if call.path == "interactive"]
    assert all(c.reply.sent_s < c.reply.first_token_s <= c.reply.end_s for c in streamed)  # type: ignore[operator]  # none is None
    for call in run.calls:  # the parts that the server told fit into what it told in all, and that into what we saw
        reply = call.reply
        assert reply.total_s is not None and call.wall_s is not None
        parts_s = (reply.queue_s or 0) + (reply.load_s or 0) + (reply.prefill_s or 0) + (reply.decode_s or 0)
        assert parts_s <= reply.total_s + 1e-3 and reply.total_s <= call.wall_s

    again = slotwise("report", str(folder), "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _children(pid: int) -> list[int]:
    """Return the processes below `pid` (Linux), itself left out."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            below = [int(child) for child in task.read_text().split()]
            found += below
            todo += below
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.engine
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for children in /proc, which is Linux's")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        # A hundred kills are a slow proof too (tests/runs/killed_often.py).
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_interrupted_in_the_middle(workload: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C leaves a partial report and exits with 130; after kill -9 the records are there; no process is left."""
    command = [sys.executable, "-m", "harness", "run", "tiny.yaml", "--repeats", "500"]
    with (tmp_path / "log").open("w") as log, processes.started(command, cwd=tmp_path, stdout=log, stderr=log) as run:
        deadline = time.monotonic() + 240
        calls: list[Path] = []
        while not (calls and calls[0].stat().st_size > 2000):
            assert run.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            calls = list((tmp_path / "reports").glob("*/calls.jsonl"))
            time.sleep(0.05)
        children = _children(run.pid)
        assert len(children) >= 2  # the two servers
        run.send_signal(number)
        assert run.wait(120) == code, (tmp_path / "log").read_text()
    while any(_alive(child) for child in children):
        assert time.monotonic() < deadline, "a server outlived its parent"
        time.sleep(0.05)
    kept = read_run(calls[0].parent)
    assert kept.partial and len(kept.calls) >= 2
    if number == signal.SIGINT:
        report = (calls[0].parent / "report.md").read_text(encoding="utf-8")
        assert "partial" in report.lower() or "interrupted" in report.lower()
