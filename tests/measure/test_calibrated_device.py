"""What a calibration keeps of where the model was: on which accelerator, and that a part of it was on the CPU."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from measure.test_calibrate_accelerator import COSTS
from measure.virtual_bursts import EMBEDDED, Virtual, seen

from harness.core.step_costs import StepCosts
from harness.measure import calibrate as measuring
from harness.measure.experiment import Setting
from harness.profiles.schema import MemoryUse, Profile
from harness.servers.spec import RunningServer
from harness.workload.schema import OllamaServer


def profile_of(
    monkeypatch: pytest.MonkeyPatch,
    details: Mapping[str, str | int | float],
    costs: StepCosts = EMBEDDED,
    *,
    accelerated: bool = False,
) -> Profile:
    monkeypatch.setattr(measuring, "machine_facts", lambda: {"accelerator": "NVIDIA L4"})
    result = seen(Virtual([costs]), 4, accelerated=accelerated)
    spec = OllamaServer(kind="ollama", model="m", slots=4)
    server = RunningServer("s", "ollama", "http://127.0.0.1:1", "m", 4, True, "ollama 0", False, False, dict(details))
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


def test_what_the_model_takes_is_kept_and_the_ram_cache_holds_as_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 GiB of them, by the bytes of one; where these are not known, as many as of an 8B model."""
    details = {"size_bytes": 100, "size_vram_bytes": 100, "context_tokens": 512}
    known = profile_of(monkeypatch, details | {"model_bytes": 700, "kv_bytes_per_token": 2048}, COSTS, accelerated=True)
    assert known.memory == MemoryUse(model_bytes=700, slot_bytes=512 * 2048, context_tokens=512)
    assert known.slots["4"].ram_cache_tokens == (8 << 30) // 2048
    assert known.notes == ()
    unknown = profile_of(monkeypatch, dict(details), COSTS, accelerated=True)
    assert unknown.slots["4"].ram_cache_tokens == 65536
    assert unknown.memory == MemoryUse(context_tokens=512)


def test_it_is_said_where_the_models_bytes_are_only_what_the_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    size = {"size_bytes": 5_000_000, "size_vram_bytes": 0, "context_tokens": 512, "kv_bytes_per_token": 2048}
    profile = profile_of(monkeypatch, dict(size))
    assert profile.memory.model_bytes == 5_000_000 - 4 * 512 * 2048
    assert profile.notes == (
        "The model's bytes are what its server says that it takes, less the cache of all slots (/api/ps).",
    )


def test_layers_on_the_cpu_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(monkeypatch, {"size_bytes": 100, "size_vram_bytes": 60})
    assert profile.accelerator is None  # the cores decide what a step takes
    (note,) = profile.notes
    assert note.startswith("4 slots: layers on the CPU: 40 % of the model did not fit onto the accelerator")
