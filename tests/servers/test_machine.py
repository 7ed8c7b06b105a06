"""What the machine says of itself, against a made-up container and against common sense."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import processes
import pytest

from harness.servers import machine


def test_cores() -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("quota", "expected"), [("50000 100000", 1), ("max 100000", None), ("junk", None)])
def test_a_containers_quota(quota: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = machine.cores()
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = machine.cores()
    assert found == expected if expected else found >= free


def test_a_containers_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = machine.memory()
    assert found.total_bytes == 1_000_000
    assert found.available_bytes in (600_000, 0)  # 0: a system without /proc


def test_busy_cores() -> None:
    busy = machine.busy_cores(0.01)
    assert busy is None or busy >= 0


def test_what_others_use_is_what_is_not_ours() -> None:
    before = machine.CpuUse(machine_s=100.0, own_s=40.0, at_s=10.0)
    assert machine.other_cores(before, machine.CpuUse(110.0, 44.0, 14.0)) == pytest.approx(1.5)
    assert machine.other_cores(before, machine.CpuUse(101.0, 42.0, 14.0)) == 0  # ticks are coarse
    assert machine.other_cores(before, None) is machine.other_cores(before, before) is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux says what every process has used")
def test_own_use_holds_descendants() -> None:
    """A child's CPU time is ours while it runs; a child of that child as well."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    before = machine.cpu_use()
    with processes.started([sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = machine.cpu_use()
        child.communicate(b"\n")
    assert before is not None
    assert after is not None
    assert after.own_s - before.own_s >= 0.25
