"""What a calibration keeps of where the model was: on which accelerator, and that a part of it was on the CPU."""

from __future__ import annotations

import pytest
from measure.virtual_bursts import EMBEDDED, Virtual, seen

from harness.measure import calibrate as measuring
from harness.measure.experiment import Setting
from harness.profiles.schema import Profile
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer


def profile_of(monkeypatch: pytest.MonkeyPatch, details: dict[str, str | int | float]) -> Profile:
    monkeypatch.setattr(measuring, "machine_facts", lambda: {"accelerator": "NVIDIA L4"})
    result = seen(Virtual([EMBEDDED]), 4)
    spec = OllamaServer(kind="ollama", model="m", slots=4)
    server = RunningServer("s", "ollama", "http://127.0.0.1:1", "m", 4, True, "ollama 0", False, False, details)
    setting = Setting("s", Virtual([EMBEDDED]), 4, 2048)
    up = measuring._Up(measuring.ToCalibrate("s", spec), server, setting, None, None)
    return measuring._profile("p", [measuring._fitted(up, result, 1)], None, None, 1.0, "a machine")


def test_the_accelerator_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(monkeypatch, {"size_bytes": 100, "size_vram_bytes": 100})
    assert profile.accelerator == "NVIDIA L4" and profile.notes == ()


def test_on_cores_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for details in ({}, {"size_bytes": 100, "size_vram_bytes": 0}):
        profile = profile_of(monkeypatch, dict(details))
        assert profile.accelerator is None and "accelerator" not in profile.model_dump(exclude_unset=True)


def test_layers_on_the_cpu_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(monkeypatch, {"size_bytes": 100, "size_vram_bytes": 60})
    assert profile.accelerator is None  # the cores decide what a step takes
    (note,) = profile.notes
    assert note.startswith("4 slots: layers on the CPU: 40 % of the model did not fit onto the accelerator")
