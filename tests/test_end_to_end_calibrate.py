"""Calibration on real inference: a tiny plan gives a profile that loads; Ctrl-C leaves nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import processes
import pytest
from quiet import Quiet

from harness.measure.burst_design import Effort
from harness.measure.calibrate import ToCalibrate, calibrate
from harness.profiles.compile import compile_costs, server_models
from harness.profiles.load import dump_profile, load_profile
from harness.servers.fronts import child
from harness.workload.schema import LlamaCppServer

TINY = Effort(budget_s=1.0, prompts=(80,), output_tokens=8, references=1, repetitions=1)


def wanted(slots: int, half: bool) -> ToCalibrate:
    spec = LlamaCppServer(kind="llamacpp", slots=slots, context_tokens=512, threads=1)
    return ToCalibrate(f"{'half' if half else 'all'}-{slots}", spec, half)


@pytest.mark.engine
@pytest.mark.slow
def test_a_real_server_becomes_a_profile(tmp_path: Path) -> None:
    servers = [wanted(2, False), wanted(1, True)]
    profile = asyncio.run(calibrate("tiny", servers, TINY, Quiet(), pair=True, machine="any"))
    path = tmp_path / "tiny.yaml"
    path.write_text(dump_profile(profile), encoding="utf-8")
    again = load_profile(str(path))
    assert again == profile
    assert (profile.origin, profile.machine, set(profile.slots)) == ("measured", "any", {"2"})
    assert profile.half is not None and set(profile.half) == {"1"}
    assert set(profile.slots["2"].step_s) == {"1", "2"}
    assert profile.slots["2"].threads == 1
    assert profile.held_out is not None and profile.held_out.calls >= 3
    assert profile.memory.model_bytes and profile.memory.slot_bytes
    assert {row.slots for row in profile.rows} == {1, 2}
    assert profile.contention is not None and profile.contention["2"] >= 0.5
    assert profile.model_id == "smollm2-135m"
    assert profile.text is not None and profile.text.held_out.worst_error < 0.15
    assert 0.9 < profile.text.tokens_per_piece < 1.2
    # SmolLM2's template has a system message of its own, which the given one replaces
    assert 30 < profile.text.template_tokens < 50
    assert 15 < profile.text.system_template_tokens < 35
    assert 0 <= (profile.slots["2"].gap_s or 0.0) < 1
    assert min(compile_costs(again, 2).costs.decode_s[1:]) > 0
    fitted = [compile_costs(again, 1, threads="half")] * 2
    assert len(server_models(again, [fit.costs for fit in fitted], half=[fit.half for fit in fitted])) == 2


def test_ctrl_c_writes_nothing(tmp_path: Path) -> None:
    """On a server that says fixed text, slowly: no inference is needed to be interrupted."""
    log = tmp_path / "log"

    async def interrupted() -> int:
        async with child("canned", "canned", {"slots": 1, "pause_s": 0.02}) as ready:
            command = ["-m", "harness", "calibrate", ready["url"], "--model", "canned", "--name", "never"]
            with (
                log.open("w") as stream,
                processes.started([sys.executable, *command], cwd=tmp_path, stdout=stream, stderr=stream) as process,
            ):
                deadline = time.monotonic() + 120
                while "burst 2/" not in log.read_text():
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGINT)
                return await asyncio.to_thread(process.wait)

    assert asyncio.run(interrupted()) == 130
    assert not list((tmp_path / "profiles").iterdir())
    assert "interrupted: servers stopped, nothing written\n" in log.read_text()
