"""What the machine says of itself, against a made-up container and against common sense."""

from __future__ import annotations

import os
from pathlib import Path

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
